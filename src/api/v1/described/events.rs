//! `/v1/events`.

use axum::http::StatusCode;
use serde_json::json;

use super::{EVENT, delivery, page};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::events::{BatchView, ListedEvent, PublishBatch, PublishEvent, ReceiptView, WholeEvent};
use crate::engine::ingest::IngestError;

pub(in crate::api::v1) fn publish() -> Described {
    let words = "Answered only when the event is durable, together with a delivery for each webhook that it concerns: whatever dies then, each \
                 receiver gets it at least once. Data is signed byte for byte as it comes.";
    Described::new("publishEvent", "Publish an event", words)
        .takes::<PublishEvent>(
            json!({"type": "user.created", "data": {"user_id": "u_42"}, "occurred_at": "2026-03-01T12:00:00Z"}),
        )
        .answers::<ReceiptView>(
            Answer::new(
                StatusCode::ACCEPTED,
                "The event is durable. `deliveries` counts the webhooks that it concerns.",
            ),
            json!({"id": EVENT, "type": "user.created", "deliveries": 2}),
            &[("showEvent", "id", "/id")],
        )
        .refuses([
            IngestError::Overloaded.into(),
            Problem::invalid_one(
                "/type",
                "is empty; an event type is segments of a-z, 0-9 and _ joined by dots, such as user.created",
            ),
        ])
}

pub(in crate::api::v1) fn publish_batch() -> Described {
    let words = "Up to a thousand events, each judged on its own; those that are acceptable become durable together. The answer has one entry for each, in their \
                 order.";
    let accepted = json!({"id": EVENT, "type": "user.created", "deliveries": 2});
    let refused =
        Problem::invalid_one("/type", "contains 'U'; only a-z, 0-9 and _ may stand between the dots").as_entry();
    Described::new("publishEvents", "Publish many events", words)
        .takes::<PublishBatch>(json!({"events": [{"type": "user.created", "data": {"user_id": "u_42"}}]}))
        .answers::<BatchView>(
            Answer::new(StatusCode::ACCEPTED, "All of them are durable."),
            json!({"data": [accepted]}),
            &[],
        )
        .answers::<BatchView>(
            Answer::new(StatusCode::MULTI_STATUS, "Some were refused; the others are durable."),
            json!({"data": [accepted, refused]}),
            &[],
        )
        .refuses([IngestError::Overloaded.into(), IngestError::TooWide.into()])
}

pub(in crate::api::v1) fn list() -> Described {
    Described::new(
        "listEvents",
        "List events",
        "The latest first. `deliveries` counts the webhooks that an event concerned.",
    )
    .pages()
    .answers_page::<ListedEvent>("A page of events.", page(event(json!(2))), &[("showEvent", "id", "/data/0/id")])
}

pub(in crate::api::v1) fn show() -> Described {
    Described::new(
        "showEvent",
        "Show an event",
        "With up to a thousand of its deliveries; the webhooks' own logs have them all.",
    )
    .path::<shapes::EventId>("id", "The event.")
    .answers::<WholeEvent>(Answer::ok("The event."), event(json!([delivery()])), &[])
    .refuses([Problem::not_found("event")])
}

fn event(deliveries: serde_json::Value) -> serde_json::Value {
    json!({
        "id": EVENT, "type": "user.created", "data": {"user_id": "u_42"}, "occurred_at": "2026-03-01T12:00:00Z",
        "created_at": "2026-03-01T12:00:00.123456Z", "deliveries": deliveries,
    })
}
