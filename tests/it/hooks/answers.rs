//! What counts as said: explicit answers, and what the hook has for everything else.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::hooked;
use crate::support::{Receiver, Service};

/// What counts as said when a receiver gives this answer, with a hook that allows and one that blocks on failure.
async fn both(service: &Service, receiver: &Receiver, kind: &str, (status, body): (u16, &str)) -> [Value; 2] {
    let body = body.to_owned();
    receiver.answering_by(move |_| (status, body.clone()));
    service.configured(json!({kind: {"on_failure": "allow"}})).await;
    let allowing = service.asked(kind).await;
    service.configured(json!({kind: {"on_failure": "block"}})).await;
    [allowing, service.asked(kind).await]
}

#[tokio::test]
async fn a_receiver_allows_and_blocks_with_words_of_its_own() {
    let (service, receiver) = hooked("pre_sign_up").await;

    receiver.saying(r#"{"allow": true, "reason": "not told"}"#);
    let allowed = service.asked("pre_sign_up").await;
    receiver.saying("{\"allow\": false, \"reason\": \"Only @acme.com\\u0007 \\ud83d\\ude00\"}");
    let blocked = service.asked("pre_sign_up").await;
    receiver.saying(r#"{"allow": false}"#);
    let wordless = service.asked("pre_sign_up").await;

    assert_eq!(allowed, json!({"allow": true, "outcome": "allowed"}));
    assert_eq!(blocked, json!({"allow": false, "outcome": "blocked", "reason": "Only @acme.com 😀"}));
    assert_eq!(wordless, json!({"allow": false, "outcome": "blocked"}));
}

#[tokio::test]
async fn what_is_no_answer_counts_as_the_hook_has_it_and_401_is_never_consent() {
    let (service, receiver) = hooked("pre_sign_in").await;
    let large = format!(r#"{{"allow": true, "x": "{}"}}"#, "x".repeat(16 * 1024));
    let yes = r#"{"allow": true}"#;

    for (answer, failure) in [
        ((401, yes), "status"),
        ((500, yes), "status"),
        ((302, yes), "status"),
        ((307, yes), "status"),
        ((201, yes), "status"),
        ((204, ""), "status"),
        ((200, ""), "malformed"),
        ((200, "true"), "malformed"),
        ((200, "{}"), "malformed"),
        ((200, r#"{"allow": "true"}"#), "malformed"),
        ((200, r#"{"allow": true"#), "malformed"),
        ((200, "<html>"), "malformed"),
        ((200, &large), "too_large"),
    ] {
        let answers = both(&service, &receiver, "pre_sign_in", answer).await;

        let failed = |allow: bool| json!({"allow": allow, "outcome": "error", "failure": failure});
        assert_eq!(answers, [failed(true), failed(false)], "{:.40}", answer.1);
    }
    let exactly = format!(r#"{{"allow": true, "x": "{}"}}"#, "x".repeat(16 * 1024 - 24));
    assert_eq!(exactly.len(), 16 * 1024);
    assert_eq!(both(&service, &receiver, "pre_sign_in", (200, &exactly)).await[1]["outcome"], "allowed");
}

#[tokio::test]
async fn a_receiver_that_is_not_there_or_may_not_be_reached_is_a_failure() {
    let service = Service::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);

    service.configured(json!({"pre_sign_up": {"url": closed, "on_failure": "block"}})).await;
    assert_eq!(service.asked("pre_sign_up").await, json!({"allow": false, "outcome": "error", "failure": "connect"}));
    // What leads inward today may have led elsewhere when it was registered.
    service.configured(json!({"pre_sign_up": "https://example.com/"})).await;
    service.tamper("update hooks set url = 'http://10.0.0.1/'").await;
    service.after(Duration::from_secs(1));
    assert_eq!(service.asked("pre_sign_up").await["failure"], "blocked");
}

#[tokio::test]
async fn silence_ends_after_three_seconds_all_in_all() {
    let (service, receiver) = hooked("pre_sign_up").await;
    receiver.answering_after(Duration::from_secs(20));
    service.configured(json!({"pre_sign_up": {"on_failure": "block"}, "post_sign_up": receiver.url()})).await;

    let (silent, told) = tokio::join!(service.asks("pre_sign_up"), service.asks("post_sign_up"));

    for (answer, allow) in [(silent.json(), false), (told.json(), true)] {
        assert_eq!((&answer["outcome"], &answer["failure"]), (&json!("timeout"), &json!("timeout")), "{answer}");
        let duration = answer["duration_ms"].as_f64().unwrap();
        assert!(answer["allow"] == allow && (2_900.0..4_500.0).contains(&duration), "{answer}");
    }
}

#[tokio::test]
async fn who_is_told_cannot_block() {
    let (service, receiver) = hooked("post_sign_in").await;

    for (status, body, expected) in [
        (200, r#"{"allow": false}"#.to_owned(), json!({"allow": true, "outcome": "allowed"})),
        (200, "x".repeat(100_000), json!({"allow": true, "outcome": "allowed"})),
        (204, String::new(), json!({"allow": true, "outcome": "allowed"})),
        (500, String::new(), json!({"allow": true, "outcome": "error", "failure": "status"})),
        (401, String::new(), json!({"allow": true, "outcome": "error", "failure": "status"})),
    ] {
        receiver.answering_by(move |_| (status, body.clone()));
        assert_eq!(service.asked("post_sign_in").await, expected, "{status}");
    }
}

#[tokio::test]
async fn claims_are_added_as_they_were_written_and_reserved_ones_are_named_and_left_out() {
    let (service, receiver) = hooked("jwt").await;
    let claims = r#"{"plan": "pro", "big": 12345678901234567890123, "rate": 1.10, "sub": "usr_2", "exp": 1e10, "org_id": "o", "a\"b": {"c": [null]}}"#;
    receiver.saying(&format!(r#"{{"claims": {claims}}}"#));

    let amended = service.asks("jwt").await;
    receiver.saying(r#"{"claims": {"role": "admin"}}"#);
    let nothing_left = service.asked("jwt").await;
    receiver.saying(r#"{"claims": {"a": 1, "a": 2}}"#);
    let ambiguous = service.asked("jwt").await;
    receiver.saying(r#"{"allow": false}"#);
    let blocking = service.asked("jwt").await;

    let expected = r#""claims":{"plan":"pro","big":12345678901234567890123,"rate":1.10,"a\"b":{"c": [null]}}"#;
    assert!(amended.text.contains(expected), "{}", amended.text);
    let amended = amended.json();
    assert_eq!((&amended["outcome"], &amended["allow"]), (&json!("amended"), &json!(true)));
    assert_eq!(amended["ignored_claims"], json!(["sub", "exp", "org_id"]));
    assert_eq!(nothing_left, json!({"allow": true, "outcome": "allowed", "ignored_claims": ["role"]}));
    let malformed = json!({"allow": true, "outcome": "error", "failure": "malformed"});
    assert_eq!([&ambiguous, &blocking], [&malformed, &malformed]);
}

#[tokio::test]
async fn without_a_hook_everything_is_allowed_and_nothing_is_asked() {
    let (service, receiver) = hooked("pre_sign_up").await;

    for kind in ["post_sign_up", "pre_sign_in", "post_sign_in", "pre_password_reset", "jwt"] {
        assert_eq!(service.asked(kind).await, json!({"allow": true, "outcome": "not_configured"}));
    }
    service.configured(json!({"pre_sign_up": null})).await;
    assert_eq!(service.asked("pre_sign_up").await["outcome"], "not_configured");
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_secret_that_does_not_open_is_our_failure_and_the_hooks_word_counts() {
    let (service, receiver) = hooked("pre_sign_up").await;
    service.configured(json!({"pre_sign_up": {"on_failure": "block"}})).await;
    service.tamper("update hook_secrets set secret_jwe = 'damaged'").await;
    service.after(Duration::from_secs(1));

    let answer = service.asked("pre_sign_up").await;

    let internal = json!({"allow": false, "outcome": "error", "failure": "internal"});
    assert_eq!(answer, internal);
    service.tamper("delete from hook_secrets").await;
    service.after(Duration::from_secs(1));
    assert_eq!(service.asked("pre_sign_up").await, internal, "nothing is asked without a signature");
    assert_eq!(receiver.received().len(), 0);
}
