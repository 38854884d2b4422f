//! Changes of one webhook that several ask for at the same time.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::two;
use crate::support::{Receiver, Service, send, with_json};

/// Asks as often, at the same time, of two nodes in turns; answers the statuses.
async fn asked_at_once(nodes: [&Service; 2], count: usize, (method, path): (Method, &str), body: &Value) -> Vec<u16> {
    let mut asking = JoinSet::new();
    for service in nodes.into_iter().cycle().take(count) {
        asking.spawn(send(with_json(service.request(method.clone(), path), &body.to_string())));
    }
    asking.join_all().await.iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn changes_of_one_webhook_at_the_same_time_are_all_made() {
    let (one, other) = two().await;
    let receiver = Receiver::start().await;
    let path = format!("/v1/webhooks/{}", one.webhook(&receiver, &["*"]).await);

    let described = asked_at_once([&one, &other], 14, (Method::PATCH, &path), &json!({"description": "again"})).await;
    let headed = asked_at_once([&one, &other], 14, (Method::PATCH, &path), &json!({"headers": {"x-a": "1"}})).await;
    let rotate = (Method::POST, &*format!("{path}/secret/rotate"));
    let rotated = asked_at_once([&one, &other], 14, rotate, &json!({"overlap_seconds": 0})).await;

    assert_eq!((described, headed, rotated), (vec![200; 14], vec![200; 14], vec![200; 14]));
    let log = one.get("/v1/admin/audit-log?limit=100").await.json();
    let changes = log["data"].as_array().unwrap().iter().filter(|entry| entry["action"] == "webhook.changed").count();
    assert_eq!(changes, 42);
}
