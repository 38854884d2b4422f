//! Replays and retries that several ask for at the same time, while what they ask for is sent and settled.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::two;
use crate::support::{Answer, Receiver, Service, send, until, with_json};

/// As far as a node's clock may be ahead of another's, and more.
const AHEAD: Duration = Duration::from_secs(10);
/// From before every test.
const EVER: &str = "2026-03-01T00:00:00Z";

/// Asks each of these at the same time, of two nodes in turns.
async fn all_at_once(one: &Service, other: &Service, asked: &[(String, Value)]) -> Vec<Answer> {
    let mut asking = JoinSet::new();
    for (service, (path, body)) in [one, other].into_iter().cycle().zip(asked) {
        let request = with_json(service.request(Method::POST, path), &body.to_string());
        asking.spawn(send(request));
    }
    asking.join_all().await
}

fn check_accepted(answers: &[Answer]) {
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 202).collect();
    assert!(refused.is_empty(), "of {} {} were refused, one of them with {}", answers.len(), refused.len(), {
        &refused[0].text
    });
}

/// Publishes events; answers their ids.
async fn events(service: &Service, count: usize) -> Vec<String> {
    let event = json!({"type": "user.created", "data": 1});
    let answer = service.post("/v1/events/batch", &json!({"events": vec![event; count]})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let ids = answer.json()["data"].as_array().unwrap().clone();
    ids.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until all of these are delivered, and each is in the queue or in history, and in one of them.
async fn settled(service: &Service, webhook: &str, events: &[String]) {
    until(async || {
        let page = service.get(&format!("/v1/webhooks/{webhook}/deliveries?limit=100")).await.json();
        let listed = page["data"].as_array().unwrap();
        let ids: BTreeSet<&str> = listed.iter().map(|delivery| delivery["event_id"].as_str().unwrap()).collect();
        let is_each_listed_once = listed.len() == events.len() && ids == events.iter().map(String::as_str).collect();
        (is_each_listed_once && listed.iter().all(|delivery| delivery["status"] == "delivered")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn replays_at_the_same_time_send_what_was_missed_once() {
    let (one, other) = two().await;
    let receiver = Receiver::start().await;
    let webhook = one.webhook(&receiver, &["*"]).await;
    let path = format!("/v1/webhooks/{webhook}");
    one.patch(&path, &json!({"enabled": false})).await;
    let events = events(&one, 40).await;
    one.patch(&path, &json!({"enabled": true})).await;

    let replay = (format!("{path}/replay"), json!({"from": EVER}));
    let answers = all_at_once(&one, &other, &vec![replay; 8]).await;

    check_accepted(&answers);
    settled(&one, &webhook, &events).await;
    let received = receiver.received();
    let sent: BTreeSet<&str> = received.iter().map(|received| received.header("webhook-id")).collect();
    assert_eq!((received.len(), sent.len()), (40, 40));
}

#[tokio::test]
async fn retries_of_one_delivery_at_the_same_time_are_answered_alike() {
    let (one, other) = two().await;
    let receiver = Receiver::start().await;
    let webhook = one.webhook(&receiver, &["*"]).await;
    let events = events(&one, 10).await;
    settled(&one, &webhook, &events).await;

    let retry = |event| (format!("/v1/webhooks/{webhook}/deliveries/{event}/retry"), json!({}));
    let asked: Vec<(String, Value)> = events.iter().flat_map(|event| vec![retry(event); 6]).collect();
    let answers = all_at_once(&one, &other, &asked).await;

    check_accepted(&answers);
    settled(&one, &webhook, &events).await;
}

#[tokio::test]
async fn replays_and_retries_race_each_other_and_the_settling_without_a_loss() {
    let (one, other) = two().await;
    let receiver = Receiver::start().await;
    let webhook = one.webhook(&receiver, &["*"]).await;
    let events = events(&one, 12).await;
    settled(&one, &webhook, &events).await;

    for _ in 0..3 {
        let retry = |event| (format!("/v1/webhooks/{webhook}/deliveries/{event}/retry"), json!({}));
        let replay = (format!("/v1/webhooks/{webhook}/replay"), json!({"from": EVER, "status": "all"}));
        let asked: Vec<_> = events.iter().flat_map(|event| [retry(event), retry(event), replay.clone()]).collect();
        check_accepted(&all_at_once(&one, &other, &asked).await);
    }

    settled(&one, &webhook, &events).await;
    let attempts = one.get(&format!("/v1/webhooks/{webhook}/deliveries/{}", events[0])).await.json();
    let numbers: Vec<u64> =
        attempts["log"].as_array().unwrap().iter().map(|attempt| attempt["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>(), "no attempt was lost");
    assert_eq!(attempts["attempts"], numbers.len());
}

#[tokio::test]
async fn a_replay_without_an_end_takes_what_a_node_accepted_whose_clock_is_ahead() {
    let (one, other) = two().await;
    let receiver = Receiver::start().await;
    let webhook = one.webhook(&receiver, &["*"]).await;
    let path = format!("/v1/webhooks/{webhook}");
    one.patch(&path, &json!({"enabled": false})).await;
    other.after(AHEAD);
    let missed = events(&other, 1).await;
    one.patch(&path, &json!({"enabled": true})).await;

    let replayed = one.post(&format!("{path}/replay"), &json!({"from": EVER})).await;

    assert_eq!(replayed.json()["scheduled"], 1, "{}", replayed.text);
    assert_eq!(receiver.received_when(1).await[0].header("webhook-id"), missed[0]);
}
