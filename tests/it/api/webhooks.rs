//! Webhooks, from their making to their end.

use std::time::Duration;

use serde_json::{Value, json};

use super::NO_WEBHOOK;
use crate::support::{Receiver, Service, database};

#[tokio::test]
async fn a_webhook_is_shown_as_it_was_made() {
    let service = Service::start().await;
    let wish = json!({
        "url": "https://example.com/hooks?key=1",
        "events": ["user", "session.created", "user"],
        "description": "the shop's",
        "format": "token",
        "typ": "webhook+jwt",
        "v1a": false,
        "audience": "urn:shop",
        "headers": {"Authorization": "Bearer hunter2", "x-shop": "1"},
        "retry": {"schedule": [5, 300]},
        "timeout_seconds": 10,
        "rate_limit": 50,
        "enabled": true,
    });

    let made = service.post("/v1/webhooks", &wish).await;

    assert_eq!(made.status, 201, "{}", made.text);
    let mut webhook = made.json();
    webhook.as_object_mut().unwrap().remove("signing_secret").unwrap();
    let id = webhook["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("wh_") && id.len() == 29, "{id}");
    let expected = json!({
        "id": id,
        "delivery": "push",
        "url": "https://example.com/hooks?key=1",
        "events": ["user", "session.created"],
        "description": "the shop's",
        "format": "token",
        "typ": "webhook+jwt",
        "v1a": false,
        "audience": "urn:shop",
        "headers": {"authorization": "***", "x-shop": "***"},
        "retry": {"schedule": [5, 300]},
        "timeout_seconds": 10,
        "rate_limit": 50,
        "enabled": true,
        "declared": false,
        "status": "active",
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
    });
    assert_eq!(webhook, expected);
    assert_eq!(service.get(&format!("/v1/webhooks/{id}")).await.json(), expected);
    assert_eq!(service.get("/v1/webhooks").await.json()["data"], json!([expected]));
}

#[tokio::test]
async fn what_a_wish_leaves_out_has_a_sensible_value() {
    let service = Service::start().await;

    let made = service.post("/v1/webhooks", &json!({"url": "https://example.com/h?k=1", "events": ["*"]})).await.json();

    assert_eq!(made["description"], "");
    assert_eq!(made["format"], "token");
    assert_eq!(made["audience"], "https://example.com/h");
    assert_eq!(made["enabled"], true);
}

#[tokio::test]
async fn a_change_changes_what_it_names_and_nothing_else() {
    let service = Service::start().await;
    let made = service.post("/v1/webhooks", &json!({"url": "https://example.com/", "events": ["user"]})).await.json();
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());

    service.after(Duration::from_mins(1));
    let changed = service.patch(&path, &json!({"events": ["order", "invoice"], "description": "billing"})).await;

    let mut expected = made;
    expected.as_object_mut().unwrap().remove("signing_secret");
    expected["events"] = json!(["order", "invoice"]);
    expected["description"] = json!("billing");
    expected["updated_at"] = json!("2026-03-01T12:01:00Z");
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.json(), expected);
    assert_eq!(service.get(&path).await.json(), expected);
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let service = Service::start().await;
    let path = path_of(
        &service.post("/v1/webhooks", &json!({"url": "https://example.com/", "events": ["user"]})).await.json(),
    );
    let before = service.get(&path).await.text;

    for (change, pointers) in [
        (json!({"description": "new", "url": "https://example.com/#top"}), vec!["/url"]),
        (json!({"description": "new", "url": "https://10.0.0.1/"}), vec!["/url"]),
        (json!({"description": "new", "events": []}), vec!["/events"]),
        (json!({"url": "x", "events": ["a", "A"], "audience": ""}), vec!["/url", "/events/1", "/audience"]),
        (json!({"description": "new", "id": NO_WEBHOOK}), vec!["/id"]),
    ] {
        let answer = service.patch(&path, &change).await;

        assert_eq!(answer.status, 422, "{change}: {}", answer.text);
        assert_eq!(answer.pointers(), pointers, "{change}");
    }
    assert_eq!(service.get(&path).await.text, before);
}

#[tokio::test]
async fn a_deleted_webhook_is_gone() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let id = service.webhook(&receiver, &["*"]).await;
    let path = format!("/v1/webhooks/{id}");

    let deleted = service.delete(&path).await;

    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(service.get("/v1/webhooks").await.json()["data"], json!([]));
    let missing = service.get(&format!("/v1/webhooks/{NO_WEBHOOK}")).await.told();
    assert_eq!(service.get(&path).await.told(), missing);
    assert_eq!(service.delete(&path).await.told(), missing);
    assert_eq!(service.patch(&path, &json!({"enabled": true})).await.told(), missing);
    assert_eq!(service.post(&format!("{path}/test"), &json!({"event": "user"})).await.told(), missing);
    assert_eq!(service.get(&format!("{path}/deliveries")).await.told(), missing);
    let receipt = service.post("/v1/events", &json!({"type": "user.created", "data": 1})).await.json();
    assert_eq!(receipt["deliveries"], 0);
}

