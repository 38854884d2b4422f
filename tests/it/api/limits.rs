//! How often a key may ask, when somebody has limited it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Answer, Service, send, with_json};

/// A service on which each key may ask twice a second, and five times at once.
async fn limited() -> Service {
    Service::start_with(&[("SIGNET_API_RATE_LIMIT", "2"), ("SIGNET_API_RATE_BURST", "5")]).await
}

/// What an answer tells of how its key stands.
fn told(answer: &Answer) -> (u16, &str, &str, &str) {
    (answer.status, answer.header("ratelimit-policy"), answer.header("ratelimit"), answer.header("retry-after"))
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_so_and_for_how_long() {
    let service = limited().await;
    let policy = r#""default";q=5;w=3"#;
    let mut answers = Vec::new();

    for _ in 0..6 {
        answers.push(service.get("/v1/webhooks").await);
    }
    service.after(Duration::from_millis(499));
    let too_soon = service.get("/v1/webhooks").await;
    service.after(Duration::from_millis(1));
    let in_time = service.get("/v1/webhooks").await;

    assert_eq!(told(&answers[0]), (200, policy, r#""default";r=4;t=1"#, ""));
    assert_eq!(told(&answers[4]), (200, policy, r#""default";r=0;t=3"#, ""));
    assert_eq!(told(&answers[5]), (429, policy, r#""default";r=0;t=3"#, "1"));
    assert_eq!(answers[5].problem()["code"], "rate_limited");
    assert_eq!((too_soon.status, in_time.status), (429, 200));
}

#[tokio::test]
async fn of_many_requests_at_once_as_many_are_answered_as_may() {
    let service = limited().await;
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        asking.spawn(send(service.request(Method::GET, "/v1/webhooks")));
    }

    let answers = asking.join_all().await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 5);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 95);
}

#[tokio::test]
async fn every_key_is_counted_apart_and_what_is_for_everybody_is_not_counted() {
    let service = limited().await;
    let (one, other) = (service.api_key(&["events:write"]).await, service.api_key(&["webhooks:read"]).await);
    let event = json!({"type": "user.created", "data": 1}).to_string();
    let publish = || with_json(service.request_with(&one, "POST /v1/events"), &event).header("idempotency-key", "one");
    for _ in 0..5 {
        assert_eq!(send(publish()).await.status, 202);
    }

    let one_more = send(publish()).await;
    let others = send(service.request_with(&other, "GET /v1/webhooks")).await;
    let forbidden = send(service.request_with(&other, "GET /v1/admin/keys")).await;
    let nobody = send(service.anonymous(Method::GET, "/v1/webhooks")).await;

    assert_eq!((one_more.status, others.status), (429, 200));
    assert_eq!(told(&forbidden).2, r#""default";r=3;t=1"#, "what is refused is counted too");
    assert_eq!(told(&nobody), (401, "", "", ""));
    for path in ["/healthz", "/.well-known/jwks.json", "/.well-known/webhook-issuer"] {
        for _ in 0..9 {
            let answer = send(service.anonymous(Method::GET, path)).await;
            assert_eq!((answer.status, told(&answer).1), (200, ""), "{path}");
        }
    }
}

#[tokio::test]
async fn a_request_under_an_idempotency_key_counts_once() {
    let service = limited().await;

    let wish = with_json(service.request(Method::POST, "/v1/admin/tenants"), r#"{"name": "acme"}"#);
    let answer = send(wish.header("idempotency-key", "one")).await;

    assert_eq!((answer.status, told(&answer).2), (201, r#""default";r=4;t=1"#), "{}", answer.text);
}

#[tokio::test]
async fn nothing_is_counted_unless_somebody_says_so() {
    let service = Service::start().await;

    for _ in 0..200 {
        let answer = service.get("/v1/webhooks").await;

        assert_eq!(told(&answer), (200, "", "", ""));
    }
}
