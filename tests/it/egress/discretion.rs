//! What whoever runs this may have said of itself, and what it may have forgotten.

use serde_json::json;

use crate::support::{Receiver, Service, until};

#[tokio::test]
async fn a_receiver_is_told_whom_to_turn_to() {
    let service = Service::start_with(&[("SIGNET_CONTACT", "https://example.com/webhooks")]).await;
    let receiver = Receiver::start().await;
    service.post("/v1/webhooks", &json!({"url": receiver.url(), "events": ["user"]})).await;

    service.event("user.created").await;

    let received = receiver.received_when(1).await.remove(0);
    let agent = format!("Signet/{} (+https://example.com/webhooks)", env!("CARGO_PKG_VERSION"));
    assert_eq!(received.header("user-agent"), agent);
}

#[tokio::test]
async fn what_receivers_answer_can_be_left_unwritten_and_challenges_work_all_the_same() {
    let service = Service::start_with(&[("SIGNET_KEEP_ANSWERS", "false")]).await;
    let receiver = Receiver::start().await;
    receiver.answering_by(|received| {
        let challenge = received.claims()["data"]["challenge"].as_str().map(str::to_owned);
        (200, json!({"challenge": challenge, "private": "of the receiver"}).to_string())
    });
    let wish = json!({"url": receiver.url(), "events": ["user"], "activation": {"method": "challenge"}});
    let webhook = service.post("/v1/webhooks", &wish).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/webhooks/{webhook}");
    let activated = service.post(&format!("{path}/activate"), &json!({})).await;
    assert_eq!(activated.json()["activated"], true, "{}", activated.text);

    let test = service.post(&format!("{path}/test"), &json!({"event": "user.created"})).await;
    let event = service.event("user.created").await;
    let path = format!("{path}/deliveries/{event}");
    let logged = until(async || service.get(&path).await.json()["log"].get(0).cloned()).await;

    for attempt in [&test.json()["attempt"], &logged] {
        assert_eq!((&attempt["status_code"], &attempt["response_excerpt"]), (&json!(200), &json!("")));
    }
}
