//! What cannot be registered, and what is shown and written down of what can.

use reqwest::Method;
use serde_json::{Value, json};

use super::opening::ReceiversKey;
use super::{asked, registered};
use crate::support::{Receiver, Service, send, with_json};

async fn check(service: &Service, receiver: &Receiver, encryption: Value, pointers: &[&str]) {
    let answer = asked(service, receiver, json!({"encryption": encryption})).await;

    assert_eq!(answer.status, 422, "{encryption}: {}", answer.text);
    assert_eq!(answer.pointers(), pointers, "{encryption}: {}", answer.text);
}

#[tokio::test]
async fn what_cannot_be_encrypted_to_is_refused_by_the_member_at_fault() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let (key, whole) = (ReceiversKey::on("P-256", "a").jwk(), "/encryption/jwk");
    let with = |name: &str, value: Value| {
        let mut jwk = key.clone();
        jwk[name] = value;
        jwk
    };

    for (encryption, pointers) in [
        (json!("RSA"), vec!["/encryption"]),
        (json!([key]), vec!["/encryption"]),
        (json!({}), vec!["/encryption"]),
        (json!({"jwk": null}), vec!["/encryption"]),
        (json!({"jwk": key, "jwks_url": receiver.url()}), vec!["/encryption"]),
        (json!({"jwk": key, "kid": "a"}), vec!["/encryption/kid"]),
        (json!({"jwks_url": 7}), vec!["/encryption/jwks_url"]),
        (json!({"jwk": "eyJrdHkiOiJFQyJ9"}), vec![whole]),
        (json!({"jwk": [key]}), vec![whole]),
        (json!({"jwk": with("x5c", json!(["A".repeat(4_096)]))}), vec![whole]),
        (json!({"jwk": {}}), vec!["/encryption/jwk/kty"]),
        (json!({"jwk": {"kty": "oct", "k": "AAAA"}}), vec!["/encryption/jwk/k", "/encryption/jwk/kty"]),
        (json!({"jwk": with("crv", json!("P-224"))}), vec!["/encryption/jwk/crv"]),
        (json!({"jwk": with("x", key["y"].clone())}), vec!["/encryption/jwk/x"]),
        (json!({"jwk": with("use", json!("sig"))}), vec!["/encryption/jwk/use"]),
        (json!({"jwk": with("alg", json!("ES256"))}), vec!["/encryption/jwk/alg"]),
        (json!({"jwk": with("key_ops", json!(["sign"]))}), vec!["/encryption/jwk/key_ops"]),
        (json!({"jwk": with("kid", json!(1.50))}), vec!["/encryption/jwk/kid"]),
    ] {
        check(&service, &receiver, encryption, &pointers).await;
    }
    assert_eq!(service.get("/v1/webhooks").await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_private_key_is_refused_and_its_numbers_are_nowhere_afterwards() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let private = "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw";
    let mut jwk = ReceiversKey::x25519("a").jwk();
    jwk["d"] = private.into();
    let request = service.request(Method::POST, "/v1/webhooks").header("idempotency-key", "once");
    let wish = json!({"url": receiver.url(), "events": ["*"], "encryption": {"jwk": jwk}});

    let answer = send(with_json(request, &wish.to_string())).await;

    assert_eq!((answer.status, answer.pointers()), (422, vec!["/encryption/jwk/d".to_owned()]));
    assert!(answer.text.contains("register the public half") && !answer.text.contains(private), "{}", answer.text);
    let stored = service.database_bytes().await;
    assert!(!stored.windows(private.len()).any(|window| window == private.as_bytes()));
}

