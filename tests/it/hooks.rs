//! Authentication hooks: who is asked, what counts as said, and what is written down of it.

mod answers;
mod config;
mod log;
mod metrics;
mod places;
mod questions;
mod signed;

use serde_json::{Value, json};

use crate::support::{Answer, Receiver, Service, until};

const PAYLOAD: &str = r#"{"email": "alice@example.com", "score": 1.10, "tenant_id": "tnt_01HABCDEF654321"}"#;

impl Service {
    /// Changes hooks of the default tenant, which must go well.
    async fn configured(&self, hooks: Value) -> Value {
        let answer = self.patch("/v1/admin/config", &json!({"hooks": hooks})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Asks a hook of the default tenant.
    async fn asks(&self, kind: &str) -> Answer {
        self.post_text(&format!("/v1/hooks/{kind}"), PAYLOAD).await
    }

    /// The same, when there is an answer, which takes a while that nobody foresees.
    async fn asked(&self, kind: &str) -> Value {
        let answer = self.asks(kind).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut answer = answer.json();
        assert!(answer["duration_ms"].as_f64().unwrap() >= 0.0 && answer["id"].as_str().unwrap().starts_with("hk_"));
        for name in ["duration_ms", "id"] {
            answer.as_object_mut().unwrap().remove(name);
        }
        answer
    }

    /// The log, once this many executions are in it.
    async fn hook_log_when(&self, count: usize, query: &str) -> Vec<Value> {
        until(async || {
            let answer = self.get(&format!("/v1/admin/hooks/logs?limit=100{query}")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            Some(answer.json()["data"].as_array().unwrap().clone()).filter(|log| log.len() >= count)
        })
        .await
    }
}

/// A service, a receiver, and a hook of this kind.
async fn hooked(kind: &str) -> (Service, Receiver) {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.configured(json!({kind: receiver.url()})).await;
    (service, receiver)
}
