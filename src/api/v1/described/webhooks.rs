//! `/v1/webhooks`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{EVENT, SECRET, WEBHOOK, attempt, page};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::api::v1::webhooks::{
    ActivatedView, ChangeWebhook, CreateWebhook, RotateSecret, RotatedView, TestWebhook, Tested, WebhookView, missing,
};
use crate::engine::keys::MayNotSign;
use crate::engine::webhooks::WebhookError;

/// What can be asked about a webhook, once it is there.
const LINKS: [(&str, &str, &str); 9] = [
    ("showWebhook", "id", "/id"),
    ("changeWebhook", "id", "/id"),
    ("testWebhook", "id", "/id"),
    ("activateWebhook", "id", "/id"),
    ("rotateWebhookSecret", "id", "/id"),
    ("replayWebhook", "id", "/id"),
    ("listDeliveries", "id", "/id"),
    ("retryDelivery", "id", "/id"),
    ("deleteWebhook", "id", "/id"),
];

pub(in crate::api::v1) fn list() -> Described {
    Described::new("listWebhooks", "List webhooks", "The latest first.").pages().answers_page::<WebhookView>(
        "A page of webhooks.",
        page(webhook()),
        &[("showWebhook", "id", "/data/0/id")],
    )
}

pub(in crate::api::v1) fn create() -> Described {
    let words = "Its signing secret is shown in this answer and never again; receivers that verify the token need none. Values of headers are kept sealed and shown as \
                 `***`. With `activation` it is `pending`, and sent nothing, until its receiver has shown that it wants deliveries. With `encryption` the data of \
                 its deliveries is a JWE; of a `jwks_url` only the address is judged here, and a test shows whether a key can be had. With `\"delivery\": \"pull\"` nothing is sent: its \
                 receiver collects at the `url` of the answer, with the `pull_key` that is shown there and never again.";
    let mut shown = webhook();
    shown["signing_secret"] = SECRET.into();
    let example = json!({
        "url": "https://example.com/webhooks", "events": ["user", "session.created"], "description": "CRM",
        "headers": {"authorization": "Bearer of-the-receiver"}, "retry": {"schedule": [5, 300, 1800]}, "timeout_seconds": 10,
    });
    Described::new("createWebhook", "Register a webhook", words)
        .takes::<CreateWebhook>(example)
        .answers::<WebhookView>(
            Answer::new(StatusCode::CREATED, "The webhook, with its signing secret."),
            shown,
            &LINKS,
        )
        .refuses([
            Problem::invalid_one("/url", "must use https; plain http is accepted only when SIGNET_ALLOW_HTTP is set"),
            WebhookError::Blocked.into(),
            WebhookError::NotEncrypted.into(),
            WebhookError::TooMany.into(),
        ])
}

pub(in crate::api::v1) fn show() -> Described {
    Described::new("showWebhook", "Show a webhook", "Without its signing secret.")
        .path::<shapes::WebhookId>("id", "The webhook.")
        .answers::<WebhookView>(Answer::ok("The webhook."), webhook(), &[])
        .refuses([missing()])
}

pub(in crate::api::v1) fn change() -> Described {
    let words = "What is left out stays; null takes a value of its own away (RFC 7396). Enabling it again ends what it was disabled for; what it missed meanwhile is \
                 sent by a replay. One with `activation` is `pending` again after its URL was changed.";
    Described::new("changeWebhook", "Change a webhook", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .takes::<ChangeWebhook>(json!({"enabled": false}))
        .answers::<WebhookView>(Answer::ok("The webhook as it is now."), webhook(), &[])
        .refuses([
            missing(),
            WebhookError::Contended.into(),
            WebhookError::Declared.into(),
            WebhookError::Blocked.into(),
            WebhookError::NotEncrypted.into(),
            WebhookError::MethodIsFixed.into(),
        ])
}

pub(in crate::api::v1) fn remove() -> Described {
    Described::new(
        "deleteWebhook",
        "Delete a webhook",
        "Nothing is sent to it any more; what was pending is cancelled.",
    )
    .path::<shapes::WebhookId>("id", "The webhook.")
    .answers_nothing(StatusCode::NO_CONTENT, "It is gone.")
    .refuses([missing()])
}

pub(in crate::api::v1) fn test() -> Described {
    let words = "Sends the catalogue's sample of an event type to this webhook, signed like any delivery, and answers with what became of it. One attempt, no retry; \
                 a receiver that refuses it is no error here. For a receiver that collects it lies ready, and there is no attempt yet.";
    Described::new("testWebhook", "Send a test delivery", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .takes::<TestWebhook>(json!({"event": "user.created"}))
        .answers::<Tested>(
            Answer::ok("What became of it."),
            json!({"webhook_id": WEBHOOK, "event_id": EVENT, "event": "user.created", "delivered": true, "attempt": attempt()}),
            &[],
        )
        .refuses([
            missing(),
            MayNotSign.into(),
            Problem::invalid_one("/event", "is no event of Signet's own; did you mean signet.webhook.failing?"),
        ])
}

pub(in crate::api::v1) fn activate() -> Described {
    let words = "Asks the receiver whether it wants deliveries, in the way that the webhook's `activation` says or with a signed challenge. A receiver that does not is no \
                 error here: `failure_detail` says why.";
    Described::new("activateWebhook", "Have a receiver show that it wants deliveries", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .answers::<ActivatedView>(
            Answer::ok("What the receiver showed."),
            json!({"webhook_id": WEBHOOK, "activated": true, "status": "active", "method": "challenge"}),
            &[],
        )
        .refuses([missing(), MayNotSign.into(), WebhookError::Collects(Vec::new()).into()])
}

pub(in crate::api::v1) fn rotate_secret() -> Described {
    let words = "A new signing secret, made here or given by the caller. Until the overlap ends, deliveries are signed with the old ones too: a day by default, a week at \
                 most, 0 to end all of them at once.";
    Described::new("rotateWebhookSecret", "Rotate a signing secret", words)
        .path::<shapes::WebhookId>("id", "The webhook.")
        .may_take::<RotateSecret>(json!({"overlap_seconds": 86_400}))
        .answers::<RotatedView>(
            Answer::ok("The new secret, shown this once."),
            json!({"webhook_id": WEBHOOK, "signing_secret": SECRET, "previous_expires_at": "2026-03-02T12:00:00Z"}),
            &[],
        )
        .refuses([
            missing(),
            WebhookError::Declared.into(),
            Problem::conflict("too_many_secrets", "too many secrets sign already; wait until some have expired"),
        ])
}

fn webhook() -> Value {
    json!({
        "id": WEBHOOK, "delivery": "push", "url": "https://example.com/webhooks", "events": ["user", "session.created"], "description": "CRM",
        "format": "token", "typ": "JWT", "v1a": false, "audience": "https://example.com/webhooks",
        "headers": {"authorization": "***"}, "enabled": true, "encryption": {"jwks_url": "https://example.com/keys.json"},
        "declared": false, "status": "active", "retry": {"schedule": [5, 300, 1800]}, "timeout_seconds": 10,
        "last_delivery_at": "2026-03-01T12:00:00Z", "created_at": "2026-02-01T12:00:00Z", "updated_at": "2026-02-01T12:00:00Z",
    })
}
