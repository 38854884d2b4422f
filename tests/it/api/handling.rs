//! How one webhook's deliveries are made: its own headers and secrets, its schedule, its time and its rate.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Received, Receiver, Service, database, send, until, with_json};

const HOUR: Duration = Duration::from_hours(1);

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

async fn rotate(service: &Service, webhook: &Value, body: Value) -> Answer {
    service.post(&format!("{}/secret/rotate", path_of(webhook)), &body).await
}

/// Which of these secrets signed a delivery.
fn signed_by<'a>(received: &Received, secrets: &[&'a str]) -> Vec<&'a str> {
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &received.body[..]].concat();
    let signature = |secret: &str| {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        format!("v1,{}", STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message)))
    };
    let signatures: Vec<&str> = received.header("webhook-signature").split(' ').collect();
    let signed = secrets.iter().filter(|secret| signatures.contains(&signature(secret).as_str())).copied().collect();
    assert!(signatures.iter().all(|given| secrets.iter().any(|secret| signature(secret) == *given)), "{signatures:?}");
    signed
}

async fn next(service: &Service, receiver: &Receiver) -> Received {
    let count = receiver.received().len();
    service.event("user.created").await;
    receiver.received_when(count + 1).await.remove(count)
}

#[tokio::test]
async fn a_webhook_s_own_headers_go_with_its_deliveries_and_their_values_are_not_shown() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let headers = json!({"Authorization": "Bearer hunter2", "X-Env": "test"});

    let webhook = made(&service, &receiver, json!({"headers": headers})).await;
    let first = next(&service, &receiver).await;
    let change = json!({"headers": {"x-env": null, "X-Team": "billing", "AUTHORIZATION": "Bearer new"}});
    let changed = service.patch(&path_of(&webhook), &change).await;
    let second = next(&service, &receiver).await;

    assert_eq!(webhook["headers"], json!({"authorization": "***", "x-env": "***"}));
    assert_eq!((first.header("authorization"), first.header("x-env")), ("Bearer hunter2", "test"));
    assert_eq!(changed.json()["headers"], json!({"authorization": "***", "x-team": "***"}));
    assert_eq!((second.header("authorization"), second.header("x-team")), ("Bearer new", "billing"));
    assert_eq!(second.header("x-env"), "");
    let bytes = service.database_bytes().await;
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
}

