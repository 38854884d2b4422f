//! Webhooks whose receivers collect their deliveries.

mod crash;
mod kept;
mod keys;
mod made;
mod nodes;
mod polls;
mod waiting;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Service, send, with_json};

/// A webhook and the key of its receiver.
#[derive(Clone)]
struct Mailbox {
    id: String,
    key: String,
}

impl Mailbox {
    fn of(made: &Value) -> Self {
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { id: text("id"), key: text("pull_key") }
    }

    fn path(&self) -> String {
        format!("/v1/webhooks/{}/poll", self.id)
    }

    /// A poll, by whoever holds this key.
    fn request_as(&self, service: &Service, key: &str, body: &Value) -> RequestBuilder {
        let request = service.anonymous(Method::POST, &self.path()).bearer_auth(key);
        with_json(request, &body.to_string())
    }

    async fn poll(&self, service: &Service, body: &Value) -> Answer {
        send(self.request_as(service, &self.key, body)).await
    }

    /// The ids that are there now, in their order.
    async fn now(&self, service: &Service) -> Vec<String> {
        ids(&self.poll(service, &json!({"returnImmediately": true, "maxEvents": 100})).await)
    }

    async fn acknowledge(&self, service: &Service, ids: &[String]) {
        let answer = self.poll(service, &json!({"ack": ids, "maxEvents": 0})).await;
        assert_eq!((answer.status, ids_or_none(&answer)), (200, vec![]), "{}", answer.text);
    }
}

/// A token, read and not verified: `tests/receivers` does that.
struct Jws {
    header: Value,
    claims: Value,
}

impl Jws {
    fn read(token: &str) -> Self {
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
        Self { header: next(), claims: next() }
    }
}

/// Registers a webhook that pulls.
async fn made(service: &Service, members: Value) -> Value {
    let mut wish = json!({"delivery": "pull", "events": ["user"]});
    wish.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let answer = service.post("/v1/webhooks", &wish).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

async fn of_format(service: &Service, format: &str) -> Mailbox {
    Mailbox::of(&made(service, json!({"format": format})).await)
}

/// The ids in an answer of either kind, in the order in which they stand there.
fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    ids_or_none(answer)
}

fn ids_or_none(answer: &Answer) -> Vec<String> {
    let shown = answer.json();
    if let Some(all) = shown["deliveries"].as_array() {
        return all.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    }
    // The order of an object's members is lost in the parser here.
    let mut ids: Vec<_> = shown["sets"].as_object().unwrap().keys().cloned().collect();
    ids.sort_by_key(|id| answer.text.find(id.as_str()));
    ids
}

async fn events(service: &Service, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(service.event("user.created").await);
    }
    ids
}
