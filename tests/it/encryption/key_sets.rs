//! Keys that receivers publish: when they are fetched, for how long they are used, and what happens while there are none.

use std::time::Duration;

use serde_json::{Value, json};

use super::opening::ReceiversKey;
use super::publisher::Publisher;
use super::{DATA, opened, published, registered};
use crate::support::{Receiver, Service, until};

/// More than any wait for another try; what is fetched takes real time, which counts as well.
const MINUTE: Duration = Duration::from_mins(1);

/// A webhook whose keys stand at a publisher's, with more members than it must have.
async fn following(service: &Service, receiver: &Receiver, publisher: &Publisher, members: Value) -> String {
    let mut wish = json!({"encryption": {"jwks_url": publisher.url()}});
    wish.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    registered(service, receiver, wish).await
}

/// The last attempt of a delivery that was not made.
async fn failed(service: &Service, webhook: &str, event: &str) -> Value {
    let delivery = service.delivery_when(webhook, event, "failed").await;
    delivery["log"].as_array().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn keys_are_fetched_when_they_are_needed_and_kept_for_as_long_as_they_may_be() {
    let (service, receiver, publisher) = (Service::start().await, Receiver::start().await, Publisher::start().await);
    let key = ReceiversKey::on("P-256", "a");
    let set = json!({"keys": [key.jwk()]}).to_string();
    publisher.answering_with(200, &[("cache-control", "public, max-age=300")], &set);
    following(&service, &receiver, &publisher, json!({})).await;
    assert_eq!(publisher.asked(), 0, "nobody asks before there is something to encrypt");

    for (count, wait, asked) in [(1, 0, 1), (2, 250, 1), (3, 100, 2), (4, 250, 2)] {
        service.after(Duration::from_secs(wait));
        published(&service).await;
        assert_eq!(opened(&receiver.received_when(count).await[count - 1], &key), DATA);
        assert_eq!(publisher.asked(), asked, "delivery {count}");
    }
}

#[tokio::test]
async fn a_receiver_changes_its_key_by_publishing_another_one() {
    let (service, receiver, publisher) = (Service::start().await, Receiver::start().await, Publisher::start().await);
    let (first, second) = (ReceiversKey::x25519("1"), ReceiversKey::rsa("2"));
    let signing =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "sig"});
    publisher.publishing(&[signing.clone(), first.jwk()]);
    following(&service, &receiver, &publisher, json!({})).await;

    published(&service).await;
    assert_eq!(opened(&receiver.received_when(1).await[0], &first), DATA);
    let mut meant = second.jwk();
    meant["use"] = "enc".into();
    publisher.publishing(&[signing, first.jwk(), meant]);
    published(&service).await;
    assert_eq!(opened(&receiver.received_when(2).await[1], &first), DATA);
    service.after(11 * MINUTE);
    published(&service).await;

    assert_eq!(opened(&receiver.received_when(3).await[2], &second), DATA);
    assert_eq!(publisher.asked(), 2);
}

#[tokio::test]
async fn the_last_good_key_is_used_for_a_day_while_the_set_cannot_be_had() {
    let (service, receiver, publisher) = (Service::start().await, Receiver::start().await, Publisher::start().await);
    let key = ReceiversKey::x25519("a");
    publisher.publishing(&[key.jwk()]);
    let webhook = following(&service, &receiver, &publisher, json!({})).await;
    published(&service).await;
    receiver.received_when(1).await;

    publisher.answering(500, "out of order");
    service.after(11 * MINUTE);
    for count in 2..=4 {
        published(&service).await;
        assert_eq!(opened(&receiver.received_when(count).await[count - 1], &key), DATA);
    }
    assert_eq!(publisher.asked(), 2, "once a minute at most");
    service.after(25 * 60 * MINUTE);
    let event = published(&service).await;

    let attempt = failed(&service, &webhook, &event).await;
    assert_eq!((&attempt["failure"], receiver.received().len()), (&json!("encryption_key"), 4));
    publisher.publishing(&[key.jwk()]);
    service.after(MINUTE);
    assert_eq!(opened(&receiver.received_when(5).await[4], &key), DATA);
}

