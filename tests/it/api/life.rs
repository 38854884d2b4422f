//! A webhook's life: its receiver fails, is warned of, is given up, is switched on again and gets what it missed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Received, Receiver, Service, until};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A receiver that hears of what becomes of the tenant's webhooks and deliveries, and of nothing else.
async fn watcher(service: &Service) -> Receiver {
    let receiver = Receiver::start().await;
    service.webhook(&receiver, &["signet"]).await;
    receiver
}

/// What a watcher was told, in order of its types.
fn told(watcher: &Receiver) -> Vec<(String, Value)> {
    watcher.received().iter().map(|received| (received.event(), received.claims()["data"].clone())).collect()
}

async fn told_when(watcher: &Receiver, name: &str) -> Value {
    until(async || told(watcher).into_iter().find(|(event, _)| event == name).map(|(_, data)| data)).await
}

fn webhook_of(service: &Service, id: &str) -> impl AsyncFn() -> Value {
    async move || service.get(&format!("/v1/webhooks/{id}")).await.json()
}

/// The events that a receiver acknowledged in the end, each once.
fn events_of(received: &[Received]) -> Vec<String> {
    let mut events: Vec<String> = received.iter().map(|received| received.header("webhook-id").to_owned()).collect();
    events.sort();
    events.dedup();
    events
}

#[tokio::test]
async fn a_receiver_that_fails_for_five_days_is_warned_of_given_up_and_caught_up() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let watcher = watcher(&service).await;
    let id = service.webhook(&receiver, &["user"]).await;
    let webhook = webhook_of(&service, &id);
    receiver.answering(500);

    let mut events = vec![service.event("user.created").await];
    service.delivery_when(&id, &events[0], "failed").await;
    // Its attempts come due by themselves, and every twelve hours there is something new.
    for half_day in 1..=9 {
        service.after(DAY / 2);
        events.push(service.event("user.created").await);
        let last = events.last().unwrap();
        service.delivery_when(&id, last, "failed").await;
        let state = webhook().await;
        assert_eq!(state["status"], "failing", "after {half_day} half days: {state}");
        assert_eq!(state["failing_since"], "2026-03-01T12:00:00Z");
    }
    let warning = told_when(&watcher, "signet.webhook.failing").await;
    assert_eq!((&warning["webhook_id"], &warning["failing_since"]), (&json!(id), &json!("2026-03-01T12:00:00Z")));
    for _ in 0..2 {
        service.after(DAY / 2);
        events.push(service.event("user.created").await);
        until(async || {
            let state = service.get(&format!("/v1/webhooks/{id}/deliveries/{}", events.last().unwrap())).await;
            (state.status == 404 || state.json()["status"] != "pending").then_some(())
        })
        .await;
    }
    until(async || (webhook().await["status"] == "disabled").then_some(())).await;
    assert_eq!(webhook().await["disabled_reason"], "failing");
    let disabled = told_when(&watcher, "signet.webhook.disabled").await;
    assert_eq!((&disabled["webhook_id"], &disabled["disabled_reason"]), (&json!(id), &json!("failing")));

    // It hears of nothing while it is disabled.
    receiver.answering(200);
    events.push(service.event("user.created").await);
    let missed = service.event("user.deleted").await;
    service.event("session.created").await;
    let refused = service.post(&format!("/v1/webhooks/{id}/replay"), &json!({"from": "2026-03-01T00:00:00Z"})).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("webhook_disabled")));

    // What is still queued goes out as soon as it is enabled, before anything is replayed.
    let before = receiver.received().len();
    let enabled = service.patch(&format!("/v1/webhooks/{id}"), &json!({"enabled": true})).await.json();
    assert_eq!(enabled["status"], "active", "{enabled}");
    told_when(&watcher, "signet.webhook.enabled").await;
    let replayed = service.post(&format!("/v1/webhooks/{id}/replay"), &json!({"from": "2026-03-01T00:00:00Z"})).await;
    assert_eq!(replayed.status, 202, "{}", replayed.text);
    assert_eq!(replayed.json()["complete"], true);

    events.push(missed);
    events.sort();
    let caught_up = || events_of(&receiver.received()[before..]);
    until(async || (caught_up().len() == events.len()).then_some(())).await;
    assert_eq!(caught_up(), events, "each event that it subscribed to, and no other");
}

/// An event whose first two attempts fail, and the third comes due.
async fn fail_for_an_hour(service: &Service, id: &str) {
    let event = service.event("user.created").await;
    let path = format!("/v1/webhooks/{id}/deliveries/{event}");
    for (attempts, wait) in [(1, Duration::from_secs(10)), (2, HOUR)] {
        until(async || (service.get(&path).await.json()["attempts"] == attempts).then_some(())).await;
        service.after(wait);
    }
}

