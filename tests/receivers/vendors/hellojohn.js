// Runs HelloJohn's sample as its webhooks guide prints it, hellojohn.ts, with what it leaves to its reader: what to do with
// an event, and where to listen.
const { run } = require('./transpiled');

const LEFT_TO_THE_READER = `
async function handleEvent(event: unknown) {}
app.listen(Number(process.env.PORT), '127.0.0.1');
`;

run('hellojohn', '', LEFT_TO_THE_READER);
