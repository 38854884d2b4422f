// A receiver of Security Event Tokens over HTTP push (RFC 8935) with jose: 202 for what it believes, and for what it does not
// 400 with an error code that the RFC names.
const { createRemoteJWKSet, errors, jwtVerify } = require('jose');

const { serve } = require('./serve');

const { AUDIENCE: audience, CLOCK_AHEAD_S, ISSUER: issuer, JWKS_URL } = process.env;
const keys = createRemoteJWKSet(new URL(JWKS_URL));

const CLAIM_ERRORS = { aud: 'invalid_audience', iss: 'invalid_issuer' };

function codeOf(error) {
  if (error instanceof errors.JWTClaimValidationFailed) {
    return CLAIM_ERRORS[error.claim] ?? 'invalid_request';
  }
  const isOfKey = error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey;
  return isOfKey ? 'invalid_key' : 'invalid_request';
}

serve(async (body, headers) => {
  if (headers['content-type'] !== 'application/secevent+jwt' || headers.accept !== 'application/json') {
    return [400, { err: 'invalid_request', description: `${headers['content-type']}, ${headers.accept}` }];
  }
  try {
    const currentDate = new Date(Date.now() + 1000 * Number(CLOCK_AHEAD_S ?? 0));
    const required = { audience, issuer, requiredClaims: ['events', 'jti', 'sub_id'], typ: 'secevent+jwt' };
    const { payload } = await jwtVerify(body.toString(), keys, { ...required, currentDate, maxTokenAge: '5m' });
    console.log(JSON.stringify(payload));
    return [202];
  } catch (error) {
    return [400, { err: codeOf(error), description: error.message }];
  }
});
