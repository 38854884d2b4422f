//! Version 1 of the API: one file per resource, and what each request shape means. [`ROUTES`] is all of it: the router is
//! built from that table and from nothing else, so what goes through the table goes through every route.

mod actions;
mod api_keys;
mod audit_log;
mod config;
mod deliveries;
mod described;
mod dialect;
mod event_types;
mod events;
mod hooks;
mod judged;
mod keys;
mod patch;
mod payload;
mod polls;
mod tenants;
mod views;
mod webhooks;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use super::openapi::Described;
use super::problem::Problem;
use super::{Api, idempotency};
use crate::domain::access::Scope::{
    self, Admin, DeliveriesReplay, EventsWrite, HooksInvoke, KeysRead, KeysRotate, WebhooksRead, WebhooksWrite,
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
    /// What a caller's key must allow; none where receivers come, each with the pull key of its webhook.
    pub scope: Option<Scope>,
    body_bytes_max: usize,
    /// Whether its handler sees to it itself that what is asked twice under one key is done once.
    does_once: bool,
    handler: fn() -> MethodRouter<Api>,
    /// What the description of the API says of it.
    pub(super) described: fn() -> Described,
}

const fn route(
    method: Method,
    path: &'static str,
    scope: Scope,
    handler: fn() -> MethodRouter<Api>,
    described: fn() -> Described,
) -> Route {
    Route { method, path, scope: Some(scope), body_bytes_max: BODY_BYTES_MAX, does_once: false, handler, described }
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

    /// For receivers alone. What they say twice is done once, whatever it is called.
    const fn for_receivers(mut self) -> Self {
        self.scope = None;
        self.doing_once()
    }
}

