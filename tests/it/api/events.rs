//! Publishing events, one at a time and many.

use serde_json::{Value, json};

use super::NO_EVENT;
use crate::support::{Receiver, Service};

#[tokio::test]
async fn an_event_is_answered_with_a_receipt() {
    let service = Service::start().await;
    service.webhook(&Receiver::start().await, &["user"]).await;

    let answer = service.post("/v1/events", &json!({"type": "user.created", "data": {"id": 42}})).await;

    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("evt_") && id.len() == 30, "{id}");
    assert_eq!(answer.json(), json!({"id": id, "type": "user.created", "deliveries": 1}));
}

#[tokio::test]
async fn an_event_is_shown_as_it_was_told() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["user"]).await;
    let told = json!({"type": "user.created", "data": {"id": 42}, "occurred_at": "2026-02-28T13:00:00.5+01:00"});

    let receipt = service.post("/v1/events", &told).await.json();

    let id = receipt["id"].as_str().unwrap();
    service.delivery_when(&webhook, id, "delivered").await;
    let mut shown = service.get(&format!("/v1/events/{id}")).await.json();
    let deliveries = shown["deliveries"].take();
    let told = json!({
        "id": id,
        "type": "user.created",
        "data": {"id": 42},
        "occurred_at": "2026-02-28T12:00:00.5Z",
        "created_at": "2026-03-01T12:00:00Z",
        "deliveries": null,
    });
    assert_eq!(shown, told);
    assert_eq!(deliveries.as_array().unwrap().len(), 1);
    assert_eq!((&deliveries[0]["webhook_id"], &deliveries[0]["status"]), (&json!(webhook), &json!("delivered")));
    assert_eq!(receiver.received()[0].claims()["evt_at"], "2026-02-28T12:00:00.5Z");
    let mut listed = service.get("/v1/events").await.json()["data"][0].take();
    assert_eq!(listed["deliveries"].take(), 1);
    assert_eq!(listed, told);
}

#[tokio::test]
async fn an_event_that_says_no_time_happened_now() {
    let service = Service::start().await;

    let event = service.event("user.created").await;

    assert_eq!(service.get(&format!("/v1/events/{event}")).await.json()["occurred_at"], "2026-03-01T12:00:00Z");
}

#[tokio::test]
async fn an_event_that_is_not_there_is_missing() {
    let service = Service::start().await;
    service.event("user.created").await;

    for id in [NO_EVENT, "evt_1", "nonsense", "wh_01HZZZZZZZZZZZZZZZZZZZZZZZ"] {
        let answer = service.get(&format!("/v1/events/{id}")).await;

        assert_eq!((answer.status, &answer.problem()["code"]), (404, &json!("not_found")), "{id}");
    }
}

#[tokio::test]
async fn every_fault_of_an_event_is_named() {
    let service = Service::start().await;

    for (told, pointers) in [
        (json!({"type": "User.Created", "data": 1}), vec!["/type"]),
        (json!({"type": "", "data": 1}), vec!["/type"]),
        (json!({"type": "user.*", "data": 1}), vec!["/type"]),
        (json!({"type": "*", "data": 1}), vec!["/type"]),
        (json!({"type": 5, "data": 1}), vec!["/type"]),
        (json!({"type": "user", "data": 1, "occurred_at": "yesterday"}), vec!["/occurred_at"]),
        (json!({"type": "user", "data": 1, "occurred_at": "2026-03-01T12:00:00"}), vec!["/occurred_at"]),
        (json!({"type": "user", "data": 1, "occurred_at": 1_772_366_400}), vec!["/occurred_at"]),
        (json!({"type": "U", "data": 1, "occurred_at": "now"}), vec!["/type", "/occurred_at"]),
        (json!({"type": "user", "data": 1, "id": "evt_1"}), vec!["/id"]),
        (json!({"type": "user"}), vec!["/data"]),
        (json!({"data": 1}), vec!["/type"]),
        (json!(["user.created", {"id": 1}, null]), vec![""]),
        (json!({"type": "signet.key.revoked", "data": 1}), vec!["/type"]),
        (json!([]), vec![""]),
        (json!("user.created"), vec![""]),
    ] {
        let answer = service.post("/v1/events", &told).await;

        assert_eq!(answer.status, 422, "{told}: {}", answer.text);
        assert_eq!(answer.pointers(), pointers, "{told}: {}", answer.text);
    }
    assert_eq!(service.get("/v1/events").await.json()["data"], json!([]));
}

