//! What stands in the place of data, in each format and to each kind of key, and that nothing else tells it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::opening::ReceiversKey;
use super::{CODE, DATA, opened, published, registered};
use crate::support::{Received, Receiver, Service};

/// What the data tells of somebody.
const PERSONAL: [&str; 4] = [CODE, "usr_7f3a", "12345678901234567890", "txn_91c2"];

/// Fails if a delivery tells anything of that to whoever sees it pass and takes it apart.
fn assert_told_nothing(received: &Received) {
    let headers: Vec<u8> = received.headers.values().flat_map(|value| value.as_bytes().to_vec()).collect();
    let mut seen = vec![headers, received.body.to_vec()];
    let mut taken_apart = 0;
    while let Some(bytes) = seen.pop() {
        let text = String::from_utf8_lossy(&bytes);
        for secret in PERSONAL {
            assert!(!text.contains(secret), "{secret} stands in {text}");
        }
        let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let inside = text.split(|c| !is_base64url(c)).filter(|part| part.len() > 8);
        let inside: Vec<Vec<u8>> = inside.filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok()).collect();
        taken_apart += inside.len();
        // What is not text is encrypted, and the search ends there.
        seen.extend(inside.into_iter().filter(|bytes| std::str::from_utf8(bytes).is_ok()));
    }
    assert!(taken_apart >= 4, "a JWE was taken apart: {taken_apart}");
}

#[tokio::test]
async fn data_is_encrypted_to_every_kind_of_key_and_opens_to_the_byte() {
    let service = Service::start().await;
    let mut epks = BTreeSet::new();
    let kinds: [fn() -> ReceiversKey; 5] = [
        || ReceiversKey::on("P-256", "p256"),
        || ReceiversKey::on("P-384", "p384"),
        || ReceiversKey::on("P-521", "p521"),
        || ReceiversKey::x25519("x25519"),
        || ReceiversKey::rsa("rsa"),
    ];
    for make in kinds {
        let (key, foreign) = (make(), make());
        let receiver = Receiver::start().await;
        let id = registered(&service, &receiver, json!({"encryption": {"jwk": key.jwk()}})).await;

        let event = published(&service).await;

        let received = receiver.received_when(1).await.remove(0);
        assert_eq!(opened(&received, &key), DATA);
        assert_told_nothing(&received);
        let claims = received.claims();
        assert_eq!((&claims["evt"], &claims["jti"]), (&json!("user.code_sent"), &json!(event)));
        let jwe = claims["data"].as_str().unwrap();
        let (header, _) = key.open(jwe).unwrap();
        let alg = if key.kid == "rsa" { "RSA-OAEP-256" } else { "ECDH-ES" };
        let expected = json!([alg, "A256GCM", "json", key.kid]);
        assert_eq!(json!([header["alg"], header["enc"], header["cty"], header["kid"]]), expected);
        assert!(epks.insert(header["epk"].to_string()));
        let (first, last) = jwe.rsplit_once('.').unwrap();
        assert!(key.open(&format!("{first}.{}", "A".repeat(last.len()))).is_none(), "an altered tag");
        assert!(foreign.open(jwe).is_none(), "another key");
        service.delete(&format!("/v1/webhooks/{id}")).await;
    }
}

#[tokio::test]
async fn formats_that_are_signed_with_a_secret_sign_over_the_jwe() {
    let (service, key) = (Service::start().await, ReceiversKey::x25519("a"));
    for format in ["signed", "standard"] {
        let receiver = Receiver::start().await;
        let members = json!({"format": format, "encryption": {"jwk": key.jwk()}});
        let id = registered(&service, &receiver, members).await;

        let event = published(&service).await;

        let received = receiver.received_when(1).await.remove(0);
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(key.open(body["data"].as_str().unwrap()).unwrap().1, DATA);
        assert_eq!((&body["type"], received.header("webhook-id")), (&json!("user.code_sent"), event.as_str()));
        assert_told_nothing(&received);
        service.delete(&format!("/v1/webhooks/{id}")).await;
    }
}

#[tokio::test]
async fn a_set_holds_a_jwe_and_names_nobody_whom_it_concerns() {
    let (service, receiver, key) = (Service::start().await, Receiver::start().await, ReceiversKey::rsa("a"));
    registered(&service, &receiver, json!({"format": "set", "encryption": {"jwk": key.jwk()}})).await;

    published(&service).await;

    let received = receiver.received_when(1).await.remove(0);
    let claims = std::str::from_utf8(&received.body).unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let uri = format!("{}/events/user.code_sent", service.url());
    assert_eq!(key.open(claims["events"][&uri]["jwe"].as_str().unwrap()).unwrap().1, DATA);
    assert_eq!(claims["events"][&uri].as_object().unwrap().len(), 1);
    let tenant = service.get("/v1/admin/tenants").await.json()["data"][0]["id"].clone();
    assert_eq!(claims["sub_id"], json!({"format": "opaque", "id": tenant}));
    assert!(claims.get("txn").is_none());
    assert_told_nothing(&received);
}

#[tokio::test]
async fn webhooks_of_one_audience_share_nothing_that_is_encrypted() {
    let service = Service::start().await;
    let keys = [ReceiversKey::x25519("a"), ReceiversKey::x25519("b")];
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    registered(&service, &receivers[0], json!({"audience": "urn:shop"})).await;
    for (receiver, key) in receivers[1..].iter().zip(&keys) {
        registered(&service, receiver, json!({"audience": "urn:shop", "encryption": {"jwk": key.jwk()}})).await;
    }

    published(&service).await;

    let plain = receivers[0].received_when(1).await.remove(0);
    assert!(plain.claims_text().contains(DATA));
    for (receiver, key) in receivers[1..].iter().zip(&keys) {
        assert_eq!(opened(&receiver.received_when(1).await[0], key), DATA);
    }
}

