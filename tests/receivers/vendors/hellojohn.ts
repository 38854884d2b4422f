import express from "express";
import crypto from "crypto";

const app = express();

// Use raw body for signature verification
app.use("/webhooks/hellojohn", express.raw({ type: "application/json" }));

app.post("/webhooks/hellojohn", (req, res) => {
  const sig = req.headers["hellojohn-signature"] as string;
  const payload = req.body.toString();

  // Verify signature (see below)
  if (!verifySignature(payload, sig, process.env.WEBHOOK_SECRET!)) {
    return res.status(401).send("Invalid signature");
  }

  const event = JSON.parse(payload);
  console.log("Received event:", event.type);

  // Always respond quickly — process async if needed
  res.sendStatus(200);

  // Process the event after responding
  handleEvent(event).catch(console.error);
});

function verifySignature(payload: string, signature: string, secret: string) {
  const expected = crypto.createHmac("sha256", secret).update(payload).digest("hex");
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(`sha256=${expected}`)
  );
}