#[tokio::test]
async fn headers_that_come_twice_mean_ours_or_say_nothing_are_refused() {
    let service = Service::start().await;

    for (headers, pointer) in [
        (r#"{"X-A": "1", "X-A": "2"}"#, "/headers/X-A"),
        (r#"{"X-A": "1", "x-a": "2"}"#, "/headers/x-a"),
        (r#"{"X-A": null}"#, "/headers/X-A"),
        (r#"{"Webhook_Signature": "v1,forged"}"#, "/headers/Webhook_Signature"),
        (r#"{"content_length": "9"}"#, "/headers/content_length"),
        (r#"{"X-HTTP-Method-Override": "DELETE"}"#, "/headers/X-HTTP-Method-Override"),
    ] {
        let body = format!(r#"{{"url": "https://example.com/", "events": ["*"], "headers": {headers}}}"#);
        let answer = send(with_json(service.request(Method::POST, "/v1/webhooks"), &body)).await;

        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{headers}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_header_that_would_change_what_a_delivery_is_is_refused_by_its_name() {
    let service = Service::start().await;
    let refused = async |headers: Value| {
        let wish = json!({"url": "https://example.com/", "events": ["*"], "headers": headers});
        let answer = service.post("/v1/webhooks", &wish).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        answer.pointers()
    };

    for name in ["Host", "content-length", "Webhook-Signature", "Transfer-Encoding", "Cookie", "a b", ""] {
        assert_eq!(refused(json!({name: "1"})).await, [format!("/headers/{name}")], "{name}");
    }
    assert_eq!(refused(json!({"x-a": "1\r\nHost: b", "x-b": "1"})).await, ["/headers/x-a"]);
    assert_eq!(refused(json!({"x-a": "***"})).await, ["/headers/x-a"]);
    assert_eq!(refused(json!({"X-A": "1", "x-a": "2"})).await, ["/headers/x-a"]);
    let many: BTreeMap<String, &str> = (0..17).map(|number| (format!("x-{number}"), "1")).collect();
    assert_eq!(refused(json!(many)).await, ["/headers"]);
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_one_before_until_the_overlap_ends() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({})).await;
    let first = webhook["signing_secret"].as_str().unwrap();

    let rotated = rotate(&service, &webhook, json!({"overlap_seconds": 3_600})).await.json();
    let second = rotated["signing_secret"].as_str().unwrap();
    let during = next(&service, &receiver).await;
    service.after(HOUR);
    let after = next(&service, &receiver).await;

    assert_eq!(rotated["previous_expires_at"], "2026-03-01T13:00:00Z");
    assert_eq!(signed_by(&during, &[first, second]), [first, second]);
    assert_eq!(signed_by(&after, &[first, second]), [second]);
}

#[tokio::test]
async fn secrets_that_are_lost_are_ended_at_once_however_long_they_were_to_overlap() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({})).await;
    assert_eq!(rotate(&service, &webhook, json!({"overlap_seconds": 604_800})).await.status, 200);

    let rotated = rotate(&service, &webhook, json!({"overlap_seconds": 0})).await.json();
    let delivery = next(&service, &receiver).await;

    let last = rotated["signing_secret"].as_str().unwrap();
    assert_eq!(signed_by(&delivery, &[last]), [last]);
}

#[tokio::test]
async fn a_secret_that_the_receiver_has_already_is_taken_over() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let (ours, theirs) = (format!("whsec_{}", STANDARD.encode([7; 24])), format!("whsec_{}", STANDARD.encode([8; 64])));

    let webhook = made(&service, &receiver, json!({"secret": ours})).await;
    let first = next(&service, &receiver).await;
    rotate(&service, &webhook, json!({"secret": theirs, "overlap_seconds": 0})).await;
    let second = next(&service, &receiver).await;

    assert_eq!(webhook["signing_secret"], ours);
    assert_eq!(signed_by(&first, &[&ours]), [&ours]);
    assert_eq!(signed_by(&second, &[&theirs]), [&theirs]);
    for secret in ["hunter2", "whsec_", "whsec_AAAA", "whsec_!"] {
        let wish = json!({"url": "https://example.com/", "events": ["*"], "secret": secret});
        let refused = service.post("/v1/webhooks", &wish).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec!["/secret".to_owned()]), "{}", refused.text);
        assert!(!refused.text.contains("hunter2"));
    }
}

#[tokio::test]
async fn secrets_that_overlap_are_bounded_and_an_overlap_too() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({})).await;

    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(rotate(&service, &webhook, json!({})).await.status);
    }
    let too_long = rotate(&service, &webhook, json!({"overlap_seconds": 604_801})).await;

    assert_eq!(statuses, [[200; 7].as_slice(), &[409]].concat());
    assert_eq!((too_long.status, too_long.pointers()), (422, vec!["/overlap_seconds".to_owned()]));
}

#[tokio::test]
async fn another_node_signs_with_a_rotated_secret_at_once() {
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let (other, receiver) = (service.beside().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({})).await;
    next(&other, &receiver).await;

    let rotated = rotate(&service, &webhook, json!({"overlap_seconds": 0})).await.json();
    let delivery = next(&other, &receiver).await;

    let second = rotated["signing_secret"].as_str().unwrap();
    assert_eq!(signed_by(&delivery, &[second]), [second]);
}

#[tokio::test]
async fn a_webhook_s_own_schedule_is_kept() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    receiver.answering(500);
    let webhook = made(&service, &receiver, json!({"retry": {"schedule": [60]}})).await;
    let id = webhook["id"].as_str().unwrap();

    let event = service.event("user.created").await;
    service.delivery_when(id, &event, "failed").await;
    service.after(Duration::from_mins(2));
    let exhausted = service.delivery_when(id, &event, "exhausted").await;

    assert_eq!(exhausted["attempts"], 2);
    let none = service.patch(&path_of(&webhook), &json!({"retry": {"schedule": []}})).await;
    assert_eq!(none.json()["retry"], json!({"schedule": []}));
    let event = service.event("user.created").await;
    assert_eq!(service.delivery_when(id, &event, "exhausted").await["attempts"], 1);
    let standard = service.patch(&path_of(&webhook), &json!({"retry": null})).await;
    assert_eq!(standard.json().get("retry"), None);
}

