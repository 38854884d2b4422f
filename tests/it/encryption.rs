//! Data that is encrypted to its receiver: what goes over the wire, who can open it, and what happens while there is no key.

mod faults;
mod formats;
mod key_sets;
mod opening;
mod publisher;

use serde_json::{Value, json};

use crate::support::{Answer, Received, Receiver, Service};
use opening::ReceiversKey;

/// What no body that is sent may hold.
const CODE: &str = "493817";
const DATA: &str = r#"{"user_id":"usr_7f3a","code":"493817","balance":12345678901234567890.10,"txn":"txn_91c2"}"#;

/// Registers a webhook for everything with more members than it must have.
async fn registered(service: &Service, receiver: &Receiver, members: Value) -> String {
    let answer = asked(service, receiver, members).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn asked(service: &Service, receiver: &Receiver, members: Value) -> Answer {
    let mut wish = json!({"url": receiver.url(), "events": ["*"]});
    wish.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    service.post("/v1/webhooks", &wish).await
}

/// Publishes an event with a one-time code in it, and answers its id.
async fn published(service: &Service) -> String {
    let body = format!(r#"{{"type":"user.code_sent","data":{DATA}}}"#);
    let answer = service.post_text("/v1/events", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The data of a delivery of format `token`, opened.
fn opened(received: &Received, key: &ReceiversKey) -> String {
    let claims = received.claims();
    key.open(claims["data"].as_str().unwrap_or_else(|| panic!("in clear: {claims}"))).unwrap().1
}
