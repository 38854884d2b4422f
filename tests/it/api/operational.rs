//! Signet's own events: which names there are, and what they carry when somebody tries them out.

use serde_json::{Value, json};

use crate::support::{Receiver, Service};

const OPERATIONAL: [&str; 6] = [
    "signet.webhook.failing",
    "signet.webhook.disabled",
    "signet.webhook.enabled",
    "signet.delivery.exhausted",
    "signet.key.activated",
    "signet.key.revoked",
];

fn members(data: &Value) -> Vec<&str> {
    let mut members: Vec<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    members
}

#[tokio::test]
async fn a_subscription_to_an_event_of_ours_that_there_is_not_is_refused_with_the_nearest_name() {
    let service = Service::start().await;
    let wish = |events: Value| json!({"url": "https://example.com/", "events": events});

    let groups = ["signet", "signet.webhook", "signet.delivery", "signet.key", "user", "signets.own"];
    let made = service.post("/v1/webhooks", &wish(json!([&OPERATIONAL[..], &groups].concat()))).await;
    let unknown = ["user", "signet.delivery.exausted", "signet.zzz", "signet.challenge", "signet.key.revoked.now"];
    let refused = service.post("/v1/webhooks", &wish(json!(unknown))).await;
    let path = format!("/v1/webhooks/{}", made.json()["id"].as_str().unwrap());
    let changed = service.patch(&path, &json!({"events": ["signet.webhook.disable"]})).await;

    assert_eq!(made.status, 201, "{}", made.text);
    let pointers: Vec<String> = (1..5).map(|at| format!("/events/{at}")).collect();
    assert_eq!((refused.status, refused.pointers()), (422, pointers));
    let details = refused.json()["errors"].clone();
    assert!(details[0]["detail"].as_str().unwrap().contains("signet.delivery.exhausted"), "{details}");
    assert_eq!((changed.status, changed.pointers()), (422, vec!["/events/0".to_owned()]));
    assert!(changed.text.contains("signet.webhook.disabled"), "{}", changed.text);
}

#[tokio::test]
async fn a_test_of_an_event_of_ours_carries_what_that_event_carries() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["*"]).await;
    let path = format!("/v1/webhooks/{webhook}/test");

    for name in OPERATIONAL {
        let tested = service.post(&path, &json!({"event": name})).await;
        assert_eq!((tested.status, &tested.json()["delivered"]), (200, &json!(true)), "{}", tested.text);
    }

    let received = receiver.received();
    let data: Vec<Value> = received.iter().map(|received| received.claims()["data"].clone()).collect();
    assert_eq!(members(&data[0]), ["failing_since", "url", "webhook_id"]);
    assert_eq!(members(&data[1]), ["disabled_at", "disabled_reason", "url", "webhook_id"]);
    assert_eq!(members(&data[2]), ["url", "webhook_id"]);
    assert_eq!(members(&data[3]), ["attempts", "event", "event_id", "webhook_id"]);
    assert_eq!(members(&data[4]), ["kid", "previous_kid"]);
    assert_eq!(members(&data[5]), ["active_kid", "kid", "reason", "revoked_at"]);
    assert!(!data.iter().any(|data| data["webhook_id"] == webhook.as_str()), "nobody's webhook was disabled");
    let jwks = service.get("/.well-known/jwks.json").await.text;
    assert!(!data.iter().any(|data| data["kid"].as_str().is_some_and(|kid| jwks.contains(kid))), "nor key revoked");
}

#[tokio::test]
async fn nothing_is_tried_out_that_is_no_event_of_ours() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let path = format!("/v1/webhooks/{}/test", service.webhook(&receiver, &["*"]).await);

    for name in ["signet", "signet.key", "signet.challenge", "signet.key.rehearsal", "signet.delivery.exausted"] {
        let refused = service.post(&path, &json!({"event": name})).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec!["/event".to_owned()]), "{name}");
    }

    assert_eq!(receiver.received().len(), 0);
}