#[tokio::test]
async fn a_choice_beyond_its_bounds_is_refused() {
    let service = Service::start().await;

    for (members, pointer) in [
        (json!({"retry": {"schedule": [0]}}), "/retry/schedule"),
        (json!({"retry": {"schedule": vec![1; 21]}}), "/retry/schedule"),
        (json!({"retry": {"schedule": [700_000]}}), "/retry/schedule"),
        (json!({"retry": {"schedule": [-1]}}), "/retry/schedule/0"),
        (json!({"retry": {}}), "/retry/schedule"),
        (json!({"timeout_seconds": 0}), "/timeout_seconds"),
        (json!({"timeout_seconds": 31}), "/timeout_seconds"),
        (json!({"rate_limit": 0}), "/rate_limit"),
        (json!({"rate_limit": 10_001}), "/rate_limit"),
        (json!({"rate_limit": "fast"}), "/rate_limit"),
    ] {
        let mut wish = json!({"url": "https://example.com/", "events": ["*"]});
        wish.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let refused = service.post("/v1/webhooks", &wish).await;

        assert_eq!(
            (refused.status, refused.pointers()),
            (422, vec![pointer.to_owned()]),
            "{members}: {}",
            refused.text
        );
    }
}

#[tokio::test]
async fn a_receiver_that_takes_longer_than_its_webhook_allows_has_failed() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    receiver.answering_after(Duration::from_secs(5));
    let webhook = made(&service, &receiver, json!({"timeout_seconds": 1})).await;
    let id = webhook["id"].as_str().unwrap();

    let event = service.event("user.created").await;
    let failed = service.delivery_when(id, &event, "failed").await;

    assert_eq!(failed["log"][0]["failure"], "timeout");
    let took_ms = failed["log"][0]["duration_ms"].as_f64().unwrap();
    assert!((1_000.0..4_000.0).contains(&took_ms), "{failed}");
}

#[tokio::test]
async fn a_webhook_with_a_rate_gets_a_second_s_worth_at_once_and_the_rest_in_step() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    made(&service, &receiver, json!({"rate_limit": 2})).await;

    for _ in 0..40 {
        service.event("user.created").await;
    }
    let mut counts = vec![receiver.received_when(2).await.len()];
    let mut seconds = 0;
    until(async || {
        service.after(Duration::from_secs(1));
        seconds += 1;
        let (due, count) = (2 + 2 * seconds, receiver.received().len());
        assert!(count <= due, "{count} in {seconds} s");
        counts.push(count);
        (count == 40).then_some(())
    })
    .await;

    assert!(counts[0] <= 2, "{counts:?}");
}

#[tokio::test]
async fn a_rate_holds_nobody_else_up() {
    let (service, slow, quick) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    made(&service, &slow, json!({"rate_limit": 1})).await;
    made(&service, &quick, json!({})).await;

    for _ in 0..200 {
        service.event("user.created").await;
    }

    assert_eq!(quick.received_when(200).await.len(), 200);
    assert!(slow.received().len() <= 1);
}

#[tokio::test]
async fn a_webhook_tells_when_a_delivery_was_last_acknowledged_however_long_ago() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"retry": {"schedule": []}})).await;
    let last_delivery_at = async || service.get(&path_of(&webhook)).await.json()["last_delivery_at"].clone();
    let tested = service.post(&format!("{}/test", path_of(&webhook)), &json!({"event": "user.created"})).await;
    assert_eq!((tested.json()["delivered"].clone(), last_delivery_at().await), (json!(true), json!(null)));

    let acknowledged_at = json!(service.now().to_string());
    service.event("user.created").await;
    until(async || (last_delivery_at().await == acknowledged_at).then_some(())).await;
    service.after(HOUR);
    receiver.answering(500);
    let failing = json!({"events": vec![json!({"type": "user.created", "data": 1}); 120]});
    service.post("/v1/events/batch", &failing).await;
    let id = webhook["id"].as_str().unwrap();
    until(async || (service.deliveries(id, "exhausted").await == 120).then_some(())).await;
    assert_eq!(last_delivery_at().await, acknowledged_at);

    receiver.answering(200);
    service.event("user.created").await;
    let now = json!(service.now().to_string());
    until(async || (last_delivery_at().await == now).then_some(())).await;
}
