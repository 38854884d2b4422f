// A receiver that collects Security Event Tokens (RFC 8936): it polls, verifies with jose, acknowledges what it believes with the next
// poll and says of the rest why not. It prints what it was given, line by line, and ends when nothing is left.
const { createRemoteJWKSet, errors, jwtVerify } = require('jose');

const { AUDIENCE: audience, ISSUER: issuer, JWKS_URL, POLL_URL, PULL_KEY } = process.env;
const keys = createRemoteJWKSet(new URL(JWKS_URL));
const required = { audience, issuer, requiredClaims: ['events', 'jti', 'sub_id'], typ: 'secevent+jwt', maxTokenAge: '5m' };

function codeOf(error) {
  if (error instanceof errors.JWTClaimValidationFailed) {
    return { aud: 'invalid_audience', iss: 'invalid_issuer' }[error.claim] ?? 'invalid_request';
  }
  const isOfKey = error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey;
  return isOfKey ? 'invalid_key' : 'invalid_request';
}

async function poll(words) {
  const answer = await fetch(POLL_URL, {
    method: 'POST',
    headers: { Accept: 'application/json', Authorization: `Bearer ${PULL_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ maxEvents: 2, returnImmediately: true, ...words }),
  });
  if (answer.status !== 200) {
    throw new Error(`the poll was answered ${answer.status}: ${await answer.text()}`);
  }
  return answer.json();
}

async function judged(sets) {
  const words = { ack: [], setErrs: {} };
  for (const [jti, token] of Object.entries(sets)) {
    try {
      const { payload } = await jwtVerify(token, keys, required);
      if (payload.jti !== jti) {
        throw new Error(`it is ${payload.jti} and was given as ${jti}`);
      }
      words.ack.push(jti);
      console.log(JSON.stringify({ believed: payload }));
    } catch (error) {
      words.setErrs[jti] = { err: codeOf(error), description: error.message };
      console.log(JSON.stringify({ refused: words.setErrs[jti] }));
    }
  }
  return words;
}

async function collect() {
  let words = {};
  for (;;) {
    const { sets } = await poll(words);
    if (Object.keys(sets).length === 0) {
      return;
    }
    words = await judged(sets);
  }
}

collect().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