async fn listed(service: &Service) -> Vec<String> {
    let page = service.get("/v1/events?limit=100").await.json();
    page["data"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_event_of_a_batch_is_judged_on_its_own() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.webhook(&receiver, &["user"]).await;
    let large = format!(r#"{{"type":"user.large","data":"{}"}}"#, "x".repeat(256 * 1024));
    let batch = format!(
        r#"{{"events":[{{"type":"user.one","data":1.10}},{{"type":"Bad","data":2}},{large},
            {{"type":"order.two","data":{{"a":1,"a":2}}}},{{"type":"order.three","data":3}},7]}}"#
    );

    let answer = service.post_text("/v1/events/batch", &batch).await;

    assert_eq!(answer.status, 207, "{}", answer.text);
    let entries = answer.json()["data"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 6);
    assert_eq!((&entries[0]["type"], &entries[0]["deliveries"]), (&json!("user.one"), &json!(1)));
    assert_eq!((&entries[4]["type"], &entries[4]["deliveries"]), (&json!("order.three"), &json!(0)));
    let refused = |at: usize| {
        (entries[at]["status"].clone(), entries[at]["code"].clone(), entries[at]["errors"][0]["pointer"].clone())
    };
    assert_eq!(refused(1), (json!(422), json!("invalid"), json!("/type")));
    assert_eq!(refused(2), (json!(413), json!("too_large"), Value::Null));
    assert_eq!(refused(3), (json!(422), json!("invalid"), json!("/data")));
    assert_eq!(refused(5), (json!(422), json!("invalid"), json!("")));
    assert_eq!(listed(&service).await, ["order.three", "user.one"]);
    assert!(receiver.received_when(1).await[0].claims_text().contains(r#""data":1.10,"#));
}

#[tokio::test]
async fn a_batch_of_good_events_is_accepted_as_a_whole() {
    let service = Service::start().await;

    let answer = service
        .post("/v1/events/batch", &json!({"events": [{"type": "a", "data": 1}, {"type": "b", "data": 2}]}))
        .await;

    assert_eq!(answer.status, 202, "{}", answer.text);
    let ids: Vec<Value> = answer.json()["data"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(service.get(&format!("/v1/events/{}", ids[0].as_str().unwrap())).await.json()["type"], "a");
    assert_eq!(service.get(&format!("/v1/events/{}", ids[1].as_str().unwrap())).await.json()["type"], "b");
}

#[tokio::test]
async fn a_batch_of_bad_events_publishes_nothing() {
    let service = Service::start().await;

    let answer = service.post("/v1/events/batch", &json!({"events": [{"type": "A", "data": 1}, {}]})).await;

    assert_eq!(answer.status, 207, "{}", answer.text);
    assert!(answer.json()["data"].as_array().unwrap().iter().all(|entry| entry["status"] == 422), "{}", answer.text);
    assert!(listed(&service).await.is_empty());
}

#[tokio::test]
async fn a_batch_has_1_to_1000_events() {
    let service = Service::start().await;
    let of = |count: usize| json!({"events": vec![json!({"type": "user.created", "data": 1}); count]});

    let full = service.post("/v1/events/batch", &of(1_000)).await;

    assert_eq!(full.status, 202, "{}", full.text);
    assert_eq!(full.json()["data"].as_array().unwrap().len(), 1_000);
    for count in [0, 1_001] {
        let answer = service.post("/v1/events/batch", &of(count)).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec!["/events".to_owned()]), "{count}");
    }
}

#[tokio::test]
async fn a_batch_that_is_none_is_refused() {
    let service = Service::start().await;

    for (batch, pointer) in [
        (json!({}), "/events"),
        (json!([]), ""),
        (json!({"events": {}}), "/events"),
        (json!({"events": [], "type": "user"}), "/type"),
    ] {
        let answer = service.post("/v1/events/batch", &batch).await;

        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{batch}: {}", answer.text);
    }
}
