//! What becomes of deliveries: on time, in vain, in the end, and beside each other.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use signet::domain::retry::RetryPolicy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Receiver, Service, until};

/// Waits until this many attempts of a delivery are in its log, and answers the delivery.
async fn logged(service: &Service, webhook: &str, event: &str, attempts: usize) -> Value {
    let path = format!("/v1/webhooks/{webhook}/deliveries/{event}");
    until(async || {
        let delivery = service.get(&path).await.json();
        (delivery["log"].as_array().map_or(0, Vec::len) == attempts).then_some(delivery)
    })
    .await
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_on_schedule_with_a_fresh_token() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(500);
    let webhook = service.webhook(&receiver, &["user"]).await;

    let event = service.event("user.created").await;
    logged(&service, &webhook, &event, 1).await;
    service.after(Duration::from_secs(6));
    logged(&service, &webhook, &event, 2).await;
    receiver.answering(204);
    service.after(Duration::from_mins(6));
    let delivery = service.delivery_when(&webhook, &event, "delivered").await;

    let codes: Vec<&Value> =
        delivery["log"].as_array().unwrap().iter().map(|attempt| &attempt["status_code"]).collect();
    assert_eq!(codes, [500, 500, 204]);
    let received = receiver.received();
    let numbers: Vec<&str> = received.iter().map(|received| received.header("webhook-attempt")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert!(
        received
            .iter()
            .all(|received| received.header("webhook-id") == event && received.claims()["jti"] == event.as_str())
    );
    let issued: Vec<i64> = received.iter().map(|received| received.claims()["iat"].as_i64().unwrap()).collect();
    assert_eq!((issued[1] - issued[0], issued[2] - issued[1]), (6, 360));
}

#[tokio::test]
async fn a_delivery_that_always_fails_is_exhausted_after_ten_attempts() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(503);
    let webhook = service.webhook(&receiver, &["*"]).await;

    let event = service.event("user.created").await;
    for (attempts, wait) in (1..).zip(RetryPolicy::standard().waits()) {
        assert_eq!(logged(&service, &webhook, &event, attempts).await["status"], "failed");
        // With all the jitter that there may be.
        service.after(*wait + *wait / 5);
    }
    let delivery = service.delivery_when(&webhook, &event, "exhausted").await;

    assert_eq!(delivery["attempts"], 10);
    assert_eq!(delivery["log"][9]["response_excerpt"], "as told");
    assert_eq!(receiver.received().len(), 10);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(429);
    receiver.asking_to_wait(600);
    let webhook = service.webhook(&receiver, &["*"]).await;

    let event = service.event("user.created").await;
    let delivery = logged(&service, &webhook, &event, 1).await;

    let next = delivery["next_attempt_at"].as_str().unwrap();
    assert_eq!(next, service.now().plus(Duration::from_mins(10)).to_string());
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(410);
    let webhook = service.webhook(&receiver, &["*"]).await;

    let event = service.event("user.created").await;
    let delivery = service.delivery_when(&webhook, &event, "exhausted").await;
    let receipt = service.post("/v1/events", &json!({"type": "user.created", "data": null})).await.json();

    assert_eq!(delivery["attempts"], 1);
    let shown = service.get(&format!("/v1/webhooks/{webhook}")).await.json();
    assert_eq!((&shown["enabled"], &shown["disabled_reason"]), (&json!(false), &json!("gone")));
    assert_eq!(receipt["deliveries"], 0);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(307);
    let webhook = service.webhook(&receiver, &["*"]).await;

    let event = service.event("user.created").await;
    let delivery = logged(&service, &webhook, &event, 1).await;

    assert_eq!((&delivery["status"], &delivery["last_status_code"]), (&json!("failed"), &json!(307)));
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_does_not_listen_is_named_in_the_log() {
    let service = Service::start().await;
    let answer = service.post("/v1/webhooks", &json!({"url": "http://127.0.0.1:1029/", "events": ["*"]})).await.json();
    let webhook = answer["id"].as_str().unwrap();

    let event = service.event("user.created").await;
    let delivery = logged(&service, webhook, &event, 1).await;

    assert_eq!(delivery["log"][0]["failure"], "connect");
    assert_eq!(delivery["log"][0].get("status_code"), None);
}

#[tokio::test]
async fn a_slow_receiver_does_not_delay_a_fast_one() {
    let service = Service::start().await;
    let (slow, fast) = (Receiver::start().await, Receiver::start().await);
    slow.answering_after(Duration::from_secs(20));
    let slow_webhook = service.webhook(&slow, &["slow"]).await;
    service.webhook(&fast, &["fast"]).await;

    for _ in 0..100 {
        service.event("slow.event").await;
    }
    for _ in 0..100 {
        service.event("fast.event").await;
    }
    fast.received_when(100).await;

    let ended = service.get(&format!("/v1/webhooks/{slow_webhook}/deliveries?status=delivered")).await.json();
    assert_eq!(ended["data"].as_array().unwrap().len(), 0, "the slow one has answered nothing yet");
    assert!(slow.received().len() <= 64, "what is under way to one receiver is bounded");
}

#[tokio::test]
async fn what_waits_too_long_for_its_turn_is_given_back_and_comes_once() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["*"]).await;
    for count in 1..=100 {
        service.event("user.created").await;
        receiver.received_when(count).await;
    }

    receiver.holding();
    for _ in 0..100 {
        service.event("user.created").await;
    }
    receiver.received_when(164).await;
    service.after(Duration::from_secs(5));
    let now = json!(service.now().to_string());
    until(async || {
        let waiting = service.get(&format!("/v1/webhooks/{webhook}/deliveries?status=pending")).await.json();
        let is_due = |delivery: &Value| delivery["next_attempt_at"] == now;
        waiting["data"].as_array().unwrap().iter().any(is_due).then_some(())
    })
    .await;
    assert_eq!(receiver.received().len(), 164, "a receiver is not sent more than it can answer");
    receiver.letting_go();
    let received = receiver.received_when(200).await;

    let ids: BTreeSet<&str> = received.iter().map(|received| received.header("webhook-id")).collect();
    assert_eq!((received.len(), ids.len()), (200, 200), "what was given back had not been sent");
    assert!(received.iter().all(|received| received.header("webhook-attempt") == "1"), "no attempt was used up");
}