#[tokio::test]
async fn a_webhook_that_is_switched_on_again_has_its_five_days_anew() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let id = service.webhook(&receiver, &["user"]).await;
    let webhook = webhook_of(&service, &id);
    receiver.answering(500);
    fail_for_an_hour(&service, &id).await;
    until(async || (webhook().await["status"] == "failing").then_some(())).await;

    service.patch(&format!("/v1/webhooks/{id}"), &json!({"enabled": false})).await;
    service.after(DAY * 4);
    service.patch(&format!("/v1/webhooks/{id}"), &json!({"enabled": true})).await;
    let switched_on_at = service.now().to_string();
    fail_for_an_hour(&service, &id).await;

    until(async || (webhook().await["status"] == "failing").then_some(())).await;
    assert!(webhook().await["failing_since"].as_str().unwrap() >= switched_on_at.as_str());
}

#[tokio::test]
async fn a_receiver_that_acknowledges_one_delivery_is_not_failing_any_more() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let id = service.webhook(&receiver, &["user"]).await;
    let webhook = webhook_of(&service, &id);
    receiver.answering(500);
    fail_for_an_hour(&service, &id).await;
    until(async || (webhook().await["status"] == "failing").then_some(())).await;

    receiver.answering(204);
    service.event("user.created").await;

    until(async || (webhook().await["status"] == "active").then_some(())).await;
    assert_eq!(webhook().await.get("failing_since"), None);
}

#[tokio::test]
async fn who_is_subscribed_is_told_of_deliveries_that_are_given_up_and_of_keys_that_begin_to_sign() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let watcher = watcher(&service).await;
    let everything = Receiver::start().await;
    service.webhook(&everything, &["*"]).await;
    receiver.answering(500);
    let wish = json!({"url": receiver.url(), "events": ["order"], "retry": {"schedule": []}});
    let id = service.post("/v1/webhooks", &wish).await.json()["id"].as_str().unwrap().to_owned();

    let event = service.event("order.paid").await;
    let exhausted = told_when(&watcher, "signet.delivery.exhausted").await;
    let promoted = service.post("/v1/admin/keys/rotate", &json!({})).await.json();
    let activated = told_when(&watcher, "signet.key.activated").await;

    let expected = json!({"webhook_id": id, "event_id": event, "event": "order.paid", "attempts": 1});
    assert_eq!(exhausted, expected);
    assert_eq!(activated["kid"], promoted["active_kid"]);
    let heard: Vec<String> = everything.received().iter().map(Received::event).collect();
    assert_eq!(heard, ["order.paid"], "everything is everything that the platform publishes");
}

#[tokio::test]
async fn a_replay_takes_what_it_is_asked_for_within_its_span() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let id = service.webhook(&receiver, &["user"]).await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(service.event("user.created").await);
        service.delivery_when(&id, events.last().unwrap(), "delivered").await;
        service.after(HOUR);
    }
    let replay = async |body: Value| service.post(&format!("/v1/webhooks/{id}/replay"), &body).await;

    let failed = replay(json!({"from": "2026-03-01T00:00:00Z"})).await.json();
    let one = replay(json!({"from": "2026-03-01T12:30:00Z", "to": "2026-03-01T13:30:00Z", "status": "all"})).await;

    assert_eq!((&failed["scheduled"], &failed["complete"]), (&json!(0), &json!(true)));
    assert_eq!((one.status, &one.json()["scheduled"]), (202, &json!(1)));
    let received = receiver.received_when(4).await;
    assert_eq!(received[3].header("webhook-id"), events[1]);
    assert_eq!(received[3].header("webhook-attempt"), "2");
    for (body, pointers) in [
        (json!({}), vec!["/from"]),
        (json!({"from": "yesterday"}), vec!["/from"]),
        (json!({"from": "2026-03-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}), vec!["/to"]),
        (json!({"from": "2026-03-01T00:00:00Z", "status": "some", "after": "x"}), vec!["/status", "/after"]),
    ] {
        let refused = replay(body).await;
        assert_eq!((refused.status, refused.pointers()), (422, pointers.into_iter().map(str::to_owned).collect()));
    }
}

#[tokio::test]
async fn a_long_span_is_replayed_in_several_requests_without_a_gap() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let count = 20_050;
    let published = ["user.created"; 1_000].map(|name| json!({"type": name, "data": 1}));
    for batch in 0..=count / 1_000 {
        let size = if batch == count / 1_000 { count % 1_000 } else { 1_000 };
        let answer = service.post("/v1/events/batch", &json!({"events": published[..size]})).await;
        assert_eq!(answer.status, 202);
    }
    receiver.answering(500);
    let id = service.webhook(&receiver, &["user"]).await;

    let mut body = json!({"from": "2026-03-01T00:00:00Z", "status": "all"});
    let first = service.post(&format!("/v1/webhooks/{id}/replay"), &body).await.json();
    body["after"] = first["after"].clone();
    let second = service.post(&format!("/v1/webhooks/{id}/replay"), &body).await.json();

    assert_eq!((&first["scheduled"], &first["complete"]), (&json!(20_000), &json!(false)));
    assert_eq!((&second["scheduled"], &second["complete"]), (&json!(50), &json!(true)));
    assert_eq!(second.get("after"), None);
}
