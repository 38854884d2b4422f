//! `/v1/webhooks/{id}/deliveries`, and replay.

use axum::http::StatusCode;
use serde_json::json;
use utoipa::PartialSchema;

use super::{EVENT, WEBHOOK, attempt, delivery, page};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::deliveries::{Replay, ReplayedView, WholeDelivery, missing, status_list};
use crate::api::v1::views::DeliveryView;
use crate::api::v1::webhooks::missing as missing_webhook;
use crate::engine::deliveries::RetryError;

pub(in crate::api::v1) fn list() -> Described {
    Described::new("listDeliveries", "List a webhook's deliveries", "The latest event first.")
        .path::<shapes::WebhookId>("id", "The webhook.")
        .pages()
        .query("status", "Only those with one of these, separated by commas.", status_list())
        .query("event", "Only those of events of this type, and of all beneath it.", shapes::Subscription::schema())
        .query("from", "Only those of events accepted then or later.", shapes::Timestamp::schema())
        .query("to", "Only those of events accepted before.", shapes::Timestamp::schema())
        .answers_page::<DeliveryView>("A page of deliveries.", page(delivery()), &[])
        .refuses([missing_webhook()])
}

pub(in crate::api::v1) fn show() -> Described {
    let mut whole = delivery();
    whole["log"] = json!([attempt()]);
    Described::new(
        "showDelivery",
        "Show a delivery with every attempt",
        "What was answered, how long it took, and which key signed.",
    )
    .path::<shapes::WebhookId>("id", "The webhook.")
    .path::<shapes::EventId>("event_id", "The event.")
    .answers::<WholeDelivery>(Answer::ok("The delivery."), whole, &[])
    .refuses([missing_webhook(), missing()])
}

pub(in crate::api::v1) fn retry() -> Described {
    let due = json!({
        "webhook_id": WEBHOOK, "event_id": EVENT, "event": "user.created", "status": "pending", "attempts": 0,
        "next_attempt_at": "2026-03-05T12:00:00Z",
    });
    Described::new(
        "retryDelivery",
        "Try a delivery again",
        "At once and with the whole schedule before it, whatever became of it.",
    )
    .path::<shapes::WebhookId>("id", "The webhook.")
    .path::<shapes::EventId>("event_id", "The event.")
    .answers::<DeliveryView>(Answer::new(StatusCode::ACCEPTED, "It is due."), due, &[])
    .refuses([missing_webhook(), missing(), RetryError::Disabled.into(), RetryError::Pending.into()])
}

pub(in crate::api::v1) fn replay() -> Described {
    let words = "Makes deliveries of a span due again: by default those that were not delivered, among them what the webhook missed while it was disabled. A long span is \
                 gone through in several requests, each with the `after` that the one before answered.";
    Described::new("replayWebhook", "Replay a span of events", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .takes::<Replay>(json!({"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "status": "failed"}))
        .answers::<ReplayedView>(
            Answer::new(StatusCode::ACCEPTED, "So many are due."),
            json!({"webhook_id": WEBHOOK, "scheduled": 17, "complete": true}),
            &[],
        )
        .refuses([
            missing_webhook(),
            RetryError::Disabled.into(),
            RetryError::Pending.into(),
            Problem::invalid_one("/to", "is before `from`"),
        ])
}
