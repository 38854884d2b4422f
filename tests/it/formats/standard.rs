//! Format `standard`, and the signatures of Standard Webhooks on deliveries of every format, verified with its own library.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use signet::engine::clock::Clock;
use standardwebhooks::Webhook;

use super::{made, next, path_of, rotate};
use crate::support::{Received, Receiver, Service};

/// Whether the library believes a delivery, by the machine's clock.
fn is_verified(secret: &Value, received: &Received) -> bool {
    let webhook = Webhook::new(secret.as_str().unwrap()).unwrap();
    webhook.verify(&received.body, &received.headers).is_ok()
}

/// Whether one of the delivery's signatures is of this key pair.
fn is_signed(public_key: &Value, received: &Received) -> bool {
    let key = STANDARD.decode(public_key.as_str().unwrap().strip_prefix("whpk_").unwrap()).unwrap();
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &received.body[..]].concat();
    let signatures = received.header("webhook-signature").split(' ').filter_map(|text| text.strip_prefix("v1a,"));
    let verifies =
        |text| UnparsedPublicKey::new(&ED25519, &key).verify(&message, &STANDARD.decode(text).unwrap()).is_ok();
    signatures.into_iter().any(verifies)
}

#[tokio::test]
async fn the_library_verifies_standard_deliveries_and_those_of_every_other_format() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let march = service.now();
    for format in ["token", "signed", "standard", "action", "set"] {
        let webhook = made(&service, &receiver, json!({"format": format})).await;

        let (_, stale) = next(&service, &receiver, "user.created", "{}").await;
        service.server().engine().clock.set(Clock::system().now());
        let (_, mut received) = next(&service, &receiver, "user.created", r#"{"a":"ü\n"}"#).await;
        service.server().engine().clock.set(march);

        assert!(!is_verified(&webhook["signing_secret"], &stale), "{format}");
        assert!(is_verified(&webhook["signing_secret"], &received), "{format}");
        let foreign = json!(format!("whsec_{}", STANDARD.encode([9; 32])));
        assert!(!is_verified(&foreign, &received), "{format}");
        received.body = [&received.body[..], b" "].concat().into();
        assert!(!is_verified(&webhook["signing_secret"], &received), "{format}");
        service.delete(&path_of(&webhook)).await;
    }
}

#[tokio::test]
async fn a_standard_body_is_what_happened_and_when() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    made(&service, &receiver, json!({"format": "standard"})).await;

    let (_, received) = next(&service, &receiver, "user.created", r#"{"balance":1.10}"#).await;

    let expected = r#"{"type":"user.created","timestamp":"2026-03-01T12:00:00Z","data":{"balance":1.10}}"#;
    assert_eq!(received.body, expected);
    assert_eq!(received.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_key_pair_signs_for_whoever_asked_for_it_and_only_its_public_half_is_seen() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"format": "standard", "v1a": true})).await;
    let shown = service.get(&path_of(&webhook)).await;

    let (_, mut received) = next(&service, &receiver, "user.created", "{}").await;

    let public_key = &webhook["public_key"];
    assert_eq!((&shown.json()["public_key"], &shown.json()["v1a"]), (public_key, &json!(true)));
    assert!(is_signed(public_key, &received));
    received.body = [&received.body[..], b" "].concat().into();
    assert!(!is_signed(public_key, &received));
    assert!(!shown.text.contains("whsk_"), "{}", shown.text);
    assert!(!service.database_bytes().await.windows(5).any(|window| window == b"whsk_"));
}

#[tokio::test]
async fn a_key_pair_is_rotated_together_with_the_secret_and_both_sign_until_the_overlap_ends() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"v1a": true})).await;

    let rotated = rotate(&service, &webhook).await;
    let (_, during) = next(&service, &receiver, "user.created", "{}").await;
    service.after(std::time::Duration::from_hours(1));
    let (_, after) = next(&service, &receiver, "user.created", "{}").await;

    let (first, second) = (&webhook["public_key"], &rotated["public_key"]);
    assert_ne!(first, second);
    assert_eq!((is_signed(first, &during), is_signed(second, &during)), (true, true));
    assert_eq!((is_signed(first, &after), is_signed(second, &after)), (false, true));
    assert_eq!(&service.get(&path_of(&webhook)).await.json()["public_key"], second);
}

#[tokio::test]
async fn a_key_pair_comes_and_goes_and_the_secret_stays() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"headers": {"x-team": "billing"}})).await;
    let change = async |body: Value| service.patch(&path_of(&webhook), &body).await.json();

    let with = change(json!({"v1a": true})).await;
    let again = change(json!({"v1a": true})).await;
    let (_, signed) = next(&service, &receiver, "user.created", "{}").await;
    let without = change(json!({"v1a": false})).await;
    let (_, unsigned) = next(&service, &receiver, "user.created", "{}").await;

    assert_eq!((webhook.get("public_key"), without.get("public_key")), (None, None));
    assert_eq!(with["public_key"], again["public_key"], "it has one already");
    assert!(is_signed(&with["public_key"], &signed) && !is_signed(&with["public_key"], &unsigned));
    assert!(unsigned.header("webhook-signature").starts_with("v1,"));
    assert_eq!(unsigned.header("x-team"), "billing");
}
