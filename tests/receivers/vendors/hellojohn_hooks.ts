import crypto from "crypto";

function verifyHookSignature(
  payload: string,
  signature: string,
  secret: string
): boolean {
  const expected = crypto
    .createHmac("sha256", secret)
    .update(payload)
    .digest("hex");
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(`sha256=${expected}`)
  );
}

// Express middleware
function hookAuth(req: Request, res: Response, next: NextFunction) {
  const sig = req.headers["hellojohn-hook-signature"] as string;
  if (!verifyHookSignature(req.rawBody, sig, process.env.HOOK_SECRET!)) {
    return res.status(401).json({ error: "invalid_signature" });
  }
  next();
}

app.post("/hooks/pre-sign-up", hookAuth, (req, res) => {
  const { email } = req.body;

  // Restrict to company domain
  if (!email.endsWith("@acme.com")) {
    return res.json({
      allow: false,
      reason: "Only @acme.com email addresses are allowed.",
    });
  }

  res.json({ allow: true });
});

app.post("/hooks/post-sign-up", hookAuth, async (req, res) => {
  const { user } = req.body;

  // Create a record in your own DB
  await db.profiles.create({
    hj_user_id: user.id,
    email: user.email,
    plan: "free",
  });

  // Send to analytics
  analytics.track({ event: "user_signed_up", userId: user.id });

  res.json({ ok: true });
});

app.post("/hooks/pre-sign-in", hookAuth, async (req, res) => {
  const { user, ip_address } = req.body;

  // Check if user is banned in your system
  const banned = await db.bans.findOne({ user_id: user.id });
  if (banned) {
    return res.json({ allow: false, reason: "Account suspended." });
  }

  // Block certain IP ranges
  if (isBlockedIP(ip_address)) {
    return res.json({ allow: false, reason: "Sign-in not allowed from this location." });
  }

  res.json({ allow: true });
});
