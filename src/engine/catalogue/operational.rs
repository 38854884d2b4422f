//! Signet's own events that webhooks may hear of: which there are, and samples of them. Challenges and rehearsals are none:
//! they go to one receiver each, whatever it is subscribed to.

use std::collections::BTreeSet;

use serde_json::Value;

use super::alike;
use crate::domain::delivery::DeliveryKey;
use crate::domain::event_type::{EventType, Subscription};
use crate::domain::id::{EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::life::WARNED_AFTER;
use crate::domain::webhook::{DisabledReason, News, WebhookState};
use crate::engine::announce::{self, DELIVERY_EXHAUSTED, KEY_ACTIVATED};
use crate::engine::revoke::{self, KEY_REVOKED};

const FAILING: &str = News::Failing.event_type();
const DISABLED: &str = News::Disabled.event_type();
const ENABLED: &str = News::Enabled.event_type();
const OPERATIONAL: [&str; 6] = [FAILING, DISABLED, ENABLED, DELIVERY_EXHAUSTED, KEY_ACTIVATED, KEY_REVOKED];

/// What a sample tells of. Nobody has them, so that no receiver forgets a key, or gives up a webhook, because of a sample.
const KID: &str = "a-key-that-there-is-not";
const OTHER_KID: &str = "another-key-that-there-is-not";
const URL: &str = "https://example.com/webhook";
const EVENT_TYPE: &str = "user.created";
const ATTEMPTS: u32 = 10;

/// What is wrong with a subscription to an event of Signet's own, if it is one and there is no such event.
pub(super) fn objection(subscription: &Subscription) -> Option<String> {
    let Subscription::Beneath(name) = subscription else { return None };
    let names: BTreeSet<&str> = OPERATIONAL.into_iter().flat_map(with_groups).collect();
    if !name.is_reserved() || names.contains(name.as_str()) {
        return None;
    }
    Some(advice(name, names))
}

/// The names that cover one, itself among them.
fn with_groups(name: &'static str) -> impl Iterator<Item = &'static str> {
    name.match_indices('.').map(|(at, _)| &name[..at]).chain([name])
}

fn advice(name: &EventType, names: impl IntoIterator<Item = &'static str>) -> String {
    match alike::nearest(name.as_str(), names).as_slice() {
        [] => format!("is no event of Signet's own; they are {}", OPERATIONAL.join(", ")),
        nearest => format!("is no event of Signet's own; did you mean {}?", nearest.join(" or ")),
    }
}

/// What one of these events carries, as if something had happened that has not; or why there is no such event.
pub(in crate::engine) fn sample(name: &EventType, now: Timestamp) -> Result<Value, String> {
    let webhook_id = WebhookId::from_bytes([0; 16]);
    let news = |state| announce::news_data(webhook_id, URL, state);
    let since = now.minus(WARNED_AFTER);
    Ok(match name.as_str() {
        FAILING => news(WebhookState::Failing { since, warned_at: Some(now) }),
        DISABLED => news(WebhookState::Disabled { at: now, reason: DisabledReason::Failing }),
        ENABLED => news(WebhookState::Enabled),
        DELIVERY_EXHAUSTED => {
            let key = DeliveryKey { webhook_id, event_id: EventId::from_bytes([0; 16]) };
            announce::exhausted_data(key, EVENT_TYPE, ATTEMPTS)
        }
        KEY_ACTIVATED => announce::promotion_data(KID, Some(OTHER_KID)),
        KEY_REVOKED => revoke::revocation_data((KID, Some(OTHER_KID)), "a test", now),
        _ => return Err(advice(name, OPERATIONAL)),
    })
}
