//! What becomes of a declared webhook: the API shows it, delivers and repeats, and changes nothing; its receiver does not
//! disable it; and nodes that start together make it once.

use serde_json::{Value, json};

use super::{DAY, declaring, path_of, shown, stored, to, written_down};
use crate::support::{Receiver, Service, database, until};

/// A master key, as it may stand in the environment: nodes that start at once must have the same.
const MASTER_KEY: &str = r#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;

#[tokio::test]
async fn the_api_changes_nothing_of_it_and_says_where_it_is_changed() {
    let receiver = Receiver::start().await;
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    let path = path_of(&shown(&service).await[0]);
    let before = service.get(&path).await.json();

    for refused in [
        service.patch(&path, &json!({"description": "mine"})).await,
        service.patch(&path, &json!({"enabled": false})).await,
        service.delete(&path).await,
        service.post(&format!("{path}/secret/rotate"), &json!({})).await,
    ] {
        let problem = refused.problem();
        assert_eq!((refused.status, &problem["code"]), (409, &json!("webhook_declared")));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("signet.toml") && detail.contains("SIGNET_WEBHOOKS"), "{detail}");
    }

    assert_eq!(service.get(&path).await.json(), before);
    assert_eq!(written_down(&service).await.len(), 1);
}

#[tokio::test]
async fn it_is_tested_activated_listed_retried_and_replayed_like_any_other() {
    let receiver = Receiver::start().await;
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    let path = path_of(&shown(&service).await[0]);
    let id = path.rsplit('/').next().unwrap();
    let event = service.event("user.created").await;
    service.delivery_when(id, &event, "delivered").await;

    let tested = service.post(&format!("{path}/test"), &json!({"event": "user.created"})).await;
    let activated = service.post(&format!("{path}/activate"), &json!({})).await;
    let retried = service.post(&format!("{path}/deliveries/{event}/retry"), &json!({})).await;
    receiver.received_when(4).await;
    service.delivery_when(id, &event, "delivered").await;
    let wish = json!({"from": "2026-03-01T00:00:00Z", "status": "all"});
    let replayed = service.post(&format!("{path}/replay"), &wish).await;

    assert_eq!((tested.status, &tested.json()["delivered"]), (200, &json!(true)), "{}", tested.text);
    assert_eq!(activated.status, 200, "{}", activated.text);
    assert!((200..300).contains(&retried.status), "{}", retried.text);
    assert_eq!(replayed.status, 202, "{}", replayed.text);
    receiver.received_when(5).await;
    assert_eq!(service.get(&path).await.json()["status"], "active");
}

/// What a watcher was told of webhooks: the type and the data.
fn told(watcher: &Receiver) -> Vec<(String, Value)> {
    watcher.received().iter().map(|received| (received.event(), received.claims()["data"].clone())).collect()
}

#[tokio::test]
async fn a_410_is_a_failure_like_any_other() {
    let receiver = Receiver::start().await;
    receiver.answering(410);
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    let path = path_of(&shown(&service).await[0]);
    let id = path.rsplit('/').next().unwrap();
    let event = service.event("user.created").await;

    service.delivery_when(id, &event, "failed").await;
    assert_eq!(service.get(&path).await.json()["status"], "active");
    receiver.answering(200);
    service.after(DAY);

    let delivery = service.delivery_when(id, &event, "delivered").await;
    assert_eq!(delivery["attempts"], 2);
}

#[tokio::test]
async fn a_receiver_that_fails_for_five_days_is_warned_of_and_still_tried() {
    let (receiver, watcher) = (Receiver::start().await, Receiver::start().await);
    receiver.answering(500);
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    service.webhook(&watcher, &["signet.webhook"]).await;
    let webhook = shown(&service).await.into_iter().find(|webhook| webhook["declared"] == true).unwrap();
    let path = path_of(&webhook);
    let id = path.rsplit('/').next().unwrap();

    // Twice as long as others are given.
    for half_day in 0..20 {
        receiver.answering(if half_day % 2 == 0 { 500 } else { 410 });
        let event = service.event("user.created").await;
        service.delivery_when(id, &event, "failed").await;
        let state = service.get(&path).await.json();
        assert_eq!(state["enabled"], true, "after {half_day} half days: {state}");
        if half_day > 0 {
            assert_eq!(
                (&state["status"], &state["failing_since"]),
                (&json!("failing"), &json!("2026-03-01T12:00:00Z"))
            );
        }
        service.after(DAY / 2);
    }
    let warning = until(async || told(&watcher).into_iter().next()).await;
    receiver.answering(200);
    service.event("user.deleted").await;
    until(async || (service.get(&path).await.json()["status"] == "active").then_some(())).await;

    let (name, data) = &warning;
    assert_eq!(
        (name.as_str(), &data["webhook_id"], &data["declared"]),
        ("signet.webhook.failing", &json!(id), &json!(true))
    );
    assert_eq!(told(&watcher).len(), 1, "one warning, and nothing was disabled: {:?}", told(&watcher));
}

#[tokio::test]
async fn nodes_that_start_at_once_with_the_same_list_make_each_webhook_once() {
    let list: Vec<Value> =
        (0..20).map(|at| json!({"url": format!("http://127.0.0.1:1029/{at}"), "events": ["user"]})).collect();
    let list = json!(list).to_string();

    let nodes = Service::start_together(4, &[("SIGNET_MASTER_KEY", MASTER_KEY), ("SIGNET_WEBHOOKS", &list)]).await;

    for node in &nodes {
        assert_eq!(stored(node).await.len(), 20);
    }
    let done = written_down(&nodes[0]).await;
    assert_eq!(done.iter().filter(|(action, _)| action == "webhook.made").count(), 20, "{done:?}");
    assert_eq!(done.len(), 20);
}

#[tokio::test]
async fn a_node_with_another_list_changes_what_the_others_deliver() {
    let (receiver, second) = (Receiver::start().await, Receiver::start().await);
    let url = database::fresh_postgres();
    let list = json!([to(&receiver, &["user"])]).to_string();
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &url), ("SIGNET_WEBHOOKS", &list)]).await;
    one.event("user.created").await;
    receiver.received_when(1).await;

    let list = json!([to(&second, &["user"])]).to_string();
    let _other = one.beside_with(&[("SIGNET_WEBHOOKS", &list)]).await;
    one.event("user.created").await;

    second.received_when(1).await;
    assert_eq!(receiver.received().len(), 1);
}
