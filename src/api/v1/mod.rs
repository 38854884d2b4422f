//! Version 1 of the API: one file per resource, and what each request shape means.

mod api_keys;
mod deliveries;
mod events;
mod keys;
mod patch;
mod payload;
mod tenants;
mod views;
mod webhooks;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};

use super::Api;
use crate::domain::event::PAYLOAD_BYTES_MAX;

/// What every request but those that carry events may weigh.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// An event's data, and room for the rest of its body.
const EVENT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 8 * 1024;
/// A batch: less than a thousand of the largest events, so that one request cannot take all the memory there is.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) fn routes() -> Router<Api> {
    let publishing = Router::new()
        .route("/v1/events", post(events::publish).get(events::list))
        .layer(DefaultBodyLimit::max(EVENT_BYTES_MAX));
    let batches = Router::new()
        .route("/v1/events/batch", post(events::publish_batch))
        .layer(DefaultBodyLimit::max(BATCH_BYTES_MAX));
    let rest = Router::new()
        .route("/v1/events/{id}", get(events::show))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/v1/webhooks/{id}", get(webhooks::show).patch(webhooks::change).delete(webhooks::remove))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/webhooks/{id}/activate", post(webhooks::activate))
        .route("/v1/webhooks/{id}/secret/rotate", post(webhooks::rotate_secret))
        .route("/v1/webhooks/{id}/replay", post(deliveries::replay))
        .route("/v1/webhooks/{id}/deliveries", get(deliveries::list))
        .route("/v1/webhooks/{id}/deliveries/{event_id}", get(deliveries::show))
        .route("/v1/webhooks/{id}/deliveries/{event_id}/retry", post(deliveries::retry))
        .route("/v1/admin/keys", get(keys::list))
        .route("/v1/admin/keys/rotate", post(keys::rotate))
        .route("/v1/admin/keys/plan", get(keys::plan))
        .route("/v1/admin/keys/rehearse", post(keys::rehearse))
        .route("/v1/admin/keys/{kid}/revoke", post(keys::revoke))
        .route("/v1/admin/tenants", get(tenants::list).post(tenants::create))
        .route("/v1/admin/tenants/{id}", get(tenants::show).patch(tenants::change))
        .route("/v1/admin/api-keys", get(api_keys::list).post(api_keys::create))
        .route("/v1/admin/api-keys/{id}", delete(api_keys::revoke))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    publishing.merge(batches).merge(rest)
}
