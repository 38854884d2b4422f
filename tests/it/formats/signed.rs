//! Format `signed`: what HelloJohn's receivers verify, in each of their schemes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{code_by_text, made, next, path_of, rotate, speaking};
use crate::support::{Receiver, Service};

#[tokio::test]
async fn a_signed_delivery_is_an_envelope_and_headers_under_the_tenant_s_prefix() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    speaking(&service, json!({"header_prefix": "HelloJohn"})).await;
    let webhook = made(&service, &receiver, json!({"format": "signed"})).await;

    let (event, received) = next(&service, &receiver, "user.created", r#"{"user":{"id":1.10}}"#).await;

    let envelope: Value = serde_json::from_slice(&received.body).unwrap();
    let tenant = service.get("/v1/admin/tenants").await.json()["data"][0]["id"].clone();
    assert_eq!(
        envelope,
        serde_json::from_str::<Value>(&format!(
            r#"{{"id":{},"type":"user.created","created_at":"2026-03-01T12:00:00Z","tenant_id":{tenant},"data":{{"user":{{"id":1.10}}}}}}"#,
            event["id"]
        ))
        .unwrap()
    );
    let code = code_by_text(&webhook["signing_secret"], &[&received.body]);
    assert_eq!(received.header("hellojohn-signature"), format!("sha256={code}"));
    assert_eq!(received.header("hellojohn-event"), "user.created");
    assert_eq!(received.header("hellojohn-timestamp"), service.now().as_seconds().to_string());
    assert!(received.header("hellojohn-delivery-id").starts_with("del_"));
    assert_eq!((received.header("content-type"), received.header("webhook-attempt")), ("application/json", "1"));
    assert_eq!(received.header("webhook-id"), event["id"]);
    assert!(received.header("webhook-signature").starts_with("v1,"));
    let logged = service.delivery_when(webhook["id"].as_str().unwrap(), event["id"].as_str().unwrap(), "delivered");
    assert_eq!(logged.await["log"][0]["kid"], Value::Null, "no key of the tenant signed it");
}

#[tokio::test]
async fn a_tenant_changes_its_scheme_and_the_next_attempt_is_signed_so() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"format": "signed"})).await;
    let secret = &webhook["signing_secret"];
    let now = service.now().as_seconds().to_string();

    speaking(&service, json!({"header_prefix": "X-HelloJohn", "signature_scheme": "v1"})).await;
    let (_, stamped) = next(&service, &receiver, "user.created", "null").await;
    let dialect = speaking(&service, json!({"signature_scheme": "t,v1"})).await.json()["dialect"].clone();
    let (_, inline) = next(&service, &receiver, "user.created", "null").await;

    let code = |body: &[u8]| code_by_text(secret, &[now.as_bytes(), b".", body]);
    assert_eq!(stamped.header("x-hellojohn-signature"), format!("v1={}", code(&stamped.body)));
    assert_eq!(stamped.header("x-hellojohn-timestamp"), now);
    assert_eq!(inline.header("x-hellojohn-signature"), format!("t={now},v1={}", code(&inline.body)));
    assert_eq!((&dialect["header_prefix"], &dialect["signature_scheme"]), (&json!("X-HelloJohn"), &json!("t,v1")));
}

#[tokio::test]
async fn a_receiver_that_knows_either_of_two_overlapping_secrets_verifies_one_of_two_attempts() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({"format": "signed"})).await;
    let second = rotate(&service, &webhook).await["signing_secret"].clone();
    let first = &webhook["signing_secret"];

    receiver.answering(401);
    let (event, attempt_1) = next(&service, &receiver, "user.created", "{}").await;
    let (id, event) = (webhook["id"].as_str().unwrap(), event["id"].as_str().unwrap());
    service.delivery_when(id, event, "failed").await;
    receiver.answering(200);
    service.after(Duration::from_secs(7));
    let attempt_2 = receiver.received_when(2).await.remove(1);
    service.after(Duration::from_hours(1));
    let (_, after) = next(&service, &receiver, "user.created", "{}").await;

    let by = |secret: &Value, body: &[u8]| format!("sha256={}", code_by_text(secret, &[body]));
    assert_eq!(attempt_1.header("signet-signature"), by(&second, &attempt_1.body));
    assert_eq!(attempt_2.header("signet-signature"), by(first, &attempt_2.body));
    assert_eq!(attempt_2.header("signet-delivery-id"), attempt_1.header("signet-delivery-id"));
    assert_eq!(after.header("signet-signature"), by(&second, &after.body));
}

#[tokio::test]
async fn a_dialect_that_nobody_can_speak_is_refused_with_a_pointer() {
    let service = Service::start().await;

    for (dialect, pointer) in [
        (json!({"header_prefix": "a b"}), "/dialect/header_prefix"),
        (json!({"header_prefix": "Webhook"}), "/dialect/header_prefix"),
        (json!({"header_prefix": "a\r\nHost: b"}), "/dialect/header_prefix"),
        (json!({"signature_scheme": "md5"}), "/dialect/signature_scheme"),
        (json!({"event_base": "events"}), "/dialect/event_base"),
        (json!({"accent": "none"}), "/dialect/accent"),
    ] {
        let refused = speaking(&service, dialect.clone()).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec![pointer.to_owned()]), "{dialect}");
        let refused = service.post("/v1/admin/tenants", &json!({"name": "a", "dialect": dialect})).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec![pointer.to_owned()]), "{dialect}");
    }
}

#[tokio::test]
async fn a_webhook_changes_its_format_and_a_dialect_is_in_the_audit_log() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = made(&service, &receiver, json!({})).await;

    let changed = service.patch(&path_of(&webhook), &json!({"format": "signed"})).await.json();
    speaking(&service, json!({"header_prefix": "HelloJohn", "event_base": "urn:shop:"})).await;
    let (_, received) = next(&service, &receiver, "user.created", "{}").await;

    assert_eq!((&webhook["format"], &changed["format"]), (&json!("token"), &json!("signed")));
    assert_ne!(received.header("hellojohn-signature"), "");
    let log = service.get("/v1/admin/audit-log?limit=1").await.json();
    let after = log["data"][0]["detail"]["after"].as_str().unwrap();
    assert!(after.ends_with("; headers HelloJohn, signatures sha256, events under urn:shop:"), "{after}");
}
