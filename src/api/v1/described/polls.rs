//! `/v1/webhooks/{id}/poll`, and the key that opens it.

use serde_json::json;

use super::{EVENT, KID, WEBHOOK};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::polls::{CollectedView, PollWish};
use crate::api::v1::webhooks::{RotatePullKey, RotatedPullKeyView, missing};
use crate::engine::keys::MayNotSign;
use crate::engine::mailbox::PollError;
use crate::engine::webhooks::WebhookError;

const PULL_KEY: &str = "pull_live_7Ju2p0Vd9mQxYb4KcE1sZr8TnWfHgA0aBcDe";

pub(in crate::api::v1) fn poll() -> Described {
    let words = "Only with the webhook's pull key, and only of a webhook with `\"delivery\": \"pull\"`. What is acknowledged or refused is over before this is answered, and \
                 never handed over again; everything else is, the oldest first. For `set` it is RFC 8936: `{\"sets\": {jti: token}}`, and what was not acknowledged comes with the \
                 next poll again. For other formats each delivery is what would have been sent, and is in one receiver's hands for `lease_seconds`. An answer has about 2 MiB of data \
                 at most. Where there is nothing, it is answered after half a minute, or with `returnImmediately` at once; a webhook that is disabled has nothing.";
    let body = format!("{{\"event\":\"user.created\",\"token\":\"eyJhbGciOiJFUzI1NiIsImtpZCI6\\u2026{KID}\\u2026\"}}");
    Described::new("pollWebhook", "Collect deliveries", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .may_take::<PollWish>(json!({"maxEvents": 10, "returnImmediately": true, "ack": [EVENT]}))
        .answers::<CollectedView>(
            Answer::ok("What there is."),
            json!({"deliveries": [{
                "id": EVENT, "attempt": 1, "lease_until": "2026-03-01T12:01:00Z", "content_type": "application/json", "body": body,
                "headers": {"webhook-id": EVENT, "webhook-timestamp": "1772366400", "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=", "webhook-attempt": "1"},
            }], "moreAvailable": true}),
            &[],
        )
        .refuses([
            missing(),
            PollError::Ended.into(),
            PollError::TooManyHere.into(),
            PollError::TooMany.into(),
            MayNotSign.into(),
            Problem::pull_keys_alone(),
            Problem::invalid_one("/lease_seconds", "is a number of seconds from 0 to 3600"),
        ])
}

pub(in crate::api::v1) fn rotate_key() -> Described {
    let words = "A new key for the receiver to collect with. Until the overlap ends, the old ones are taken too: a day by default, a week at most, 0 to end all of them at once.";
    Described::new("rotatePullKey", "Rotate a pull key", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .may_take::<RotatePullKey>(json!({"overlap_seconds": 86_400}))
        .answers::<RotatedPullKeyView>(
            Answer::ok("The new key, shown this once."),
            json!({"webhook_id": WEBHOOK, "pull_key": PULL_KEY, "previous_expires_at": "2026-03-02T12:00:00Z"}),
            &[],
        )
        .refuses([missing(), WebhookError::IsSentTo.into(), WebhookError::TooManyPullKeys.into()])
}
