//! What the contract says of the API, of the key sets and of what a delivery looks like, asked over real HTTP.

mod access;
mod actions;
mod activation;
mod audit_log;
mod cursors;
mod delivered;
mod events;
mod handling;
mod idempotency;
mod isolation;
mod life;
mod limits;
mod matching;
mod once;
mod operational;
mod pages;
mod payloads;
mod problems;
mod refusals;
mod replay;
mod tenancy;
mod webhook_faults;
mod webhooks;
mod well_known;

use serde_json::json;
use signet::api::Route;

use crate::support::Service;

/// Ids that are well written and nobody's.
const NO_WEBHOOK: &str = "wh_01HZZZZZZZZZZZZZZZZZZZZZZZ";
const NO_EVENT: &str = "evt_01HZZZZZZZZZZZZZZZZZZZZZZZ";

/// What the variable parts of paths stand for.
struct Ids<'a> {
    webhook: &'a str,
    event: &'a str,
    tenant: &'a str,
    api_key: &'a str,
    kid: &'a str,
    event_type: &'a str,
}

impl Ids<'static> {
    /// Well written, and nobody's.
    const MISSING: Self = Self {
        webhook: NO_WEBHOOK,
        event: NO_EVENT,
        tenant: "tnt_01HZZZZZZZZZZZZZZZZZZZZZZZ",
        api_key: "key_01HZZZZZZZZZZZZZZZZZZZZZZZ",
        kid: "no-such-key",
        event_type: "no.such_type",
    };
}

impl Ids<'_> {
    /// A route with its variable parts filled in, as a method and a path.
    fn named_in(&self, route: &Route) -> String {
        let id =
            match route.path.split('/').find(|part| matches!(*part, "webhooks" | "events" | "tenants" | "api-keys")) {
                Some("webhooks") => self.webhook,
                Some("events") => self.event,
                Some("tenants") => self.tenant,
                _ => self.api_key,
            };
        let path = route.path.replace("{id}", id).replace("{event_id}", self.event).replace("{kid}", self.kid);
        let path = path
            .replace("{kind}", "pre_sign_up")
            .replace("presets/{name}", "presets/hanko")
            .replace("{name}", self.event_type);
        let path = path.replace("{action}", "users.delete");
        assert!(!path.contains('{'), "what does the variable part of {path} stand for?");
        format!("{} {path}", route.method)
    }
}

/// Makes a webhook whose receiver collects, and answers its id.
async fn pulled(service: &Service) -> String {
    let made = service.post("/v1/webhooks", &json!({"delivery": "pull", "events": ["user"]})).await.json();
    made["id"].as_str().unwrap().to_owned()
}

/// Whether a route is only about webhooks whose receivers collect.
fn is_of_pulling(route: &Route) -> bool {
    route.path.contains("/pull-key/")
}

/// A body that a route takes and carries out.
fn body(route: &Route, receiver_url: &str) -> String {
    let body = match (route.method.as_str(), route.path) {
        ("POST", "/v1/events") => json!({"type": "user.created", "data": 1}),
        ("POST", "/v1/events/batch") => json!({"events": [{"type": "user.created", "data": 1}]}),
        ("POST", "/v1/webhooks") => json!({"url": receiver_url, "events": ["user"]}),
        ("PATCH", "/v1/webhooks/{id}") => json!({"description": "changed"}),
        ("PUT", "/v1/event-types/{name}") => json!({"description": "an event type"}),
        ("POST", "/v1/event-types") => {
            json!({"openapi": {"openapi": "3.1.0", "webhooks": {"order": {"post": {}}}}})
        }
        ("POST", "/v1/webhooks/{id}/replay") => json!({"from": "2026-03-01T00:00:00Z"}),
        ("POST", "/v1/webhooks/{id}/test") => json!({"event": "user.created"}),
        ("POST", "/v1/webhooks/{id}/actions/{action}") => json!({"id": "usr_1"}),
        ("POST", "/v1/admin/keys/rotate") => json!({"force": true}),
        ("POST", "/v1/admin/tenants") => json!({"name": "acme"}),
        ("PATCH", "/v1/admin/tenants/{id}") => json!({"name": "changed"}),
        ("PATCH", "/v1/admin/config") => json!({"hooks": {"pre_sign_up": receiver_url}}),
        ("POST", "/v1/admin/api-keys") => json!({"scopes": ["admin"]}),
        _ => json!({}),
    };
    body.to_string()
}
