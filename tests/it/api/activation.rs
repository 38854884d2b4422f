//! A receiver shows that it wants deliveries before it gets any: it echoes a challenge, or allows our origin.

mod again;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signet::domain::delivery::ATTEMPT_WITHIN;
use tokio::net::TcpListener;

use crate::support::{Receiver, Service};

/// What a receiver does when it is asked whether it wants deliveries. Everything but a challenge is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Willing,
    /// It acknowledges whatever comes, and knows of nothing.
    Unwilling,
    /// It never answers.
    Silent,
    /// It is willing, behind a gateway.
    Gated,
    Gone,
    /// It is willing, and answers with more than was asked for.
    Wordy,
}

/// A receiver's mood, and how often it was challenged.
type Asked = (Arc<Mutex<Mood>>, Arc<AtomicU32>);

/// A receiver that reads tokens and knows what it is asked.
struct Willing {
    url: String,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicU32>,
}

impl Willing {
    async fn start() -> Self {
        let mood = Arc::new(Mutex::new(Mood::Willing));
        let asked = Arc::new(AtomicU32::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let router =
            Router::new().route("/hooks", post(receive).options(allow)).with_state((mood.clone(), asked.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, mood, asked }
    }

    fn is_willing(&self, is_willing: bool) {
        self.is(if is_willing { Mood::Willing } else { Mood::Unwilling });
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn receive(State((mood, asked)): State<Asked>, body: Bytes) -> Response {
    let mood = *mood.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    if body["event"] != "signet.challenge" {
        return StatusCode::OK.into_response();
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let payload = URL_SAFE_NO_PAD.decode(body["token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let echo = json!({"challenge": claims["data"]["challenge"]});
    match mood {
        Mood::Willing | Mood::Gated => Json(echo).into_response(),
        Mood::Wordy => Json(json!({"a": "-".repeat(8_192), "challenge": echo["challenge"]})).into_response(),
        Mood::Gone => StatusCode::GONE.into_response(),
        Mood::Unwilling => StatusCode::OK.into_response(),
        Mood::Silent => std::future::pending().await,
    }
}

async fn allow(State((mood, _)): State<Asked>, headers: HeaderMap) -> Response {
    let mood = *mood.lock().unwrap();
    let origin = headers.get("webhook-request-origin").unwrap().to_str().unwrap().to_owned();
    match mood {
        Mood::Gated if headers.get("x-gateway").is_none_or(|value| value != "open") => {
            StatusCode::UNAUTHORIZED.into_response()
        }
        Mood::Willing | Mood::Gated | Mood::Wordy => [("webhook-allowed-origin", origin)].into_response(),
        Mood::Gone => StatusCode::GONE.into_response(),
        Mood::Unwilling => [("webhook-allowed-origin", "elsewhere.example")].into_response(),
        Mood::Silent => std::future::pending().await,
    }
}

async fn made(service: &Service, url: &str, activation: Value) -> Value {
    let wish = json!({"url": url, "events": ["user"], "activation": activation});
    let answer = service.post("/v1/webhooks", &wish).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

async fn activate(service: &Service, webhook: &Value) -> Value {
    let answer = service.post(&format!("{}/activate", path_of(webhook)), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// How many webhooks hear of an event.
async fn listeners(service: &Service) -> Value {
    service.post("/v1/events", &json!({"type": "user.created", "data": 1})).await.json()["deliveries"].clone()
}

#[tokio::test]
async fn a_webhook_hears_of_nothing_until_its_receiver_has_echoed_a_challenge() {
    let (service, willing) = (Service::start().await, Willing::start().await);

    let webhook = made(&service, &willing.url, json!({"method": "challenge"})).await;
    let before = listeners(&service).await;
    willing.is_willing(false);
    let refused = activate(&service, &webhook).await;
    let still = listeners(&service).await;
    willing.is_willing(true);
    let activated = activate(&service, &webhook).await;

    assert_eq!((&webhook["status"], &webhook["enabled"]), (&json!("pending"), &json!(true)));
    assert_eq!((before, still), (json!(0), json!(0)));
    assert_eq!((&refused["activated"], &refused["status"]), (&json!(false), &json!("pending")));
    assert!(refused["reason"].as_str().unwrap().contains("challenge"), "{refused}");
    assert_eq!((&activated["activated"], &activated["status"]), (&json!(true), &json!("active")));
    assert_eq!(activated.get("reason"), None);
    let log = service.get("/v1/admin/audit-log?limit=1").await.json();
    assert_eq!(log["data"][0]["detail"], json!({"members": ["status"]}), "{log}");
    assert_eq!(listeners(&service).await, 1);
}

#[tokio::test]
async fn a_receiver_that_answers_and_reads_nothing_is_not_activated() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, receiver.url(), json!({"method": "challenge"})).await;

    let silent = activate(&service, &webhook).await;
    receiver.answering(500);
    let failing = activate(&service, &webhook).await;
    let options = made(&service, receiver.url(), json!({"method": "options"})).await;
    let unasked = activate(&service, &options).await;

    assert_eq!(silent["activated"], false);
    assert!(failing["reason"].as_str().unwrap().contains("500"), "{failing}");
    assert!(unasked["reason"].as_str().unwrap().contains("405"), "{unasked}");
    let challenges = receiver.received();
    assert_eq!(challenges.len(), 2);
    assert_eq!(challenges[0].event(), "signet.challenge");
    assert_ne!(challenges[0].claims()["data"], challenges[1].claims()["data"]);
}

#[tokio::test]
async fn a_receiver_that_allows_our_origin_is_activated() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "options"})).await;

    willing.is_willing(false);
    let elsewhere = activate(&service, &webhook).await;
    willing.is_willing(true);
    let activated = activate(&service, &webhook).await;

    assert_eq!((&elsewhere["activated"], &elsewhere["status"]), (&json!(false), &json!("pending")));
    assert_eq!((&activated["activated"], &activated["method"]), (&json!(true), &json!("options")));
}

#[tokio::test]
async fn who_moves_or_is_switched_on_again_shows_it_anew() {
    let (service, willing, other) = (Service::start().await, Willing::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge"})).await;
    activate(&service, &webhook).await;
    let status = async |change: Value| service.patch(&path_of(&webhook), &change).await.json()["status"].clone();

    assert_eq!(status(json!({"description": "the same"})).await, "active");
    assert_eq!(status(json!({"url": other.url})).await, "pending");
    assert_eq!(activate(&service, &webhook).await["status"], "active");
    assert_eq!(status(json!({"enabled": false})).await, "disabled");
    assert_eq!(status(json!({"enabled": true})).await, "pending");
    assert_eq!(listeners(&service).await, 0);
    assert_eq!(status(json!({"activation": null})).await, "active", "its owner does without");
    assert_eq!(status(json!({"activation": {"method": "options"}})).await, "pending");
}

#[tokio::test]
async fn what_is_shown_of_a_pending_webhook_can_be_written_back() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge"})).await;

    let written = service.patch(&path_of(&webhook), &json!({"enabled": webhook["enabled"]})).await.json();

    assert_eq!((&written["status"], &written["enabled"]), (&json!("pending"), &json!(true)));
    let off = service.patch(&path_of(&webhook), &json!({"enabled": false})).await.json();
    assert_eq!((&off["status"], &off["enabled"]), (&json!("disabled"), &json!(false)));
}

#[tokio::test]
async fn a_pending_webhook_is_replayed_to_once_it_is_activated_and_that_is_said() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge"})).await;
    activate(&service, &webhook).await;
    let event = service.event("user.created").await;
    service.delivery_when(webhook["id"].as_str().unwrap(), &event, "delivered").await;
    let other = Willing::start().await;
    service.patch(&path_of(&webhook), &json!({"url": other.url})).await;

    for (path, body) in [
        (format!("{}/replay", path_of(&webhook)), json!({"from": "2026-03-01T00:00:00Z"})),
        (format!("{}/deliveries/{event}/retry", path_of(&webhook)), json!({})),
    ] {
        let refused = service.post(&path, &body).await;

        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("webhook_pending")), "{path}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("/activate"), "{}", refused.text);
    }
}

#[tokio::test]
async fn the_origin_check_comes_through_a_gateway_that_wants_the_webhook_s_own_headers() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    willing.is(Mood::Gated);
    let wish = json!({
        "url": willing.url, "events": ["user"], "activation": {"method": "options"}, "headers": {"x-gateway": "open"},
    });
    let webhook = service.post("/v1/webhooks", &wish).await.json();

    assert_eq!(activate(&service, &webhook).await["status"], "active");
}

#[tokio::test]
async fn the_origin_check_takes_no_longer_than_the_webhook_s_timeout() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    willing.is(Mood::Silent);
    let wish = json!({
        "url": willing.url, "events": ["user"], "activation": {"method": "options"}, "timeout_seconds": 1,
    });
    let webhook = service.post("/v1/webhooks", &wish).await.json();