#[tokio::test]
async fn a_signing_secret_is_shown_once() {
    let service = Service::start().await;

    let made = service.post("/v1/webhooks", &json!({"url": "https://example.com/", "events": ["*"]})).await.json();

    let secret = made["signing_secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    let path = path_of(&made);
    for answer in [
        service.get(&path).await,
        service.get("/v1/webhooks").await,
        service.patch(&path, &json!({"description": "changed"})).await,
    ] {
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains("secret") && !answer.text.contains(&secret[6..]), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_signing_secret_is_not_in_the_database_as_it_is() {
    let service = Service::start().await;

    let made = service.post("/v1/webhooks", &json!({"url": "https://example.com/kept", "events": ["*"]})).await.json();

    let bytes = service.database_bytes().await;
    let holds = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    let text = made["signing_secret"].as_str().unwrap().strip_prefix("whsec_").unwrap();
    let raw = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    assert!(holds(b"https://example.com/kept"), "the database was not read");
    assert!(!holds(text.trim_end_matches('=').as_bytes()) && !holds(&raw));
}

#[tokio::test]
async fn two_webhooks_never_share_a_secret() {
    let service = Service::start().await;
    let wish = json!({"url": "https://example.com/", "events": ["*"]});

    let (one, other) = (service.post("/v1/webhooks", &wish).await, service.post("/v1/webhooks", &wish).await);

    assert_ne!(one.json()["id"], other.json()["id"]);
    assert_ne!(one.json()["signing_secret"], other.json()["signing_secret"]);
}

#[tokio::test]
async fn an_audience_of_null_is_the_url_again() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let url = format!("{}?key=1", receiver.url());
    let wish = json!({"url": url, "events": ["*"], "audience": "urn:shop"});
    let path = path_of(&service.post("/v1/webhooks", &wish).await.json());
    service.event("user.created").await;
    assert_eq!(receiver.received_when(1).await[0].claims()["aud"], json!(["urn:shop"]));

    let untouched = service.patch(&path, &json!({"description": "still the shop's"})).await.json();
    let changed = service.patch(&path, &json!({"audience": null})).await.json();

    assert_eq!(untouched["audience"], "urn:shop");
    assert_eq!(changed["audience"], receiver.url());
    service.event("user.created").await;
    assert_eq!(receiver.received_when(2).await[1].claims()["aud"], json!([receiver.url()]));
}

#[tokio::test]
async fn a_test_is_a_real_delivery_even_to_a_disabled_webhook() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let wish = json!({"url": receiver.url(), "events": ["order"], "enabled": false});
    let made = service.post("/v1/webhooks", &wish).await.json();

    let tested = service.post(&format!("{}/test", path_of(&made)), &json!({"event": "user.created"})).await;

    assert_eq!(tested.status, 200, "{}", tested.text);
    let (tested, parcels) = (tested.json(), receiver.received());
    assert_eq!((&tested["delivered"], &tested["attempt"]["status_code"]), (&json!(true), &json!(200)));
    assert_eq!(parcels.len(), 1);
    assert_eq!(parcels[0].event(), "user.created");
    assert_eq!(parcels[0].header("webhook-id"), tested["event_id"]);
    assert_eq!(parcels[0].kid(), tested["attempt"]["kid"]);
}

#[tokio::test]
async fn a_test_tells_what_the_receiver_answered() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let id = service.webhook(&receiver, &["*"]).await;
    receiver.answering(503);

    let tested = service.post(&format!("/v1/webhooks/{id}/test"), &json!({"event": "user.created"})).await.json();

    assert_eq!(tested["delivered"], false);
    assert_eq!(tested["attempt"]["status_code"], 503);
    assert_eq!(tested["attempt"]["response_excerpt"], "as told");
}

fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_tenant_has_ten_thousand_webhooks_and_no_more() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let first = service.webhook(&receiver, &["user"]).await;
    // Ids that no clock gives, of ten digits each.
    let id =
        if database::is_postgres() { "decode(lpad(n::text, 32, '0'), 'hex')" } else { "unhex(printf('%032d', n))" };
    let more = format!(
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 9998)
         insert into webhooks
             (id, tenant_id, url, events, description, format, secret_jwe, version, created_at, updated_at)
         select {id}, tenant_id, url, events, description, format, secret_jwe, version, created_at, updated_at
         from webhooks, numbers"
    );
    assert_eq!(service.tamper_rows(&more).await, 9_998);
    let wish = json!({"url": receiver.url(), "events": ["user"]});

    let last = service.post("/v1/webhooks", &wish).await;
    let refused = service.post("/v1/webhooks", &wish).await;
    service.delete(&format!("/v1/webhooks/{first}")).await;
    let instead = service.post("/v1/webhooks", &wish).await;

    assert_eq!((last.status, refused.status, instead.status), (201, 409, 201), "{}", refused.text);
    assert_eq!(refused.problem()["code"], "too_many_webhooks");
}
