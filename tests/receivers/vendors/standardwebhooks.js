// The library of Standard Webhooks as its README has it, and beside it its signature v1a, which no library verifies yet, by
// Node's own crypto.
const { createPublicKey, verify } = require('node:crypto');
const { Webhook } = require('standardwebhooks');

const { serve } = require('./serve');

const { PUBLIC_KEY, WEBHOOK_SECRET } = process.env;
const webhook = new Webhook(WEBHOOK_SECRET);
const x = Buffer.from(PUBLIC_KEY.replace(/^whpk_/, ''), 'base64').toString('base64url');
const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } });

function isSignedByKeyPair(body, headers) {
  const message = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body]);
  const signatures = headers['webhook-signature'].split(' ').filter((signature) => signature.startsWith('v1a,'));
  return signatures.some((signature) => verify(null, message, publicKey, Buffer.from(signature.slice(4), 'base64')));
}

serve(async (body, headers) => {
  try {
    webhook.verify(body, headers);
  } catch (error) {
    return [400, { message: error.message }];
  }
  return isSignedByKeyPair(body, headers) ? [204] : [400, { message: 'no signature v1a verifies' }];
});
