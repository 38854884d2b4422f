// A receiver of authentication hooks that shares no secret with anybody: jose verifies who asks, through the JWKS, and signs
// the answer for that question. `flaw` in the payload has it sign as it must not.
const { createHash } = require('node:crypto');
const { SignJWT, UnsecuredJWT, createRemoteJWKSet, importJWK, jwtVerify } = require('jose');

const { serve } = require('./serve');

const { AUDIENCE: audience, FOREIGN_JWK, ISSUER: issuer, JWKS_URL, PRIVATE_JWK } = process.env;
const keys = createRemoteJWKSet(new URL(JWKS_URL));
let earlier;

async function signed(claims, jwk) {
  const { alg, kid } = JSON.parse(jwk);
  return new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(await importJWK(JSON.parse(jwk)));
}

serve(async (body, headers) => {
  const { payload } = await jwtVerify(headers['signet-hook-token'], keys, { audience, issuer, typ: 'hook+jwt' });
  if (payload.body_sha256 !== createHash('sha256').update(body).digest('base64url')) {
    return [400, { error: 'another body' }];
  }
  const { email = '', flaw } = JSON.parse(body);
  const now = Math.floor(Date.now() / 1000);
  const said = payload.hook === 'jwt' ? { claims: { plan: 'pro' } } : { allow: email.endsWith('@acme.com') };
  const claims = { jti: payload.jti, aud: payload.iss, iat: now, ...said };
  const flaws = {
    jti: { ...claims, jti: earlier },
    aud: { ...claims, aud: 'https://issuer.example' },
    iat: { ...claims, iat: now - 120 },
  };
  earlier = payload.jti;
  if (flaw === 'unsigned') {
    return [200, said];
  }
  if (flaw === 'none') {
    return [200, { token: new UnsecuredJWT(claims).encode() }];
  }
  return [200, { token: await signed(flaws[flaw] ?? claims, flaw === 'key' ? FOREIGN_JWK : PRIVATE_JWK) }];
});
