// Runs the samples of HelloJohn's guide to hooks as they are printed, hellojohn_hooks.ts, with what they leave to their reader:
// the application, the raw body, a database, and the answer of the jwt hook, of which the guide shows the JSON alone.
const { run } = require('./transpiled');

const BEFORE = `
import express from "express";

const app = express();
app.use(express.json({ verify: (req, _, body) => { req.rawBody = body.toString(); } }));
const db = {
  profiles: { create: async (profile) => console.log("profile", JSON.stringify(profile)) },
  bans: { findOne: async ({ user_id }) => user_id === "usr_banned" },
};
const analytics = { track: (fact) => console.log("tracked", JSON.stringify(fact)) };
const isBlockedIP = (address) => address.startsWith("198.51.100.");
`;

const AFTER = `
app.post("/hooks/jwt", hookAuth, (req, res) => {
  res.json({ "claims": { "plan": "pro", "team_id": "team_42" } });
});
app.listen(Number(process.env.PORT), "127.0.0.1");
`;

run('hellojohn_hooks', BEFORE, AFTER);