#[tokio::test]
async fn a_key_set_stands_where_webhooks_may_reach() {
    let strict = Service::start_with(&[("SIGNET_ALLOW_HTTP", "false"), ("SIGNET_EGRESS_ALLOW", "")]).await;
    let told = async |url: &str| {
        let wish = json!({"url": "https://1.1.1.1/", "events": ["*"], "encryption": {"jwks_url": url}});
        let answer = strict.post("/v1/webhooks", &wish).await;
        (answer.status, answer.problem()["errors"][0].clone())
    };

    let (_, inside) = told("https://10.0.0.1/keys.json").await;
    for url in ["https://127.0.0.1/keys.json", "https://localhost/", "https://[::1]/", "https://169.254.169.254/latest"]
    {
        assert_eq!(told(url).await, (422, inside.clone()), "one answer for all of them: {url}");
    }
    assert_eq!(inside["pointer"], "/encryption/jwks_url");
    for url in ["http://1.1.1.1/", "ftp://1.1.1.1/", "1.1.1.1", "https://a:b@1.1.1.1/", "https://1.1.1.1/#a", ""] {
        let (status, fault) = told(url).await;
        assert_eq!((status, &fault["pointer"]), (422, &json!("/encryption/jwks_url")), "{url}");
    }
    let wish =
        json!({"url": "https://1.1.1.1/", "events": ["*"], "encryption": {"jwks_url": "https://1.1.1.1/keys?a=b"}});
    let taken = strict.post("/v1/webhooks", &wish).await.json();
    assert_eq!(taken["encryption"], json!({"jwks_url": "https://1.1.1.1/keys?a=b"}));
    let path = format!("/v1/webhooks/{}", taken["id"].as_str().unwrap());
    let moved = strict.patch(&path, &json!({"encryption": {"jwks_url": "https://10.0.0.1/"}})).await;
    assert_eq!((moved.status, moved.pointers()), (422, vec!["/encryption/jwks_url".to_owned()]));
}

#[tokio::test]
async fn encryption_is_replaced_as_a_whole_taken_away_with_null_and_shown_in_public() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let [first, second] = ["1", "2"].map(|kid| ReceiversKey::on("P-384", kid).jwk());
    let id = registered(&service, &receiver, json!({"encryption": {"jwk": first}})).await;
    let path = format!("/v1/webhooks/{id}");
    let patched = async |encryption: Value| {
        let answer = service.patch(&path, &json!({"encryption": encryption})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let shown = service.get(&path).await.json();
        assert_eq!(answer.json()["encryption"], shown["encryption"]);
        shown.get("encryption").cloned()
    };

    let mut noisy = second.clone();
    (noisy["key_ops"], noisy["x5t"]) = (json!(["deriveBits"]), json!("abc"));
    let shown = [
        Some(service.get(&path).await.json()["encryption"].clone()),
        patched(json!({"jwk": noisy})).await,
        patched(json!({"jwks_url": "https://1.1.1.1/keys"})).await,
        patched(json!(null)).await,
    ];

    let url = json!({"jwks_url": "https://1.1.1.1/keys"});
    assert_eq!(shown, [Some(json!({"jwk": first})), Some(json!({"jwk": second})), Some(url), None]);
    let log = service.get("/v1/admin/audit-log").await.json();
    let told: Vec<Value> =
        log["data"].as_array().unwrap().iter().take(3).map(|entry| entry["detail"].clone()).collect();
    assert_eq!(told[0]["members"], json!(["encryption"]));
    assert_eq!(told[0]["encryption"], json!({"before": "jwks_url https://1.1.1.1/keys", "after": "none"}));
    let before = told[2]["encryption"]["before"].as_str().unwrap();
    assert!(before.starts_with("jwk ") && before.len() == 47, "{before}");
    assert_ne!(told[2]["encryption"]["after"], before);
}

#[tokio::test]
async fn a_format_whose_receivers_know_no_encryption_is_not_combined_with_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let encryption = json!({"jwk": ReceiversKey::x25519("a").jwk()});
    let encrypted = registered(&service, &receiver, json!({"encryption": encryption})).await;
    let action = registered(&service, &receiver, json!({"format": "action"})).await;
    let patched = async |id: &str, change: Value| service.patch(&format!("/v1/webhooks/{id}"), &change).await;

    let both = json!({"format": "action", "encryption": encryption});
    for refused in [
        asked(&service, &receiver, both.clone()).await,
        patched(&encrypted, json!({"format": "action"})).await,
        patched(&action, json!({"encryption": encryption})).await,
        patched(&action, both).await,
    ] {
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert_eq!(refused.pointers(), ["/format", "/encryption"]);
    }
    let swapped = patched(&encrypted, json!({"format": "action", "encryption": null})).await;
    assert_eq!(swapped.status, 200, "{}", swapped.text);
    let back = patched(&encrypted, json!({"format": "standard", "encryption": encryption})).await;
    assert_eq!(back.status, 200, "{}", back.text);
}
