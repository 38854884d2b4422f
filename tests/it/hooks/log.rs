//! What is written down of questions: what came of each, never what was asked, and for as long as the retention.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{PAYLOAD, hooked};
use crate::support::installation::Installation;
use crate::support::{Receiver, Service, send, until, with_json};

const MINUTE: Duration = Duration::from_mins(1);

fn ids(log: &[Value]) -> Vec<&str> {
    log.iter().map(|line| line["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_execution_is_written_down_without_what_was_asked_or_claimed() {
    let (service, receiver) = hooked("pre_sign_up").await;
    service.configured(json!({"jwt": receiver.url()})).await;
    receiver.saying(r#"{"allow": false, "reason": "not you"}"#);
    let blocked = service.asks("pre_sign_up").await.json();
    service.after(MINUTE);
    receiver.saying(r#"{"claims": {"plan": "a-secret-plan", "sub": "x", "role": "y"}}"#);
    let amended = service.asks("jwt").await.json();
    service.after(MINUTE);
    receiver.answering_by(|_| (500, "a-secret-answer".to_owned()));
    let failed = service.asks("pre_sign_up").await.json();
    service.asks("pre_sign_in").await;

    let mut log = service.hook_log_when(3, "").await;

    for line in &mut log {
        assert!(line.as_object_mut().unwrap().remove("duration_ms").unwrap().as_f64().unwrap() > 0.0);
    }
    let expected = json!([
        {
            "id": failed["id"], "hook": "pre_sign_up", "outcome": "error", "allow": true, "status_code": 500,
            "failure": "status", "created_at": "2026-03-01T12:02:00Z",
        },
        {
            "id": amended["id"], "hook": "jwt", "outcome": "amended", "allow": true, "status_code": 200,
            "ignored_claims": ["sub", "role"], "created_at": "2026-03-01T12:01:00Z",
        },
        {
            "id": blocked["id"], "hook": "pre_sign_up", "outcome": "blocked", "allow": false, "status_code": 200,
            "reason": "not you", "created_at": "2026-03-01T12:00:00Z",
        },
    ]);
    assert_eq!(json!(log), expected, "what was asked of nobody is not in it");
    let bytes = service.database_bytes().await;
    for secret in ["alice@example.com", "a-secret-plan", "a-secret-answer"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn the_log_is_filtered_and_read_in_pages_from_its_end() {
    let (service, receiver) = hooked("pre_sign_up").await;
    service.configured(json!({"pre_sign_in": receiver.url()})).await;
    for number in 0..12 {
        receiver.saying(if number % 3 == 0 { r#"{"allow": false}"# } else { r#"{"allow": true}"# });
        service.asks(if number % 2 == 0 { "pre_sign_up" } else { "pre_sign_in" }).await;
        service.after(MINUTE);
    }
    let all = service.hook_log_when(12, "").await;

    let count = async |query: &str| service.hook_log_when(0, query).await.len();
    assert_eq!(count("&hook=pre_sign_up").await, 6);
    assert_eq!(count("&outcome=blocked").await, 4);
    assert_eq!(count("&hook=pre_sign_up&outcome=blocked").await, 2);
    assert_eq!(count("&hook=jwt").await, 0);
    assert_eq!(count("&from=2026-03-01T12:03:00Z&to=2026-03-01T12:06:00Z").await, 3);
    assert_eq!(count("&outcome=blocked&from=2026-03-01T12:03:00Z&to=2026-03-01T12:06:00Z").await, 1);
    for query in ["", "&outcome=allowed", "&hook=pre_sign_in"] {
        let whole = service.hook_log_when(0, query).await;
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = service.get(&format!("/v1/admin/hooks/logs?limit=3{query}{cursor}")).await.json();
            seen.extend(page["data"].as_array().unwrap().clone());
            let Some(next) = page["pagination"]["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(ids(&seen), ids(&whole), "{query}");
    }
    let mut sorted = ids(&all);
    sorted.sort_unstable();
    sorted.reverse();
    assert_eq!(ids(&all), sorted);
    for (query, pointer) in [
        ("hook=sign_up", "hook"),
        ("outcome=not_configured", "outcome"),
        ("from=yesterday", "from"),
        ("limit=0", "limit"),
        ("cursor=AAAA", "cursor"),
    ] {
        let refused = service.get(&format!("/v1/admin/hooks/logs?{query}")).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec![pointer.to_owned()]), "{query}");
    }
}

#[tokio::test]
async fn a_tenants_log_is_its_own() {
    let (service, _receiver) = hooked("pre_sign_up").await;
    let other = service.tenant("other").await;
    let key = service.api_key_of(&other, &["admin"]).await;
    for _ in 0..3 {
        service.asks("pre_sign_up").await;
    }
    service.hook_log_when(3, "").await;
    let cursor = service.get("/v1/admin/hooks/logs?limit=1").await.json()["pagination"]["next_cursor"].clone();

    let theirs = send(service.request_with(&key, "GET /v1/admin/hooks/logs")).await;
    let crossed =
        send(service.request_with(&key, &format!("GET /v1/admin/hooks/logs?cursor={}", cursor.as_str().unwrap())))
            .await;

    assert_eq!(theirs.json()["data"], json!([]));
    assert_eq!(crossed.pointers(), ["cursor"]);
}

#[tokio::test]
async fn executions_are_forgotten_after_the_retention() {
    let (service, receiver) = (Service::start_with(&[("SIGNET_RETENTION", "10d")]).await, Receiver::start().await);
    service.configured(json!({"pre_sign_up": receiver.url()})).await;
    service.asks("pre_sign_up").await;
    service.hook_log_when(1, "").await;
    let sweep = async || service.server().engine().sweep(&CancellationToken::new()).await.unwrap();

    service.after(Duration::from_hours(9 * 24));
    service.asks("pre_sign_up").await;
    service.hook_log_when(2, "").await;
    sweep().await;
    let kept = service.hook_log_when(0, "").await.len();
    service.after(Duration::from_hours(2 * 24));
    sweep().await;

    assert_eq!((kept, service.hook_log_when(0, "").await.len()), (2, 1));
}

#[tokio::test]
async fn a_server_that_is_told_to_end_writes_down_what_is_under_way() {
    let (service, receiver) = hooked("pre_sign_up").await;
    let mut waiting = Vec::new();
    receiver.holding();
    for _ in 0..20 {
        let request = with_json(service.request(Method::POST, "/v1/hooks/pre_sign_up"), PAYLOAD);
        waiting.push(tokio::spawn(request.send()));
    }
    receiver.received_when(20).await;

    receiver.letting_go();
    let service = service.restarted_with(&[]).await;

    for answer in waiting {
        let _ = answer.await.unwrap();
    }
    assert_eq!(service.hook_log_when(20, "").await.len(), 20);
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_keep_the_question_from_the_log() {
    let (service, receiver) = hooked("pre_sign_up").await;
    receiver.holding();
    let request = with_json(service.request(Method::POST, "/v1/hooks/pre_sign_up"), PAYLOAD);
    let asking = tokio::spawn(request.send());
    receiver.received_when(1).await;

    asking.abort();
    let _ = asking.await;
    receiver.letting_go();

    assert_eq!(service.hook_log_when(1, "").await[0]["outcome"], "error");
}

#[tokio::test]
async fn what_was_written_down_and_what_is_configured_survives_a_kill() {
    let (installation, receiver) = (Installation::new(), Receiver::start().await);
    let running = installation.serve().await;
    let ask = async || {
        let request = installation.request(Method::POST, "/v1/hooks/pre_sign_up");
        send(with_json(request, PAYLOAD)).await.json()["outcome"].clone()
    };
    let log = async |count: usize| {
        until(async || {
            let log = installation.get("/v1/admin/hooks/logs").await.json();
            log["data"].as_array().filter(|log| log.len() >= count).map(Vec::len)
        })
        .await
    };
    receiver.saying(r#"{"allow": false}"#);
    let wish = json!({"hooks": {"pre_sign_up": receiver.url()}}).to_string();
    send(with_json(installation.request(Method::PATCH, "/v1/admin/config"), &wish)).await;
    assert_eq!(ask().await, "blocked");
    assert_eq!(log(1).await, 1);

    running.kill();
    let _running = installation.serve().await;

    assert_eq!(ask().await, "blocked");
    assert_eq!(log(2).await, 2);
    let [first, second] = receiver.received().try_into().unwrap();
    assert_eq!(first.header("signet-hook-signature"), second.header("signet-hook-signature"));
}
