//! Version 1 of the API: one file per resource, and what each request shape means. [`ROUTES`] is all of it: the router is
//! built from that table and from nothing else, so what goes through the table goes through every route.

mod api_keys;
mod audit_log;
mod deliveries;
mod event_types;
mod events;
mod judged;
mod keys;
mod patch;
mod payload;
mod tenants;
mod views;
mod webhooks;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use super::{Api, idempotency};
use crate::domain::access::Scope::{
    self, Admin, DeliveriesReplay, EventsWrite, KeysRead, KeysRotate, WebhooksRead, WebhooksWrite,
};
use crate::domain::catalogue::{SAMPLE_BYTES_MAX, SCHEMA_BYTES_MAX};
use crate::domain::event::PAYLOAD_BYTES_MAX;

/// What every request but those that carry events may weigh.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// An event's data, and room for the rest of its body.
const EVENT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 8 * 1024;
/// A batch: less than a thousand of the largest events, so that one request cannot take all the memory there is.
pub(super) const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest schema and the largest sample, and room for the rest.
const EVENT_TYPE_BYTES_MAX: usize = SCHEMA_BYTES_MAX + SAMPLE_BYTES_MAX + 64 * 1024;

/// An OpenAPI document.
const IMPORT_BYTES_MAX: usize = 1024 * 1024;

/// One thing that can be asked.
pub struct Route {
    pub method: Method,
    /// With its variable parts in braces.
    pub path: &'static str,
    /// What a caller's key must allow.
    pub scope: Scope,
    body_bytes_max: usize,
    /// Whether its handler sees to it itself that what is asked twice under one key is done once.
    does_once: bool,
    handler: fn() -> MethodRouter<Api>,
}

const fn route(method: Method, path: &'static str, scope: Scope, handler: fn() -> MethodRouter<Api>) -> Route {
    Route { method, path, scope, body_bytes_max: BODY_BYTES_MAX, does_once: false, handler }
}

impl Route {
    const fn taking(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = body_bytes_max;
        self
    }

    const fn doing_once(mut self) -> Self {
        self.does_once = true;
        self
    }
}

/// Every route below `/v1`.
pub static ROUTES: [Route; 38] = [
    route(Method::POST, "/v1/events", EventsWrite, || post(events::publish)).taking(EVENT_BYTES_MAX).doing_once(),
    route(Method::POST, "/v1/events/batch", EventsWrite, || post(events::publish_batch))
        .taking(BATCH_BYTES_MAX)
        .doing_once(),
    route(Method::GET, "/v1/events", WebhooksRead, || get(events::list)),
    route(Method::GET, "/v1/events/{id}", WebhooksRead, || get(events::show)),
    route(Method::GET, "/v1/webhooks", WebhooksRead, || get(webhooks::list)),
    route(Method::POST, "/v1/webhooks", WebhooksWrite, || post(webhooks::create)),
    route(Method::GET, "/v1/webhooks/{id}", WebhooksRead, || get(webhooks::show)),
    route(Method::PATCH, "/v1/webhooks/{id}", WebhooksWrite, || patch(webhooks::change)),
    route(Method::DELETE, "/v1/webhooks/{id}", WebhooksWrite, || delete(webhooks::remove)),
    route(Method::POST, "/v1/webhooks/{id}/test", WebhooksWrite, || post(webhooks::test)),
    route(Method::POST, "/v1/webhooks/{id}/activate", WebhooksWrite, || post(webhooks::activate)),
    route(Method::POST, "/v1/webhooks/{id}/secret/rotate", WebhooksWrite, || post(webhooks::rotate_secret)),
    route(Method::POST, "/v1/webhooks/{id}/replay", DeliveriesReplay, || post(deliveries::replay)),
    route(Method::GET, "/v1/webhooks/{id}/deliveries", WebhooksRead, || get(deliveries::list)),
    route(Method::GET, "/v1/webhooks/{id}/deliveries/{event_id}", WebhooksRead, || get(deliveries::show)),
    route(Method::POST, "/v1/webhooks/{id}/deliveries/{event_id}/retry", DeliveriesReplay, || post(deliveries::retry)),
    route(Method::GET, "/v1/event-types", WebhooksRead, || get(event_types::list)),
    route(Method::GET, "/v1/event-types/{name}", WebhooksRead, || get(event_types::show)),
    route(Method::PUT, "/v1/event-types/{name}", WebhooksWrite, || put(event_types::put)).taking(EVENT_TYPE_BYTES_MAX),
    route(Method::DELETE, "/v1/event-types/{name}", WebhooksWrite, || delete(event_types::remove)),
    route(Method::POST, "/v1/event-types/presets/{name}", WebhooksWrite, || post(event_types::load_preset)),
    // A type may be called like the route.
    route(Method::GET, "/v1/event-types/import", WebhooksRead, || get(event_types::show)),
    route(Method::PUT, "/v1/event-types/import", WebhooksWrite, || put(event_types::put)).taking(EVENT_TYPE_BYTES_MAX),
    route(Method::DELETE, "/v1/event-types/import", WebhooksWrite, || delete(event_types::remove)),
    route(Method::POST, "/v1/event-types/import", WebhooksWrite, || post(event_types::import)).taking(IMPORT_BYTES_MAX),
    route(Method::GET, "/v1/admin/keys", KeysRead, || get(keys::list)),
    route(Method::GET, "/v1/admin/keys/plan", KeysRead, || get(keys::plan)),
    route(Method::POST, "/v1/admin/keys/rotate", KeysRotate, || post(keys::rotate)),
    route(Method::POST, "/v1/admin/keys/rehearse", KeysRotate, || post(keys::rehearse)),
    route(Method::POST, "/v1/admin/keys/{kid}/revoke", KeysRotate, || post(keys::revoke)),
    route(Method::GET, "/v1/admin/tenants", Admin, || get(tenants::list)),
    route(Method::POST, "/v1/admin/tenants", Admin, || post(tenants::create)),
    route(Method::GET, "/v1/admin/tenants/{id}", Admin, || get(tenants::show)),
    route(Method::PATCH, "/v1/admin/tenants/{id}", Admin, || patch(tenants::change)),
    route(Method::GET, "/v1/admin/api-keys", Admin, || get(api_keys::list)),
    route(Method::POST, "/v1/admin/api-keys", Admin, || post(api_keys::create)),
    route(Method::DELETE, "/v1/admin/api-keys/{id}", Admin, || delete(api_keys::revoke)),
    route(Method::GET, "/v1/admin/audit-log", Admin, || get(audit_log::list)),
];

pub(super) fn routes(engine: &Api) -> Router<Api> {
    ROUTES.iter().fold(Router::new(), |router, route| {
        // Around the handler alone: what has no handler is answered by the router's own fallbacks.
        let mut handler = (route.handler)();
        if route.method == Method::POST && !route.does_once {
            let (engine, scope) = (engine.clone(), route.scope);
            let once = move |request, next| idempotency::once(engine.clone(), scope, request, next);
            handler = handler.route_layer(middleware::from_fn(once));
        }
        router.route(route.path, handler.route_layer(DefaultBodyLimit::max(route.body_bytes_max)))
    })
}
