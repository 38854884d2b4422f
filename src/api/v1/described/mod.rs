//! What the description of the API says of each route: what it is for, what it takes and answers with an example of each, and
//! what it refuses beside what every route does. What a route does is in the file of its resource.

pub(super) mod actions;
pub(super) mod api_keys;
pub(super) mod audit_log;
pub(super) mod deliveries;
pub(super) mod event_types;
pub(super) mod events;
pub(super) mod hooks;
pub(super) mod keys;
pub(super) mod polls;
pub(super) mod tenants;
pub(super) mod webhooks;

use serde_json::{Value, json};

const EVENT: &str = "evt_01J9ZW3K8Q5T7B2M4N6P8R0S1V";
const WEBHOOK: &str = "wh_01J9ZW3K8Q5T7B2M4N6P8R0S1V";
const TENANT: &str = "tnt_01J9ZW3K8Q5T7B2M4N6P8R0S1V";
const KEY: &str = "key_01J9ZW3K8Q5T7B2M4N6P8R0S1V";
const KID: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A page with one thing on it, and no other after it.
fn page(one: Value) -> Value {
    json!({"data": [one], "pagination": {"limit": 20, "has_more": false, "next_cursor": null}})
}

fn delivery() -> Value {
    json!({
        "webhook_id": WEBHOOK, "event_id": EVENT, "event": "user.created", "status": "delivered", "attempts": 1,
        "ended_at": "2026-03-01T12:00:01Z", "last_attempt_at": "2026-03-01T12:00:00Z", "last_status_code": 204,
    })
}

fn attempt() -> Value {
    json!({
        "number": 1, "at": "2026-03-01T12:00:00Z", "duration_ms": 12.345, "status_code": 204, "response_excerpt": "", "kid": KID,
    })
}
