//! The life of keys, seen from outside: what is published, what signs, and that nobody is ever surprised.

mod policy;
mod rehearsal;
mod revocation;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use signet::signing::{Expected, Verified, verify};

use crate::support::{ADMIN_KEY, Answer, Received, Receiver, Service, send, until, with_json};

const DAY: Duration = Duration::from_hours(24);
/// How long after a revocation receivers are told of it, at most.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// The set as it is served; not at once when a node's clock was moved on by days, as it would not know what happened then.
async fn jwks(service: &Service) -> Answer {
    let ask = async || Some(send(service.anonymous(Method::GET, "/.well-known/jwks.json")).await);
    until(async || ask().await.filter(|answer| answer.status == 200)).await
}

async fn kids(service: &Service) -> Vec<String> {
    let set = jwks(service).await.json();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn rotate(service: &Service, body: Value) -> Answer {
    service.post("/v1/admin/keys/rotate", &body).await
}

/// Publishes an event and answers it as the receiver got it.
async fn delivered(service: &Service, receiver: &Receiver) -> Received {
    let before = receiver.received().len();
    service.event("user.created").await;
    receiver.received_when(before + 1).await.pop().unwrap()
}

fn verified(service: &Service, received: &Received, issuer: &str, jwks: &str) -> Verified {
    let claims = received.claims();
    let audience = claims["aud"][0].as_str();
    let expected = Expected { issuer: Some(issuer), audience, now: service.now() };
    verify(&received.token(), jwks.as_bytes(), &expected).unwrap()
}

#[tokio::test]
async fn a_new_tenant_signs_at_once_and_has_a_standby() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    service.webhook(&receiver, &["*"]).await;

    let received = delivered(&service, &receiver).await;

    let kids = kids(&service).await;
    assert_eq!(kids.len(), 2);
    assert_eq!(received.kid(), kids[0], "the key that signs is listed first");
}

#[tokio::test]
async fn a_receiver_that_cached_the_set_verifies_across_a_rotation() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    service.webhook(&receiver, &["*"]).await;
    let cached = jwks(&service).await.text;

    let before = delivered(&service, &receiver).await;
    assert_eq!(rotate(&service, json!({})).await.status, 200);
    let after = delivered(&service, &receiver).await;

    assert_ne!(before.kid(), after.kid());
    verified(&service, &before, service.url(), &cached);
    verified(&service, &after, service.url(), &cached);
    assert_eq!(kids(&service).await.len(), 3, "the next standby is published, the retired key still");
}

#[tokio::test]
async fn a_second_rotation_waits_until_every_cache_has_the_standby() {
    let service = Service::start().await;
    rotate(&service, json!({})).await;

    let early = rotate(&service, json!({})).await;
    service.pass(7 * DAY).await;
    let late = rotate(&service, json!({})).await;
    let forced = rotate(&service, json!({"force": true})).await;

    assert_eq!((early.status, &early.json()["code"]), (409, &json!("too_soon")));
    assert!(early.json()["detail"].as_str().unwrap().contains("2026-03-08T12:00:00Z"), "it says when");
    assert_eq!((late.status, forced.status), (200, 200));
}

#[tokio::test]
async fn a_key_is_replaced_after_its_period_and_leaves_after_its_grace() {
    let service = Service::start().await;
    let first = kids(&service).await;

    service.pass(90 * DAY).await;
    let second = until(async || Some(kids(&service).await).filter(|kids| kids.len() == 3)).await;
    service.pass(7 * DAY).await;
    let third = until(async || Some(kids(&service).await).filter(|kids| kids.len() == 2)).await;

    assert_eq!((&second[0], &second[2]), (&first[1], &first[0]), "the standby signs, the first key is retired");
    assert_eq!(third, second[..2]);
}

#[tokio::test]
async fn a_retry_is_signed_with_the_key_that_is_active_then() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    receiver.answering(500);
    service.webhook(&receiver, &["*"]).await;
    let before = delivered(&service, &receiver).await;

    rotate(&service, json!({})).await;
    until(async || {
        service.after(Duration::from_secs(6));
        Some(receiver.received()).filter(|received| received.len() > 1)
    })
    .await;

    let after = receiver.received().pop().unwrap();
    assert_ne!(before.kid(), after.kid());
    assert_eq!(before.header("webhook-id"), after.header("webhook-id"));
}

#[tokio::test]
async fn a_revoked_key_leaves_the_set_and_the_standby_signs() {
    let service = Service::start().await;
    let receiver = Receiver::start().await;
    service.webhook(&receiver, &["user"]).await;
    let before = kids(&service).await;

    let answer = service.post(&format!("/v1/admin/keys/{}/revoke", before[0]), &json!({"reason": "leaked"})).await;
    let after = kids(&service).await;
    service.after(TOLD_WITHIN);
    receiver.received_when(1).await;
    let received = delivered(&service, &receiver).await;

    assert_eq!((answer.status, &answer.json()["active_kid"]), (200, &json!(before[1])));
    assert!(!after.contains(&before[0]));
    assert_eq!((after.len(), &received.kid()), (2, &before[1]));
    let again = service.post(&format!("/v1/admin/keys/{}/revoke", before[0]), &json!({})).await;
    assert_eq!(again.status, 409);
    assert_eq!(service.post("/v1/admin/keys/nonsense/revoke", &json!({})).await.status, 404);
}

#[tokio::test]
async fn a_plan_tells_what_will_happen_and_changes_nothing() {
    let service = Service::start().await;
    let before = kids(&service).await;

    let plan = service.get("/v1/admin/keys/plan").await.json();

    let first = &plan["data"][0];
    assert_eq!((&first["action"], &first["at"]), (&json!("promote"), &json!("2026-05-30T12:00:00Z")));
    assert_eq!((&first["kid"], &first["retires_kid"]), (&json!(before[1]), &json!(before[0])));
    assert_eq!(kids(&service).await, before);
}

#[tokio::test]
async fn every_algorithm_verifies_under_an_issuer_of_its_own() {
    let service = Service::start().await;
    for algorithm in ["ES256", "ES384", "RS256", "PS256", "EdDSA"] {
        let receiver = Receiver::start().await;
        let tenant =
            service.post("/v1/admin/tenants", &json!({"name": algorithm, "algorithm": algorithm})).await.json();
        let as_tenant = |path: &str, body: Value| {
            let request = service.anonymous(Method::POST, path).bearer_auth(ADMIN_KEY);
            send(with_json(request.header("x-tenant-id", tenant["id"].as_str().unwrap()), &body.to_string()))
        };

        as_tenant("/v1/webhooks", json!({"url": receiver.url(), "events": ["*"]})).await;
        as_tenant("/v1/events", json!({"type": "user.created", "data": {}})).await;
        let received = receiver.received_when(1).await.pop().unwrap();
        let id = tenant["id"].as_str().unwrap();
        let set = send(service.anonymous(Method::GET, &format!("/{id}/.well-known/jwks.json"))).await;

        let issuer = format!("{}/{id}", service.url());
        assert_eq!(tenant["issuer"], issuer.as_str());
        let verified = verified(&service, &received, &issuer, &set.text);
        assert_eq!(verified.algorithm.as_str(), algorithm);
    }
}
