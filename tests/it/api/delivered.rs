//! What one delivery looks like to its receiver.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use serde_json::{Value, json};

use crate::support::{Received, Receiver, Service, send, with_json};

/// A delivered event, everything that its receiver was told when it was registered, and what it got.
async fn delivered(service: &Service) -> (Value, Value, Received) {
    let receiver = Receiver::start().await;
    let wish = json!({"url": format!("{}?key=1", receiver.url()), "events": ["user"]});
    let webhook = service.post("/v1/webhooks", &wish).await.json();
    let event = service.post("/v1/events", &json!({"type": "user.created", "data": {"id": 42}})).await.json();
    (webhook, event, receiver.received_when(1).await.remove(0))
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_delivery_is_an_event_and_a_token() {
    let service = Service::start().await;

    let (_, _, received) = delivered(&service).await;

    let body = format!(r#"{{"event":"user.created","token":"{}"}}"#, received.token());
    assert_eq!(received.body, body.as_bytes());
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("user-agent"), format!("Signet/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(received.header("webhook-attempt"), "1");
}

#[tokio::test]
async fn a_token_says_by_which_key_it_is_signed_and_nothing_more() {
    let service = Service::start().await;

    let (_, _, received) = delivered(&service).await;

    let token = received.token();
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "kid": received.kid(), "typ": "JWT"}));
}

#[tokio::test]
async fn a_token_claims_exactly_what_the_contract_says() {
    let service = Service::start().await;

    let (webhook, event, received) = delivered(&service).await;

    let (claims, now) = (received.claims(), service.now().as_seconds());
    assert_eq!(names(&claims), BTreeSet::from(["iss", "sub", "aud", "iat", "exp", "jti", "evt", "data", "evt_at"]));
    let expected = json!({
        "iss": service.url(),
        "sub": "signet webhooks",
        "aud": [webhook["url"].as_str().unwrap().strip_suffix("?key=1").unwrap()],
        "iat": now - 5,
        "exp": now - 5 + 300,
        "jti": event["id"],
        "evt": "user.created",
        "data": {"id": 42},
        "evt_at": "2026-03-01T12:00:00Z",
    });
    assert_eq!(claims, expected);
    assert_eq!(received.event(), claims["evt"]);
    assert_eq!(received.header("webhook-id"), claims["jti"]);
}

#[tokio::test]
async fn a_token_verifies_with_the_published_key_of_its_kid() {
    let service = Service::start().await;

    let (_, _, received) = delivered(&service).await;

    let set = service.get("/.well-known/jwks.json").await.json();
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == received.kid()).unwrap();
    let verifier = jws::ES256.verifier_from_jwk(&Jwk::from_bytes(key.to_string()).unwrap()).unwrap();
    let (token, other) = (received.token(), delivered(&service).await.2.token());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(verifier.verify(signed.as_bytes(), &signature).is_ok());
    assert!(verifier.verify(other.rsplit_once('.').unwrap().0.as_bytes(), &signature).is_err());
}

#[tokio::test]
async fn a_delivery_carries_the_signature_of_standard_webhooks_too() {
    let service = Service::start().await;

    let (webhook, event, received) = delivered(&service).await;

    let now = service.now().as_seconds().to_string();
    let secret = webhook["signing_secret"].as_str().unwrap().strip_prefix("whsec_").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
    let signed = [format!("{}.{now}.", event["id"].as_str().unwrap()).as_bytes(), &received.body].concat();
    let signature = STANDARD.encode(hmac::sign(&key, &signed));
    assert_eq!(received.header("webhook-id"), event["id"]);
    assert_eq!(received.header("webhook-timestamp"), now);
    assert_eq!(received.header("webhook-signature"), format!("v1,{signature}"));
}

#[tokio::test]
async fn a_tenants_settings_are_in_its_tokens() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let wish = json!({"name": "shop", "algorithm": "EdDSA", "token_subject": "shop", "token_ttl": 60});
    let tenant = service.post("/v1/admin/tenants", &wish).await.json();
    let key = service.api_key_of(tenant["id"].as_str().unwrap(), &["admin"]).await;
    let post =
        async |route: &str, body: Value| send(with_json(service.request_with(&key, route), &body.to_string())).await;
    post("POST /v1/webhooks", json!({"url": receiver.url(), "events": ["*"]})).await;

    post("POST /v1/events", json!({"type": "order.paid", "data": null})).await;

    let claims = receiver.received_when(1).await[0].claims();
    assert_eq!(claims["iss"], tenant["issuer"]);
    assert_eq!((&claims["sub"], &claims["exp"]), (&json!("shop"), &json!(service.now().as_seconds() - 5 + 60)));
}

#[tokio::test]
async fn a_delivery_is_logged_with_what_was_answered_and_the_key_that_signed() {
    let service = Service::start().await;
    let (webhook, event, received) = delivered(&service).await;
    let (webhook, event) = (webhook["id"].as_str().unwrap(), event["id"].as_str().unwrap());

    let logged = service.delivery_when(webhook, event, "delivered").await;

    assert_eq!((&logged["event_id"], &logged["event"]), (&json!(event), &json!("user.created")));
    assert_eq!((&logged["attempts"], &logged["last_status_code"]), (&json!(1), &json!(200)));
    assert!(logged["next_attempt_at"].is_null());
    let attempt = &logged["log"][0];
    assert_eq!((&attempt["number"], &attempt["status_code"]), (&json!(1), &json!(200)));
    assert_eq!((&attempt["at"], &attempt["response_excerpt"]), (&json!("2026-03-01T12:00:00Z"), &json!("as told")));
    assert_eq!(attempt["kid"], received.kid());
}

#[tokio::test]
async fn a_receiver_that_asks_to_be_left_alone_is_told_when_it_hears_again() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["*"]).await;
    receiver.answering(503);
    receiver.asking_to_wait(600);

    let event = service.event("user.created").await;

    let logged = service.delivery_when(&webhook, &event, "failed").await;
    assert_eq!((&logged["attempts"], &logged["last_status_code"]), (&json!(1), &json!(503)));
    let next_at = logged["next_attempt_at"].as_str().unwrap();
    assert!(("2026-03-01T12:10:00".."2026-03-01T12:12:01").contains(&next_at), "{next_at}");
}

#[tokio::test]
async fn a_service_that_stops_finishes_what_is_under_way() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.webhook(&receiver, &["*"]).await;
    receiver.answering_after(Duration::from_millis(100));
    service.event("user.created").await;

    service.stop().await;

    assert_eq!(receiver.received().len(), 1);
}
