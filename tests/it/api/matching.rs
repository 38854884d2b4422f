//! Who hears of what.

use serde_json::json;

use crate::support::{Receiver, Service};

/// Whether a webhook with these subscriptions hears of an event, asked of a service without other webhooks.
async fn check(service: &Service, subscriptions: &[&str], event_type: &str, hears: bool) {
    let wish = json!({"url": "http://127.0.0.1:1029/", "events": subscriptions});
    let made = service.post("/v1/webhooks", &wish).await.json();
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());

    let receipt = service.post("/v1/events", &json!({"type": event_type, "data": null})).await;

    assert_eq!(receipt.status, 202, "{}", receipt.text);
    assert_eq!(receipt.json()["deliveries"], u32::from(hears), "{subscriptions:?} and {event_type}");
    assert_eq!(service.delete(&path).await.status, 204);
}

#[tokio::test]
async fn a_subscription_covers_its_name_and_all_beneath_it() {
    let service = Service::start().await;

    check(&service, &["user"], "user", true).await;
    check(&service, &["user"], "user.created", true).await;
    check(&service, &["user"], "user.update.email", true).await;
    check(&service, &["user.update"], "user.update.email", true).await;
    check(&service, &["user.update.email"], "user.update.email", true).await;
    check(&service, &["*"], "session.created", true).await;
    check(&service, &["*"], "x", true).await;
    check(&service, &["a.b.c.d.e.f.g"], "a.b.c.d.e.f.g.h", true).await;
    check(&service, &["user.update"], "user.updated", false).await;
    check(&service, &["user.update"], "user", false).await;
    check(&service, &["user.update"], "user.created", false).await;
    check(&service, &["use"], "user", false).await;
    check(&service, &["update"], "user.update", false).await;
    check(&service, &["session"], "user.session", false).await;
    check(&service, &["user_1"], "user.1", false).await;
    check(&service, &["session", "user.created"], "user.created", true).await;
}

#[tokio::test]
async fn a_webhook_hears_of_an_event_once_however_many_subscriptions_cover_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["*", "user", "user.update", "user.update.email"]).await;

    let receipt = service.post("/v1/events", &json!({"type": "user.update.email", "data": 1})).await.json();

    assert_eq!(receipt["deliveries"], 1);
    service.delivery_when(&webhook, receipt["id"].as_str().unwrap(), "delivered").await;
    let log = service.get(&format!("/v1/webhooks/{webhook}/deliveries")).await.json();
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn every_webhook_that_is_concerned_gets_its_own_delivery() {
    let (service, receiver, other) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    service.webhook(&receiver, &["user"]).await;
    service.webhook(&other, &["user.created"]).await;
    service.webhook(&other, &["order"]).await;

    let receipt = service.post("/v1/events", &json!({"type": "user.created", "data": 1})).await.json();

    assert_eq!(receipt["deliveries"], 2);
    let (one, another) = (receiver.received_when(1).await, other.received_when(1).await);
    assert_eq!(one[0].claims()["jti"], receipt["id"]);
    assert_eq!(another[0].claims()["jti"], receipt["id"]);
    assert_ne!(one[0].claims()["aud"], another[0].claims()["aud"]);
}

#[tokio::test]
async fn a_webhook_without_subscribers_to_it_still_remembers_the_event() {
    let service = Service::start().await;

    let event = service.event("user.created").await;

    let shown = service.get(&format!("/v1/events/{event}")).await.json();
    assert_eq!((&shown["id"], &shown["deliveries"]), (&json!(event), &json!([])));
}

#[tokio::test]
async fn a_disabled_webhook_hears_nothing_until_it_is_enabled() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let wish = json!({"url": receiver.url(), "events": ["*"], "enabled": false});
    let made = service.post("/v1/webhooks", &wish).await.json();
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    let heard =
        async || service.post("/v1/events", &json!({"type": "user", "data": 1})).await.json()["deliveries"].clone();

    assert_eq!((&made["status"], &made["disabled_reason"]), (&json!("disabled"), &json!("requested")));
    assert_eq!(heard().await, 0);
    assert_eq!(service.patch(&path, &json!({"enabled": true})).await.json()["status"], "active");
    assert_eq!(heard().await, 1);
    let disabled = service.patch(&path, &json!({"enabled": false})).await.json();
    assert_eq!(disabled["disabled_at"], "2026-03-01T12:00:00Z");
    assert_eq!(heard().await, 0);
    assert_eq!(receiver.received_when(1).await.len(), 1);
}

#[tokio::test]
async fn changed_subscriptions_count_from_the_next_event_on() {
    let service = Service::start().await;
    let wish = json!({"url": "http://127.0.0.1:1029/", "events": ["user"]});
    let made = service.post("/v1/webhooks", &wish).await.json();
    let heard = async |event_type: &str| {
        service.post("/v1/events", &json!({"type": event_type, "data": 1})).await.json()["deliveries"].clone()
    };

    service.patch(&format!("/v1/webhooks/{}", made["id"].as_str().unwrap()), &json!({"events": ["order"]})).await;

    assert_eq!((heard("user.created").await, heard("order.paid").await), (json!(0), json!(1)));
}
