// jsonwebtoken with jwks-rsa, as both READMEs have it: a callback that looks up the signing key of the token's kid.
const { promisify } = require('node:util');

const jwt = require('jsonwebtoken');
const jwksClient = require('jwks-rsa');

const { audience, compression, issuer, jwksUrl, serve } = require('./serve');

// jwks-rsa's default, per kid, divided as the lives of the keys are: a compressed run is over before 10 min have passed.
const CACHE_MAX_AGE_MS = 600_000;

const client = jwksClient({ jwksUri: jwksUrl, cacheMaxAge: CACHE_MAX_AGE_MS / compression });

function keyOf(header, found) {
  client.getSigningKey(header.kid, (error, key) => found(error, key && key.getPublicKey()));
}

const verify = promisify(jwt.verify);
serve((token) => verify(token, keyOf, { algorithms: ['ES256'], audience, issuer }));
