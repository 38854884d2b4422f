//! Saying the same twice publishes once.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, Receiver, Service, send, with_json};

const BODY: &str = r#"{"type":"user.created","data":{"id":42}}"#;

fn named(service: &Service, key: &str, body: &str) -> RequestBuilder {
    with_json(service.request(Method::POST, "/v1/events"), body).header("idempotency-key", key)
}

async fn published(service: &Service) -> usize {
    service.get("/v1/events?limit=100").await.json()["data"].as_array().unwrap().len()
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == "true"
}

#[tokio::test]
async fn the_same_request_under_the_same_key_gets_the_same_answer() {
    let service = Service::start().await;

    let first = send(named(&service, "one", BODY)).await;
    let second = send(named(&service, "one", BODY)).await;

    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.text, second.text);
    assert!(first.headers.get("idempotent-replayed").is_none());
    assert!(is_replay(&second));
    assert_eq!(published(&service).await, 1);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let service = Service::start().await;
    send(named(&service, "one", BODY)).await;

    let other = send(named(&service, "one", r#"{"type":"user.created","data":{"id":43}}"#)).await;

    assert_eq!((other.status, other.pointers()), (422, vec!["Idempotency-Key".to_owned()]));
    assert_eq!(published(&service).await, 1);
}

#[tokio::test]
async fn another_key_is_another_request() {
    let service = Service::start().await;

    let (one, two) = (send(named(&service, "one", BODY)).await, send(named(&service, "two", BODY)).await);

    assert_ne!(one.json()["id"], two.json()["id"]);
    assert!(!is_replay(&two));
    assert_eq!(published(&service).await, 2);
}

#[tokio::test]
async fn a_hundred_equal_requests_at_once_publish_one_event() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["*"]).await;

    let mut asking = JoinSet::new();
    for _ in 0..100 {
        asking.spawn(send(named(&service, "one", BODY)));
    }
    let answers = asking.join_all().await;

    assert!(answers.iter().all(|answer| answer.status == 202));
    assert_eq!(answers.iter().map(|answer| answer.text.clone()).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(answers.iter().filter(|answer| is_replay(answer)).count(), 99);
    let events = service.get("/v1/events").await.json()["data"].clone();
    assert_eq!(events.as_array().unwrap().len(), 1);
    assert_eq!(events[0]["deliveries"], 1);
    service.delivery_when(&webhook, events[0]["id"].as_str().unwrap(), "delivered").await;
    let log = service.get(&format!("/v1/webhooks/{webhook}/deliveries")).await.json();
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn equal_requests_that_are_written_together_publish_one_event() {
    let service = Service::start().await;
    // While somebody else writes, one event waits alone and all others queue up behind it for one transaction.
    let writing = service.server().engine().store.write().await.unwrap();
    let mut asking = JoinSet::new();
    asking.spawn(send(named(&service, "another", BODY)));
    service.get("/v1/webhooks").await;
    for _ in 0..50 {
        asking.spawn(send(named(&service, "one", BODY)));
    }
    for _ in 0..50 {
        service.get("/v1/webhooks").await;
    }

    drop(writing);
    let answers = asking.join_all().await;

    assert!(answers.iter().all(|answer| answer.status == 202));
    assert_eq!(answers.iter().filter(|answer| is_replay(answer)).count(), 49);
    assert_eq!(published(&service).await, 2);
}

#[tokio::test]
async fn of_different_requests_under_one_key_at_once_one_is_published() {
    let service = Service::start().await;

    let mut asking = JoinSet::new();
    for id in 0..20 {
        asking.spawn(send(named(&service, "one", &format!(r#"{{"type":"user.created","data":{id}}}"#))));
    }
    let answers = asking.join_all().await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 422).count(), 19);
    assert_eq!(published(&service).await, 1);
}

#[tokio::test]
async fn tenants_do_not_share_keys() {
    let service = Service::start().await;
    let other = service.tenant("other").await;
    let first = send(named(&service, "one", BODY)).await;

    let theirs = send(named(&service, "one", BODY).header("x-tenant-id", &other)).await;

    assert_eq!(theirs.status, 202, "{}", theirs.text);
    assert!(!is_replay(&theirs));
    assert_ne!(first.json()["id"], theirs.json()["id"]);
}

#[tokio::test]
async fn a_batch_is_replayed_entry_by_entry() {
    let service = Service::start().await;
    let batch = r#"{"events":[{"type":"a","data":1},{"type":"Bad","data":2},{"type":"c","data":3}]}"#;
    let ask = async || {
        let request = service.request(Method::POST, "/v1/events/batch").header("idempotency-key", "one");
        send(with_json(request, batch)).await
    };
    let single = send(named(&service, "one", BODY)).await;

    let (first, second) = (ask().await, ask().await);

    assert_eq!((first.status, second.status), (207, 207));
    assert_eq!(first.text, second.text);
    assert!(!is_replay(&single) && !is_replay(&first) && is_replay(&second));
    assert_eq!(published(&service).await, 3);
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let service = Service::start().await;
    let refused = send(named(&service, "one", r#"{"type":"Bad","data":1}"#)).await;

    let mended = send(named(&service, "one", BODY)).await;

    assert_eq!((refused.status, mended.status), (422, 202));
    assert!(!is_replay(&mended));
}

#[tokio::test]
async fn a_key_may_be_written_bare_or_as_a_quoted_string() {
    let service = Service::start().await;
    send(named(&service, "one", BODY)).await;

    let quoted = send(named(&service, "\"one\"", BODY)).await;

    assert!(is_replay(&quoted));
}

#[tokio::test]
async fn a_key_is_1_to_255_characters() {
    let service = Service::start().await;

    for key in ["", "\"\"", &"k".repeat(256)] {
        let answer = send(named(&service, key, BODY)).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec!["Idempotency-Key".to_owned()]), "{key}");
    }
    assert_eq!(send(named(&service, &"k".repeat(255), BODY)).await.status, 202);
    assert_eq!(published(&service).await, 1);
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let service = Service::start().await;
    let ask = async || -> (bool, Value) {
        service.server().engine().sweep(&CancellationToken::new()).await.unwrap();
        let answer = send(named(&service, "one", BODY)).await;
        (is_replay(&answer), answer.json()["id"].clone())
    };
    let (_, first) = ask().await;

    service.after(Duration::from_hours(24));
    assert_eq!(ask().await, (true, first.clone()));
    service.after(Duration::from_secs(1));
    let (replayed, second) = ask().await;

    assert!(!replayed);
    assert_ne!(first, second);
    assert_eq!(ask().await, (true, json!(second)));
}
