//! What a replay sends again, and what it leaves alone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Receiver, Service};

const HOUR: Duration = Duration::from_hours(1);
/// From before every test.
const EVER: &str = "2026-03-01T00:00:00Z";

async fn scheduled(service: &Service, webhook: &str, body: Value) -> Value {
    let answer = service.post(&format!("/v1/webhooks/{webhook}/replay"), &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["scheduled"].clone()
}

#[tokio::test]
async fn what_was_meant_for_one_webhook_to_try_it_out_is_replayed_to_none() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let tried = service.webhook(&receiver, &["*", "signet"]).await;
    let other = service.webhook(&receiver, &["*", "signet"]).await;
    let path = format!("/v1/webhooks/{tried}");
    for (path, body) in [
        (&*format!("{path}/test"), json!({"event": "user.created"})),
        (&*format!("{path}/activate"), json!({})),
        ("/v1/admin/keys/rehearse", json!({})),
    ] {
        let answer = service.post(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    let before = receiver.received().len();

    let everything = json!({"from": EVER, "status": "all"});
    let to_the_other = scheduled(&service, &other, everything.clone()).await;
    let to_itself = scheduled(&service, &tried, everything).await;
    let event = service.event("user.deleted").await;

    assert_eq!((to_the_other, to_itself), (json!(0), json!(0)));
    for webhook in [&tried, &other] {
        service.delivery_when(webhook, &event, "delivered").await;
    }
    assert_eq!(receiver.received().len(), before + 2);
}

#[tokio::test]
async fn a_replay_begins_with_its_webhook_unless_it_asks_for_all() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.event("user.created").await;
    service.after(HOUR);
    let id = service.webhook(&receiver, &["user"]).await;
    service.patch(&format!("/v1/webhooks/{id}"), &json!({"enabled": false})).await;
    let missed = service.event("user.created").await;
    service.patch(&format!("/v1/webhooks/{id}"), &json!({"enabled": true})).await;

    let failed = scheduled(&service, &id, json!({"from": EVER})).await;
    service.delivery_when(&id, &missed, "delivered").await;
    let all = scheduled(&service, &id, json!({"from": EVER, "status": "all"})).await;

    assert_eq!((failed, all), (json!(1), json!(2)));
}