    let activated = tokio::time::timeout(ATTEMPT_WITHIN / 2, activate(&service, &webhook)).await.unwrap();

    assert!(activated["reason"].as_str().unwrap().contains("timeout"), "{activated}");
}

#[tokio::test]
async fn a_challenge_is_echoed_in_an_answer_longer_than_the_log_keeps() {
    let (service, willing) = (Service::start().await, Willing::start().await);
    let webhook = made(&service, &willing.url, json!({"method": "challenge"})).await;
    willing.is(Mood::Wordy);

    let activated = activate(&service, &webhook).await;

    assert_eq!(activated["activated"], true, "{activated}");
    let path = format!("{}/deliveries", path_of(&webhook));
    let listed = service.get(&path).await.json();
    let event = listed["data"][0]["event_id"].as_str().unwrap();
    let delivery = service.get(&format!("{path}/{event}")).await.json();
    let text = delivery.to_string();
    assert!(text.contains("response_excerpt") && text.len() < 6_000, "{text}");
}

#[tokio::test]
async fn a_wish_that_nobody_can_fulfil_is_refused() {
    let service = Service::start().await;

    for (activation, pointer) in [
        (json!({"method": "mail"}), "/activation/method"),
        (json!({}), "/activation/method"),
        (json!({"method": "challenge", "every_seconds": 60}), "/activation/every_seconds"),
    ] {
        let wish = json!({"url": "https://example.com/", "events": ["*"], "activation": activation});
        let refused = service.post("/v1/webhooks", &wish).await;

        assert_eq!((refused.status, refused.pointers()), (422, vec![pointer.to_owned()]), "{}", refused.text);
    }
}
