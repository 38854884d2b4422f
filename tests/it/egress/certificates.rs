//! Webhooks that show a certificate, from the request that sets it to the receiver that verifies it.

use openssl::ssl::SslVersion;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::name_server::NameServer;
use crate::support::tls::{Certificate, TlsReceiver, Wish};
use crate::support::{Service, until};

const HOST: &str = "receiver.test";

/// A service that trusts a private authority, and finds every name on this machine.
async fn service(root: &Certificate) -> (Service, NamedTempFile) {
    let names = NameServer::answering(|_, _| vec![[127, 0, 0, 1].into()]).await;
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), root.pem()).unwrap();
    let (roots, servers) = (file.path().display().to_string(), names.address.to_string());
    let told = [("SIGNET_EGRESS_CA_FILE", &*roots), ("SIGNET_DNS_SERVERS", &*servers)];
    (Service::start_with(&told).await, file)
}

fn wish(certificate: &Certificate) -> Value {
    json!({"certificate": certificate.pem(), "private_key": certificate.key_pem()})
}

/// The first attempt of a delivery to the webhook.
async fn attempt(service: &Service, webhook: &str) -> Value {
    let event = service.event("user.created").await;
    let path = format!("/v1/webhooks/{webhook}/deliveries/{event}");
    until(async || service.get(&path).await.json()["log"].get(0).cloned()).await
}

#[tokio::test]
async fn a_webhook_shows_its_certificate_to_who_wants_one_and_its_key_to_nobody() {
    let (root, clients) = (Certificate::root("root"), Certificate::root("clients"));
    let receiver = TlsReceiver::wanting(&root.issue(Wish::server(HOST)), &clients, SslVersion::TLS1_3);
    let (service, _file) = service(&root).await;
    let certificate = clients.issue(Wish::client("signet"));
    let url = format!("https://{HOST}:{}/hooks", receiver.port);

    let made = service.post("/v1/webhooks", &json!({"url": url, "events": ["*"]})).await.json();
    let webhook = made["id"].as_str().unwrap();
    let path = format!("/v1/webhooks/{webhook}");
    let without = attempt(&service, webhook).await;
    let changed = service.patch(&path, &json!({"client_certificate": wish(&certificate)})).await;
    let with = attempt(&service, webhook).await;
    let taken_back = service.patch(&path, &json!({"client_certificate": null})).await;
    let again = attempt(&service, webhook).await;

    assert_eq!((&without["failure"], without.get("status_code")), (&json!("tls"), None));
    let wanted = "the server wants a client certificate, and this webhook has none";
    assert_eq!(without["failure_detail"], wanted);
    assert_eq!(with["status_code"], 200, "{with}");
    assert_eq!(again["failure_detail"], wanted);
    assert_eq!(receiver.visits()[0].client.as_deref(), Some("signet"));
    let shown = &changed.json()["client_certificate"];
    assert_eq!((&shown["subject"], &shown["certificate"]), (&json!("CN=signet"), &json!(certificate.pem())));
    assert!(shown["expires_at"].as_str().unwrap().ends_with('Z'), "{shown}");
    assert!(!changed.text.contains("PRIVATE KEY") && !service.get(&path).await.text.contains("PRIVATE KEY"));
    assert_eq!(taken_back.json().get("client_certificate"), None);
}

#[tokio::test]
async fn a_certificate_may_come_with_the_webhook_and_its_key_lies_sealed() {
    let (root, clients) = (Certificate::root("root"), Certificate::root("clients"));
    let intermediate = clients.intermediate("intermediate");
    let receiver = TlsReceiver::wanting(&root.issue(Wish::server(HOST)), &clients, SslVersion::TLS1_2);
    let (service, _file) = service(&root).await;
    let certificate = intermediate.issue(Wish::client("chained"));
    let chain = format!("{}{}", certificate.pem(), intermediate.pem());
    let url = format!("https://{HOST}:{}/hooks", receiver.port);

    let client = json!({"certificate": chain, "private_key": certificate.key_pem()});
    let wish = json!({"url": url, "events": ["*"], "client_certificate": client});
    let made = service.post("/v1/webhooks", &wish).await;
    let attempt = attempt(&service, made.json()["id"].as_str().unwrap()).await;

    assert_eq!((made.status, &attempt["status_code"]), (201, &json!(200)), "{} {attempt}", made.text);
    assert_eq!(made.json()["client_certificate"]["certificate"], chain);
    let bytes = service.database_bytes().await;
    let key = certificate.key_pem();
    let line = key.lines().nth(1).unwrap().as_bytes();
    assert!(!bytes.windows(line.len()).any(|window| window == line), "the key is not in the clear");
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_named_by_its_member() {
    let service = Service::start().await;
    let root = Certificate::root("root");
    let (one, other) = (root.issue(Wish::client("one")), root.issue(Wish::client("other")));
    // The service's clock stands years apart from the one that these are made by.
    let expired = root.issue(Wish { days: (-3_000, -2_900), ..Wish::client("expired") });
    let both = format!("{}{}", root.pem(), one.pem());
    let nine = one.pem().repeat(9);
    let certificate = "/client_certificate/certificate";
    let key = "/client_certificate/private_key";
    let cases = [
        (json!({"certificate": "", "private_key": one.key_pem()}), certificate),
        (json!({"certificate": "nonsense", "private_key": one.key_pem()}), certificate),
        (json!({"certificate": one.key_pem(), "private_key": one.key_pem()}), certificate),
        (json!({"certificate": format!("{}{}", one.pem(), one.key_pem()), "private_key": one.key_pem()}), certificate),
        (json!({"certificate": both, "private_key": root.key_pem()}), certificate),
        (json!({"certificate": nine, "private_key": one.key_pem()}), certificate),
        (json!({"certificate": "x".repeat(40_000), "private_key": one.key_pem()}), certificate),
        (json!({"certificate": expired.pem(), "private_key": expired.key_pem()}), certificate),
        (json!({"certificate": one.pem(), "private_key": other.key_pem()}), key),
        (json!({"certificate": one.pem(), "private_key": one.pem()}), key),
        (json!({"certificate": one.pem(), "private_key": ""}), key),
        (json!({"certificate": one.pem()}), key),
        (json!({"private_key": one.key_pem()}), certificate),
        (json!({"certificate": 1, "private_key": one.key_pem()}), certificate),
        (
            json!({"certificate": one.pem(), "private_key": one.key_pem(), "password": "a"}),
            "/client_certificate/password",
        ),
        (json!([one.pem(), one.key_pem()]), "/client_certificate"),
        (json!("nonsense"), "/client_certificate"),
    ];
    let key_pem = one.key_pem();
    let secret = key_pem.lines().nth(1).unwrap();
    for (client, pointer) in cases {
        let wish = json!({"url": "https://example.com/", "events": ["*"], "client_certificate": client});
        let answer = service.post("/v1/webhooks", &wish).await;

        assert_eq!((answer.status, answer.pointers()), (422, vec![pointer.to_owned()]), "{}", answer.text);
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
    assert_eq!(service.get("/v1/webhooks").await.json()["data"], json!([]));
}
