//! Format `action`: what UserHub's receivers verify, activation included.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{code_by_text, made, next, path_of, rotate, speaking};
use crate::support::{Receiver, Service};

/// What a receiver was asked: query, action, body.
type Asked = Arc<Mutex<Vec<(String, String, Bytes)>>>;

/// A receiver that answers every action with its body, and says what it was asked.
async fn echoing() -> (String, Asked) {
    let asked = Asked::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let router = Router::new().route("/hooks", post(echo)).with_state(asked.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

async fn echo(State(asked): State<Asked>, RawQuery(query): RawQuery, headers: HeaderMap, body: Bytes) -> Bytes {
    let action = headers["userhub-action"].to_str().unwrap().to_owned();
    asked.lock().unwrap().push((query.unwrap_or_default(), action, body.clone()));
    body
}

#[tokio::test]
async fn an_action_is_signed_with_its_timestamp_by_every_secret() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    speaking(&service, json!({"header_prefix": "UserHub"})).await;
    let webhook = made(&service, &receiver, json!({"format": "action"})).await;
    let second = rotate(&service, &webhook).await["signing_secret"].clone();

    let (event, received) = next(&service, &receiver, "users.changed", r#"{"user":{"id":"usr_1"}}"#).await;

    let body: Value = serde_json::from_slice(&received.body).unwrap();
    let expected = json!({
        "id": event["id"],
        "time": "2026-03-01T12:00:00Z",
        "type": "users.changed",
        "usersChanged": {"user": {"id": "usr_1"}},
    });
    assert_eq!(body, expected);
    let now = service.now().as_seconds().to_string();
    let code = |secret: &Value| code_by_text(secret, &[now.as_bytes(), b".", &received.body]);
    let both = format!("{},{}", code(&second), code(&webhook["signing_secret"]));
    assert_eq!(received.header("userhub-signature"), both);
    assert_eq!(
        (received.header("userhub-timestamp"), received.header("userhub-action")),
        (now.as_str(), "events.handle")
    );
}

#[tokio::test]
async fn a_receiver_that_echoes_the_challenge_action_is_activated_and_sent_events() {
    let (service, (url, asked)) = (Service::start().await, echoing().await);
    speaking(&service, json!({"header_prefix": "UserHub"})).await;
    let wish = json!({
        "url": format!("{url}?team=7"), "events": ["users"], "format": "action", "activation": {"method": "challenge"},
    });
    let webhook = service.post("/v1/webhooks", &wish).await.json();

    let activated = service.post(&format!("{}/activate", path_of(&webhook)), &json!({})).await.json();
    let event = service.event("users.changed").await;
    service.delivery_when(webhook["id"].as_str().unwrap(), &event, "delivered").await;

    assert_eq!((&webhook["status"], &activated["activated"]), (&json!("pending"), &json!(true)));
    let asked = asked.lock().unwrap().clone();
    let actions: Vec<(&str, &str)> = asked.iter().map(|(query, action, _)| (query.as_str(), action.as_str())).collect();
    assert_eq!(actions, [("team=7&action=challenge", "challenge"), ("team=7&action=events.handle", "events.handle")]);
    let challenge: Value = serde_json::from_slice(&asked[0].2).unwrap();
    assert!(challenge.as_object().is_some_and(|members| members.len() == 1) && challenge["challenge"].is_string());
}

#[tokio::test]
async fn a_receiver_that_answers_something_else_is_not_activated() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"format": "action", "activation": {"method": "challenge"}})).await;

    let refused = service.post(&format!("{}/activate", path_of(&webhook)), &json!({})).await.json();

    assert_eq!((&refused["activated"], &refused["status"]), (&json!(false), &json!("pending")));
    assert!(refused["reason"].as_str().unwrap().contains("challenge"), "{refused}");
}