#[tokio::test]
async fn without_a_key_nothing_is_sent_and_the_log_says_why() {
    let (service, receiver, publisher) = (Service::start().await, Receiver::start().await, Publisher::start().await);
    let large = format!(r#"{{"keys":[],"more":"{}"}}"#, "x".repeat(64 * 1024));
    let symmetric = json!({"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "new"}]}).to_string();
    let elsewhere = [("location", "/other.json")];
    for (status, headers, body, reason) in [
        (404, &[][..], "", "the key set was answered with 404; it must be 200"),
        (302, &elsewhere, "", "the key set was answered with 302; it must be 200"),
        (200, &[], "<html>", "what stands at jwks_url is no JWK Set: an object with a list `keys`"),
        (200, &[], &*symmetric, "the key set has no key that can be encrypted to"),
        (200, &[], &*large, "the key set could not be fetched: too_large"),
    ] {
        publisher.answering_with(status, headers, body);
        let id = following(&service, &receiver, &publisher, json!({})).await;
        let event = published(&service).await;

        let attempt = failed(&service, &id, &event).await;

        assert_eq!((&attempt["failure"], &attempt["failure_detail"]), (&json!("encryption_key"), &json!(reason)));
        assert_eq!((&attempt["response_excerpt"], &attempt["kid"]), (&json!(""), &Value::Null));
        let tested = service.post(&format!("/v1/webhooks/{id}/test"), &json!({"event": "a.b"})).await.json();
        assert_eq!((&tested["delivered"], &tested["attempt"]["failure_detail"]), (&json!(false), &json!(reason)));
        service.delete(&format!("/v1/webhooks/{id}")).await;
        service.after(MINUTE);
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_delivery_without_a_key_is_tried_again_as_any_other() {
    let (service, receiver, publisher) = (Service::start().await, Receiver::start().await, Publisher::start().await);
    let key = ReceiversKey::on("P-384", "a");
    let webhook = following(&service, &receiver, &publisher, json!({})).await;
    let event = published(&service).await;
    failed(&service, &webhook, &event).await;

    publisher.publishing(&[key.jwk()]);
    service.after(MINUTE);

    assert_eq!(opened(&receiver.received_when(1).await[0], &key), DATA);
    let delivered = service.delivery_when(&webhook, &event, "delivered").await;
    assert_eq!((&delivered["attempts"], receiver.received()[0].header("webhook-attempt")), (&json!(2), "2"));
}

#[tokio::test]
async fn a_dead_publisher_is_not_asked_for_every_delivery() {
    let (service, receiver, publisher) = (Service::start().await, Receiver::start().await, Publisher::start().await);
    publisher.answering(503, "");
    let webhook = following(&service, &receiver, &publisher, json!({})).await;

    let mut events = Vec::new();
    for _ in 0..20 {
        events.push(published(&service).await);
    }
    for event in &events {
        failed(&service, &webhook, event).await;
    }

    assert_eq!(publisher.asked(), 1);
}

#[tokio::test]
async fn webhooks_that_share_a_url_share_what_stands_there_within_a_tenant() {
    let (service, publisher) = (Service::start().await, Publisher::start().await);
    let key = ReceiversKey::x25519("a");
    publisher.publishing(&[key.jwk()]);
    publisher.holding();
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    for receiver in &receivers {
        following(&service, receiver, &publisher, json!({})).await;
    }
    let tenant = service.tenant("other").await;
    let theirs = Receiver::start().await;
    let wish = json!({"url": theirs.url(), "events": ["*"], "encryption": {"jwks_url": publisher.url()}});
    let as_other = |path: &str| {
        let request = service.request(reqwest::Method::POST, path).header("x-tenant-id", &tenant);
        request.header("content-type", "application/json")
    };
    as_other("/v1/webhooks").body(wish.to_string()).send().await.unwrap();

    for _ in 0..10 {
        published(&service).await;
    }
    until(async || (publisher.asked() == 1).then_some(())).await;
    as_other("/v1/events").body(r#"{"type":"a.b","data":{}}"#).send().await.unwrap();
    until(async || (publisher.asked() == 2).then_some(())).await;
    publisher.letting_go();

    for receiver in &receivers {
        assert!(receiver.received_when(10).await.iter().all(|received| opened(received, &key) == DATA));
    }
    assert_eq!(opened(&theirs.received_when(1).await[0], &key), "{}");
    assert_eq!(publisher.asked(), 2, "one for each tenant");
}

#[tokio::test]
async fn a_publisher_that_does_not_answer_holds_up_its_own_webhook_alone() {
    let (service, publisher) = (Service::start().await, Publisher::start().await);
    let (slow, other) = (Receiver::start().await, Receiver::start().await);
    let key = ReceiversKey::x25519("a");
    publisher.holding();
    let webhook = following(&service, &slow, &publisher, json!({"timeout_seconds": 1})).await;
    registered(&service, &other, json!({"encryption": {"jwk": key.jwk()}})).await;

    let mut events = Vec::new();
    for _ in 0..100 {
        events.push(published(&service).await);
    }
    let received = other.received_when(100).await;
    let attempt = failed(&service, &webhook, &events[0]).await;

    assert_eq!(opened(&received[99], &key), DATA);
    assert_eq!(attempt["failure_detail"], "the key set could not be fetched: timeout");
    let took = attempt["duration_ms"].as_f64().unwrap();
    assert!(
        (400.0..4_000.0).contains(&took),
        "it waits for half of its own time, not for all of the publisher's: {took} ms"
    );
    assert!(slow.received().is_empty());
    // What was asked for goes on, and who comes later has what comes of it.
    publisher.publishing(&[key.jwk()]);
    publisher.letting_go();
    until(async || {
        service.after(Duration::from_secs(10));
        (slow.received().len() >= 100).then_some(())
    })
    .await;
    assert_eq!(opened(&slow.received()[0], &key), DATA);
}

#[tokio::test]
async fn the_address_of_a_key_set_is_judged_whenever_it_is_fetched() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let publisher = Publisher::start_at("127.0.0.2:0").await;
    let key = ReceiversKey::x25519("a");
    publisher.publishing(&[key.jwk()]);
    let webhook = following(&service, &receiver, &publisher, json!({})).await;

    let service = service.restarted_with(&[("SIGNET_EGRESS_ALLOW", "127.0.0.1/32")]).await;
    let event = published(&service).await;

    let attempt = failed(&service, &webhook, &event).await;
    assert_eq!(attempt["failure_detail"], "the key set could not be fetched: blocked");
    assert_eq!((publisher.asked(), receiver.received().len()), (0, 0));
    let service = service.restarted_with(&[("SIGNET_EGRESS_ALLOW", "127.0.0.0/8")]).await;
    service.after(MINUTE);
    assert_eq!(opened(&receiver.received_when(1).await[0], &key), DATA);
    assert_eq!(publisher.asked(), 1);
}
