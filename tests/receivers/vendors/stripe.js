// Stripe's library, whose signatures are written `t=,v1=` too: it takes any header and any secret, and knows nothing of us.
const Stripe = require('stripe');

const { serve } = require('./serve');

const { NOW_S, WEBHOOK_SECRET } = process.env;
const TOLERANCE_S = 300;

serve(async (body, headers) => {
  const receivedAt = NOW_S ? 1000 * Number(NOW_S) : undefined;
  const signature = headers['x-hellojohn-signature'];
  try {
    Stripe.webhooks.signature.verifyHeader(body, signature, WEBHOOK_SECRET, TOLERANCE_S, undefined, receivedAt);
    return [200, { type: JSON.parse(body).type }];
  } catch (error) {
    return [401, { message: error.message }];
  }
});
