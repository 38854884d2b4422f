// A receiver as HelloJohn's verification page describes it: HMAC-SHA256 of `{timestamp}.{rawBody}` under the secret's text, no older or
// younger than 300 s. The page has the time in a header of its own, `v1=`; the open-source build has both in one, `t=,v1=`.
const { createHmac, timingSafeEqual } = require('node:crypto');

const { serve } = require('./serve');

const { NOW_S, SCHEME, WEBHOOK_SECRET } = process.env;
const TOLERANCE_S = 300;

const READERS = {
  v1: (headers) => ({
    timestamp: headers['x-hellojohn-timestamp'],
    signatures: [headers['x-hellojohn-signature']?.match(/^v1=([0-9a-f]{64})$/)?.[1]],
  }),
  't,v1': (headers) => {
    const parts = (headers['x-hellojohn-signature'] ?? '').split(',').map((part) => part.split('='));
    const valuesOf = (name) => parts.filter(([key]) => key === name).map(([, value]) => value);
    return { timestamp: valuesOf('t')[0], signatures: valuesOf('v1') };
  },
};

function refusal(body, headers) {
  const { timestamp, signatures } = READERS[SCHEME](headers);
  if (!/^\d+$/.test(timestamp ?? '')) {
    return 'no timestamp';
  }
  const now = NOW_S ? Number(NOW_S) : Math.floor(Date.now() / 1000);
  if (Math.abs(now - Number(timestamp)) > TOLERANCE_S) {
    return 'outside of the tolerance';
  }
  const expected = createHmac('sha256', WEBHOOK_SECRET).update(`${timestamp}.`).update(body).digest();
  const isExpected = (signature) => {
    const given = Buffer.from(signature ?? '', 'hex');
    return given.length === expected.length && timingSafeEqual(given, expected);
  };
  return signatures.some(isExpected) ? null : 'no signature matches';
}

serve(async (body, headers) => {
  const message = refusal(body, headers);
  return message ? [401, { message }] : [200, { type: JSON.parse(body).type }];
});