#[tokio::test]
async fn what_was_not_published_is_encrypted_too() {
    let (service, receiver, key) = (Service::start().await, Receiver::start().await, ReceiversKey::on("P-256", "a"));
    let members = json!({"events": ["*", "signet"], "encryption": {"jwk": key.jwk()}});
    let id = registered(&service, &receiver, members).await;
    let path = format!("/v1/webhooks/{id}");
    let last = async |count: usize| opened(&receiver.received_when(count).await[count - 1], &key);

    let tested = service.post(&format!("{path}/test"), &json!({"event": "user.created"})).await.json();
    assert_eq!(tested["delivered"], true);
    assert!(last(1).await.contains(r#""test":true"#));

    let rehearsed = service.post("/v1/admin/keys/rehearse", &json!({})).await.json();
    assert_eq!(rehearsed["data"].as_array().unwrap().len(), 1);
    assert!(last(2).await.contains("signet.key.rehearsal"));

    service.patch(&path, &json!({"enabled": false})).await;
    service.patch(&path, &json!({"enabled": true})).await;
    assert!(last(3).await.contains(&id), "signet.webhook.enabled");
}

/// A receiver that answers a challenge with what it finds when it has opened it.
async fn echoing(key: ReceiversKey) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let router = Router::new().route("/hooks", post(echo)).with_state(Arc::new(key));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn echo(State(key): State<Arc<ReceiversKey>>, body: Bytes) -> Json<Value> {
    let received = Received { query: String::new(), headers: axum::http::HeaderMap::new(), body };
    let claims = received.claims();
    let opened = claims["data"].as_str().and_then(|jwe| key.open(jwe));
    Json(opened.map_or(Value::Null, |(_, challenge)| serde_json::from_str(&challenge).unwrap()))
}

#[tokio::test]
async fn a_challenge_is_encrypted_so_who_answers_it_can_open_what_follows() {
    let service = Service::start().await;
    let (own, foreign) = (ReceiversKey::x25519("a"), ReceiversKey::x25519("a"));
    let wish = |url: &str, key: &Value| json!({"url": url, "events": ["*"], "encryption": {"jwk": key}, "activation": {"method": "challenge"}});
    let jwk = own.jwk();
    let url = echoing(own).await;
    let activated = async |wish: Value| {
        let id = service.post("/v1/webhooks", &wish).await.json()["id"].as_str().unwrap().to_owned();
        service.post(&format!("/v1/webhooks/{id}/activate"), &json!({})).await.json()
    };

    let shown = activated(wish(&url, &jwk)).await;
    let unable = activated(wish(&url, &foreign.jwk())).await;

    assert_eq!((&shown["activated"], &shown["status"]), (&json!(true), &json!("active")));
    assert_eq!((&unable["activated"], &unable["status"]), (&json!(false), &json!("pending")));
}

#[tokio::test]
async fn encryption_outlives_a_restart() {
    let (service, receiver, key) = (Service::start().await, Receiver::start().await, ReceiversKey::on("P-521", "a"));
    registered(&service, &receiver, json!({"encryption": {"jwk": key.jwk()}})).await;

    let service = service.restarted_with(&[]).await;
    published(&service).await;

    assert_eq!(opened(&receiver.received_when(1).await[0], &key), DATA);
}

#[tokio::test]
async fn a_declared_webhook_is_encrypted_like_any_other() {
    let (receiver, key) = (Receiver::start().await, ReceiversKey::x25519("a"));
    let declared =
        |encryption: Value| json!([{"url": receiver.url(), "events": ["*"], "encryption": encryption}]).to_string();
    let service = Service::start_with(&[("SIGNET_WEBHOOKS", &declared(json!({"jwk": key.jwk()})))]).await;

    published(&service).await;

    assert_eq!(opened(&receiver.received_when(1).await[0], &key), DATA);
    let shown = service.get("/v1/webhooks").await.json()["data"][0].clone();
    assert_eq!((&shown["declared"], &shown["encryption"]), (&json!(true), &json!({"jwk": key.jwk()})));
    let service = service.restarted_with(&[("SIGNET_WEBHOOKS", &declared(json!({"jwk": key.jwk()})))]).await;
    let same = service.get("/v1/webhooks").await.json()["data"][0].clone();
    assert_eq!(same["updated_at"], shown["updated_at"]);
    let service = service.restarted_with(&[("SIGNET_WEBHOOKS", &declared(Value::Null))]).await;
    assert!(service.get("/v1/webhooks").await.json()["data"][0].get("encryption").is_none());
}

#[tokio::test]
async fn what_is_published_after_the_wish_to_encrypt_is_encrypted_by_every_node() {
    let nodes = Service::start_together(2, &[]).await;
    let (receiver, key) = (Receiver::start().await, ReceiversKey::x25519("a"));
    let id = registered(&nodes[0], &receiver, json!({})).await;
    for node in &nodes {
        published(node).await;
    }
    receiver.received_when(2).await;

    let change = json!({"encryption": {"jwk": key.jwk()}});
    let changed = nodes[0].patch(&format!("/v1/webhooks/{id}"), &change).await;
    for _ in 0..5 {
        for node in &nodes {
            published(node).await;
        }
    }

    assert_eq!(changed.status, 200, "{}", changed.text);
    let received = receiver.received_when(12).await;
    assert!(received[..2].iter().all(|received| received.claims_text().contains(DATA)));
    assert!(received[2..].iter().all(|received| opened(received, &key) == DATA));
}