#[tokio::test]
async fn a_delivery_may_be_asked_for_again() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["*"]).await;
    let event = service.event("user.created").await;
    service.delivery_when(&webhook, &event, "delivered").await;

    let answer = service.post(&format!("/v1/webhooks/{webhook}/deliveries/{event}/retry"), &json!({})).await;
    let delivery = logged(&service, &webhook, &event, 2).await;

    assert_eq!(answer.status, 202);
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(2)));
    let ids: Vec<String> =
        receiver.received().iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, [event.clone(), event]);
}

#[tokio::test]
async fn a_waiting_delivery_may_be_hastened() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(500);
    let webhook = service.webhook(&receiver, &["*"]).await;
    let event = service.event("user.created").await;
    logged(&service, &webhook, &event, 1).await;
    receiver.answering(200);

    service.post(&format!("/v1/webhooks/{webhook}/deliveries/{event}/retry"), &json!({})).await;

    service.delivery_when(&webhook, &event, "delivered").await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn what_is_under_way_has_no_next_attempt_yet() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(500);
    let webhook = service.webhook(&receiver, &["*"]).await;
    let event = service.event("user.created").await;
    let waiting = logged(&service, &webhook, &event, 1).await;
    receiver.holding();

    service.after(Duration::from_secs(6));
    receiver.received_when(2).await;
    let under_way = service.get(&format!("/v1/webhooks/{webhook}/deliveries/{event}")).await.json();
    let of_event = service.get(&format!("/v1/events/{event}")).await.json();

    assert!(waiting["next_attempt_at"].is_string(), "{waiting}");
    assert_eq!((&under_way["status"], under_way.get("next_attempt_at")), (&json!("failed"), None));
    assert_eq!(of_event["deliveries"][0].get("next_attempt_at"), None);
    receiver.letting_go();
}

