//! What a webhook is sent in each format, and which of its tenant's and its own settings shape it.

mod action;
mod brought;
mod set;
mod signed;
mod standard;
mod token;

use aws_lc_rs::hmac;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Received, Receiver, Service, send, with_json};

/// The default tenant, of which most tests have no other.
async fn speaking(service: &Service, dialect: Value) -> Answer {
    let tenant = service.get("/v1/admin/tenants").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    service.patch(&format!("/v1/admin/tenants/{tenant}"), &json!({"dialect": dialect})).await
}

/// Registers a webhook with more members than it must have.
async fn made(service: &Service, receiver: &Receiver, members: Value) -> Value {
    let mut wish = json!({"url": receiver.url(), "events": ["*"]});
    wish.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let answer = service.post("/v1/webhooks", &wish).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

/// Publishes an event and waits for its delivery.
async fn next(service: &Service, receiver: &Receiver, event_type: &str, data: &str) -> (Value, Received) {
    let count = receiver.received().len();
    let body = format!(r#"{{"type":"{event_type}","data":{data}}}"#);
    let request = with_json(service.request(Method::POST, "/v1/events"), &body);
    let event = send(request).await.json();
    (event, receiver.received_when(count + 1).await.remove(count))
}

/// Another secret, which signs beside the one before for an hour.
async fn rotate(service: &Service, webhook: &Value) -> Value {
    let rotated =
        service.post(&format!("{}/secret/rotate", path_of(webhook)), &json!({"overlap_seconds": 3_600})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    rotated.json()
}

/// HMAC-SHA256 under the secret's whole text, in hex.
fn code_by_text(secret: &Value, parts: &[&[u8]]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_str().unwrap().as_bytes());
    let hex: Vec<String> =
        hmac::sign(&key, &parts.concat()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}