/// Every route below `/v1`.
pub static ROUTES: [Route; 43] = [
    route(Method::POST, "/v1/events", EventsWrite, || post(events::publish), described::events::publish)
        .taking(EVENT_BYTES_MAX)
        .doing_once(),
    route(
        Method::POST,
        "/v1/events/batch",
        EventsWrite,
        || post(events::publish_batch),
        described::events::publish_batch,
    )
    .taking(BATCH_BYTES_MAX)
    .doing_once(),
    route(Method::GET, "/v1/events", WebhooksRead, || get(events::list), described::events::list),
    route(Method::GET, "/v1/events/{id}", WebhooksRead, || get(events::show), described::events::show),
    route(Method::GET, "/v1/webhooks", WebhooksRead, || get(webhooks::list), described::webhooks::list),
    route(Method::POST, "/v1/webhooks", WebhooksWrite, || post(webhooks::create), described::webhooks::create),
    route(Method::GET, "/v1/webhooks/{id}", WebhooksRead, || get(webhooks::show), described::webhooks::show),
    route(Method::PATCH, "/v1/webhooks/{id}", WebhooksWrite, || patch(webhooks::change), described::webhooks::change),
    route(Method::DELETE, "/v1/webhooks/{id}", WebhooksWrite, || delete(webhooks::remove), described::webhooks::remove),
    route(Method::POST, "/v1/webhooks/{id}/test", WebhooksWrite, || post(webhooks::test), described::webhooks::test),
    route(
        Method::POST,
        "/v1/webhooks/{id}/activate",
        WebhooksWrite,
        || post(webhooks::activate),
        described::webhooks::activate,
    ),
    route(
        Method::POST,
        "/v1/webhooks/{id}/secret/rotate",
        WebhooksWrite,
        || post(webhooks::rotate_secret),
        described::webhooks::rotate_secret,
    ),
    route(
        Method::POST,
        "/v1/webhooks/{id}/actions/{action}",
        WebhooksWrite,
        || post(actions::call),
        described::actions::call,
    ),
    route(
        Method::POST,
        "/v1/webhooks/{id}/pull-key/rotate",
        WebhooksWrite,
        || post(webhooks::pull_keys::rotate),
        described::polls::rotate_key,
    ),
    route(Method::POST, "/v1/webhooks/{id}/poll", WebhooksRead, || post(polls::poll), described::polls::poll)
        .for_receivers(),
    route(
        Method::POST,
        "/v1/webhooks/{id}/replay",
        DeliveriesReplay,
        || post(deliveries::replay),
        described::deliveries::replay,
    ),
    route(
        Method::GET,
        "/v1/webhooks/{id}/deliveries",
        WebhooksRead,
        || get(deliveries::list),
        described::deliveries::list,
    ),
    route(
        Method::GET,
        "/v1/webhooks/{id}/deliveries/{event_id}",
        WebhooksRead,
        || get(deliveries::show),
        described::deliveries::show,
    ),
    route(
        Method::POST,
        "/v1/webhooks/{id}/deliveries/{event_id}/retry",
        DeliveriesReplay,
        || post(deliveries::retry),
        described::deliveries::retry,
    ),
    route(Method::GET, "/v1/event-types", WebhooksRead, || get(event_types::list), described::event_types::list),
    route(Method::POST, "/v1/event-types", WebhooksWrite, || post(event_types::import), described::event_types::import)
        .taking(IMPORT_BYTES_MAX),
    route(Method::GET, "/v1/event-types/{name}", WebhooksRead, || get(event_types::show), described::event_types::show),
    route(Method::PUT, "/v1/event-types/{name}", WebhooksWrite, || put(event_types::put), described::event_types::put)
        .taking(EVENT_TYPE_BYTES_MAX),
    route(
        Method::DELETE,
        "/v1/event-types/{name}",
        WebhooksWrite,
        || delete(event_types::remove),
        described::event_types::remove,
    ),
    route(
        Method::POST,
        "/v1/event-types/presets/{name}",
        WebhooksWrite,
        || post(event_types::load_preset),
        described::event_types::load_preset,
    ),
    route(Method::GET, "/v1/admin/keys", KeysRead, || get(keys::list), described::keys::list),
    route(Method::GET, "/v1/admin/keys/plan", KeysRead, || get(keys::plan), described::keys::plan),
    route(Method::POST, "/v1/admin/keys/rotate", KeysRotate, || post(keys::rotate), described::keys::rotate),
    route(Method::POST, "/v1/admin/keys/rehearse", KeysRotate, || post(keys::rehearse), described::keys::rehearse),
    route(Method::POST, "/v1/admin/keys/{kid}/revoke", KeysRotate, || post(keys::revoke), described::keys::revoke),
    route(Method::GET, "/v1/admin/tenants", Admin, || get(tenants::list), described::tenants::list),
    route(Method::POST, "/v1/admin/tenants", Admin, || post(tenants::create), described::tenants::create),
    route(Method::GET, "/v1/admin/tenants/{id}", Admin, || get(tenants::show), described::tenants::show),
    route(Method::PATCH, "/v1/admin/tenants/{id}", Admin, || patch(tenants::change), described::tenants::change),
    route(Method::GET, "/v1/admin/api-keys", Admin, || get(api_keys::list), described::api_keys::list),
    route(Method::POST, "/v1/admin/api-keys", Admin, || post(api_keys::create), described::api_keys::create),
    route(Method::DELETE, "/v1/admin/api-keys/{id}", Admin, || delete(api_keys::revoke), described::api_keys::revoke),
    route(Method::POST, "/v1/hooks/{kind}", HooksInvoke, || post(hooks::ask), described::hooks::ask),
    route(Method::GET, "/v1/admin/config", Admin, || get(config::show), described::hooks::show_config),
    route(Method::PATCH, "/v1/admin/config", Admin, || patch(config::change), described::hooks::change_config),
    route(
        Method::POST,
        "/v1/admin/hooks/secret/rotate",
        Admin,
        || post(hooks::rotate_secret),
        described::hooks::rotate_secret,
    ),
    route(Method::GET, "/v1/admin/hooks/logs", Admin, || get(hooks::log), described::hooks::log),
    route(Method::GET, "/v1/admin/audit-log", Admin, || get(audit_log::list), described::audit_log::list),
];

pub(super) fn routes(engine: &Api) -> Router<Api> {
    ROUTES.iter().fold(Router::new(), |router, route| {
        // Around the handler alone: what has no handler is answered by the router's own fallbacks.
        let mut handler = (route.handler)();
        if route.method == Method::POST
            && !route.does_once
            && let Some(scope) = route.scope
        {
            let engine = engine.clone();
            let once = move |request, next| idempotency::once(engine.clone(), scope, request, next);
            handler = handler.route_layer(middleware::from_fn(once));
        }
        if !(route.described)().takes_query() {
            handler = handler.route_layer(middleware::from_fn(without_parameters));
        }
        router.route(route.path, handler.route_layer(DefaultBodyLimit::max(route.body_bytes_max)))
    })
}

/// Refuses parameters where there are none: who sends one believes that it does something.
async fn without_parameters(request: Request, next: Next) -> Response {
    match request.uri().query() {
        None | Some("") => next.run(request).await,
        Some(_) => {
            Problem::malformed("this route has no parameters; leave out what follows the question mark").into_response()
        }
    }
}
