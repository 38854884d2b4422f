// jose as its documentation has it: one remote key set for the life of the process.
const { createRemoteJWKSet, jwtVerify } = require('jose');

const { audience, compression, issuer, jwksUrl, serve } = require('./serve');

// jose's defaults, divided as the lives of the keys are: on a compressed timeline the next but one signs within 30 s, and a
// token of a revoked key would run out before 10 min have passed.
const CACHE_MAX_AGE_MS = 600_000;
const COOLDOWN_MS = 30_000;

const keys = createRemoteJWKSet(new URL(jwksUrl), {
  cacheMaxAge: CACHE_MAX_AGE_MS / compression,
  cooldownDuration: COOLDOWN_MS / compression,
});

serve((token) => jwtVerify(token, keys, { algorithms: ['ES256'], audience, issuer }));
