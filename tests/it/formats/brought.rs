//! Secrets that receivers had before they had Signet: taken over as they are, where receivers compute with the secret's text.

use serde_json::{Value, json};
use signet::engine::clock::Clock;
use standardwebhooks::Webhook;

use super::{code_by_text, made, next, path_of, speaking};
use crate::support::{Answer, Receiver, Service};

/// As UserHub's console shows one, and as HelloJohn's may be: it begins like ours and is no base64.
const THEIRS: [&str; 2] = ["6B5yry~Jk\"2\\{}['x", "whsec_opaque-token_of-32-bytes_A"];

fn check_refused(answer: &Answer, pointer: &str) {
    assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{}", answer.text);
}

async fn take(service: &Service, webhook: &Value, secret: &str, overlap: u64) -> Answer {
    let body = json!({"secret": secret, "overlap_seconds": overlap});
    service.post(&format!("{}/secret/rotate", path_of(webhook)), &body).await
}

#[tokio::test]
async fn a_receiver_s_own_secret_signs_as_text_in_every_scheme_that_uses_the_text() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    service.server().engine().clock.set(Clock::system().now());
    let now = service.now().as_seconds().to_string();

    for (format, scheme) in [("signed", "sha256"), ("signed", "v1"), ("signed", "t,v1"), ("action", "sha256")] {
        speaking(&service, json!({"header_prefix": "X-Theirs", "signature_scheme": scheme})).await;
        for secret in THEIRS {
            let webhook = made(&service, &receiver, json!({"format": format, "secret": secret})).await;
            assert_eq!(webhook["signing_secret"], secret);

            let (_, received) = next(&service, &receiver, "user.created", r#"{"id":1}"#).await;

            let code = |parts: &[&[u8]]| code_by_text(&json!(secret), parts);
            let stamped = code(&[now.as_bytes(), b".", &received.body]);
            let expected = match (format, scheme) {
                ("action", _) => stamped,
                (_, "sha256") => format!("sha256={}", code(&[&received.body])),
                (_, "v1") => format!("v1={stamped}"),
                _ => format!("t={now},v1={stamped}"),
            };
            assert_eq!(received.header("x-theirs-signature"), expected, "{format} {scheme}");
            let library = Webhook::from_bytes(secret.as_bytes().to_vec()).unwrap();
            assert!(
                library.verify(&received.body, &received.headers).is_ok(),
                "Standard Webhooks, of the secret's bytes"
            );
            service.delete(&path_of(&webhook)).await;
        }
    }
}

#[tokio::test]
async fn a_secret_that_the_format_does_not_take_is_refused_and_not_repeated() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let wish = |format: &str, secret: &str| json!({"url": receiver.url(), "events": ["*"], "format": format, "secret": secret});

    for format in ["token", "standard", "set"] {
        let webhook = made(&service, &receiver, json!({"format": format})).await;
        for secret in THEIRS {
            let refused = service.post("/v1/webhooks", &wish(format, secret)).await;
            check_refused(&refused, "/secret");
            assert!(refused.text.contains("save where the format is signed or action"), "{}", refused.text);
            check_refused(&take(&service, &webhook, secret, 0).await, "/secret");
        }
    }
    for format in ["signed", "action"] {
        let webhook = made(&service, &receiver, json!({"format": format})).await;
        let (short, long) = ("hunter2hunter2!", &"hunter2!".repeat(33));
        for secret in [short, long, "hunter2 with some blanks", "hunter2hunter2\u{e4}", "hunter2hunter2\n\n", ""] {
            for refused in
                [service.post("/v1/webhooks", &wish(format, secret)).await, take(&service, &webhook, secret, 0).await]
            {
                check_refused(&refused, "/secret");
                assert!(
                    !refused.text.contains("hunter2") && refused.text.contains("16 to 256 visible"),
                    "{}",
                    refused.text
                );
            }
        }
    }
}

#[tokio::test]
async fn a_format_that_needs_another_secret_waits_until_there_is_one() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"format": "action", "secret": THEIRS[0]})).await;
    let change = async |format: &str| service.patch(&path_of(&webhook), &json!({"format": format})).await;

    for format in ["token", "standard", "set"] {
        check_refused(&change(format).await, "/format");
    }
    let alike = change("signed").await;
    let back = take(&service, &webhook, THEIRS[1], 0).await;
    let still = change("token").await;
    let ours = service.post(&format!("{}/secret/rotate", path_of(&webhook)), &json!({"overlap_seconds": 60})).await;
    let changed = change("standard").await;
    let (_, received) = next(&service, &receiver, "user.created", "{}").await;

    assert_eq!([&alike, &back, &ours, &changed].map(|answer| answer.status), [200; 4], "{}", changed.text);
    check_refused(&still, "/format");
    assert_eq!(
        received.header("webhook-signature").split(' ').count(),
        2,
        "whoever knows the one before verifies it yet"
    );
    assert_eq!(changed.json()["format"], "standard");
}

#[tokio::test]
async fn a_receiver_s_own_secret_outlives_a_restart_and_lies_open_nowhere() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    made(&service, &receiver, json!({"format": "action", "secret": THEIRS[0]})).await;

    let bytes = service.database_bytes().await;
    let service = service.restarted_with(&[]).await;
    let (_, received) = next(&service, &receiver, "users.changed", "{}").await;

    let now = service.now().as_seconds().to_string();
    let code = code_by_text(&json!(THEIRS[0]), &[now.as_bytes(), b".", &received.body]);
    assert_eq!(received.header("signet-signature"), code);
    assert!(!bytes.windows(THEIRS[0].len()).any(|window| window == THEIRS[0].as_bytes()));
}