#[tokio::test]
async fn what_waits_for_a_disabled_webhook_is_cancelled_when_it_is_due() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(500);
    let webhook = service.webhook(&receiver, &["*"]).await;
    let event = service.event("user.created").await;
    logged(&service, &webhook, &event, 1).await;

    service.patch(&format!("/v1/webhooks/{webhook}"), &json!({"enabled": false})).await;
    service.after(Duration::from_secs(6));
    let delivery = service.delivery_when(&webhook, &event, "cancelled").await;

    assert_eq!(delivery["log"].as_array().unwrap().len(), 1);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_test_delivery_is_real_and_told_at_once() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["order"]).await;
    let path = format!("/v1/webhooks/{webhook}/test");

    let good = service.post(&path, &json!({"event": "user.created"})).await;
    receiver.answering(500);
    let bad = service.post(&path, &json!({"event": "user.created"})).await;

    assert_eq!((good.status, &good.json()["delivered"]), (200, &json!(true)));
    assert_eq!((bad.status, &bad.json()["delivered"]), (200, &json!(false)));
    assert_eq!(bad.json()["attempt"]["status_code"], 500);
    let received = receiver.received();
    assert_eq!(received[0].event(), "user.created");
    assert_eq!(received[0].claims()["jti"], good.json()["event_id"]);
    let event = bad.json()["event_id"].as_str().unwrap().to_owned();
    assert_eq!(service.delivery_when(&webhook, &event, "exhausted").await["attempts"], 1);
}

#[tokio::test]
async fn an_event_is_shown_with_its_deliveries() {
    let service = Service::start().await;
    let (one, other) = (Receiver::start().await, Receiver::start().await);
    other.answering(500);
    let first = service.webhook(&one, &["user"]).await;
    let second = service.webhook(&other, &["*"]).await;

    let event = service.event("user.created").await;
    service.delivery_when(&first, &event, "delivered").await;
    logged(&service, &second, &event, 1).await;
    let shown = service.get(&format!("/v1/events/{event}")).await.json();

    let deliveries = shown["deliveries"].as_array().unwrap();
    let of = |webhook: &str| deliveries.iter().find(|delivery| delivery["webhook_id"] == webhook).unwrap();
    assert_eq!((&of(&first)["status"], &of(&second)["status"]), (&json!("delivered"), &json!("failed")));
    assert_eq!(shown["data"], json!({"id": 42}));
}

/// A server that answers every request with these bytes and hangs up.
async fn server_that_says(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 64 * 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn an_answer_is_decided_by_its_head_even_if_its_body_breaks_off() {
    let service = Service::start().await;
    let url = server_that_says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await;
    let webhook = service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await.json();
    let webhook = webhook["id"].as_str().unwrap();

    let event = service.event("user.created").await;
    let delivery = service.delivery_when(webhook, &event, "delivered").await;

    assert_eq!(delivery["log"][0]["status_code"], 200);
    assert_eq!(delivery["log"][0]["response_excerpt"], "short");
}

#[tokio::test]
async fn what_is_not_http_is_named_in_the_log() {
    let service = Service::start().await;
    let url = server_that_says("SSH-2.0-OpenSSH_9.2\r\n").await;
    let webhook = service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await.json();
    let webhook = webhook["id"].as_str().unwrap();

    let event = service.event("user.created").await;
    let delivery = logged(&service, webhook, &event, 1).await;

    assert_eq!(delivery["log"][0]["failure"], "protocol");
}

#[tokio::test]
async fn a_delivery_to_a_disabled_webhook_is_not_taken_out_of_the_log() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["*"]).await;
    let event = service.event("user.created").await;
    service.delivery_when(&webhook, &event, "delivered").await;
    service.patch(&format!("/v1/webhooks/{webhook}"), &json!({"enabled": false})).await;

    let answer = service.post(&format!("/v1/webhooks/{webhook}/deliveries/{event}/retry"), &json!({})).await;

    assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("webhook_disabled")));
    service.delivery_when(&webhook, &event, "delivered").await;
}

#[tokio::test]
async fn a_change_to_null_is_refused_where_there_is_no_default() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["*"]).await;

    for member in ["url", "events", "description", "format", "enabled"] {
        let answer = service.patch(&format!("/v1/webhooks/{webhook}"), &json!({member: null})).await;

        assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (422, &json!(format!("/{member}"))));
    }
}

#[tokio::test]
async fn a_handshake_that_fails_is_named_in_the_log() {
    let service = Service::start().await;
    let url = server_that_says("HTTP/1.1 400 Bad Request\r\n\r\n").await.replace("http://", "https://");
    let webhook = service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await.json();
    let webhook = webhook["id"].as_str().unwrap();

    let event = service.event("user.created").await;
    let delivery = logged(&service, webhook, &event, 1).await;

    assert_eq!(delivery["log"][0]["failure"], "tls");
}
