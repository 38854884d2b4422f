// Hanko's receiver as it is run in production: one key set with jose's default cache, audience and issuer enforced.
// Prints one JSON line per delivery, answers 400 to whatever does not verify.
const express = require('express');
const { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } = require('jose');

const { AUDIENCE: audience, ISSUER: issuer, JWKS_URL, PORT } = process.env;
if (!audience || !issuer) {
  throw new Error('AUDIENCE and ISSUER must be set: without them jose would not check either claim');
}

const jwks = createRemoteJWKSet(new URL(JWKS_URL));
const app = express();

app.use(express.json());

app.post('/webhook', async (req, res) => {
  const verdict = { ok: false };

  try {
    const { token } = req.body;
    verdict.kid = decodeProtectedHeader(token).kid;
    verdict.jti = decodeJwt(token).jti;
    await jwtVerify(token, jwks, { audience, issuer });
    verdict.ok = true;
  } catch (error) {
    verdict.error = error.message;
  }

  console.log(JSON.stringify(verdict));
  res.sendStatus(verdict.ok ? 200 : 400);
});

app.listen(PORT);
