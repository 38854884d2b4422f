//! Webhooks that the configuration declares: the database is made to agree with it, and nobody else changes them.

mod kept;
mod refused;

use std::time::Duration;

use serde_json::{Value, json};
use signet::config::{self, Flags};
use signet::domain::webhook::Webhook;
use signet::engine::webhooks::DeclareError;
use signet::signing::digest::WebhookSecret;
use signet::signing::{Expected, verify};
use signet::store::webhooks;

use crate::support::{Received, Receiver, Service, until};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ANOTHER_SECRET: &str = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const DAY: Duration = Duration::from_hours(24);

/// A service that was started with this list.
async fn declaring(list: &Value) -> Service {
    Service::start_with(&[("SIGNET_WEBHOOKS", &list.to_string())]).await
}

/// What a start with another list does with the webhooks of a service whose clock goes on.
async fn declare(service: &Service, list: &Value) -> Result<(), DeclareError> {
    let list = list.to_string();
    let variable = |name: &str| match name {
        "SIGNET_WEBHOOKS" => Some(list.clone()),
        "SIGNET_ALLOW_HTTP" => Some("true".to_owned()),
        _ => None,
    };
    let config = config::parse(&Flags::new(), variable, "signet.toml", "").unwrap();
    service.server().engine().declare_webhooks(&config.webhooks).await
}

fn to(receiver: &Receiver, events: &[&str]) -> Value {
    json!({"url": receiver.url(), "events": events})
}

/// Those that are declared, as they are remembered.
async fn stored(service: &Service) -> Vec<Webhook> {
    let mut reader = service.server().engine().store.read().await.unwrap();
    let stored = webhooks::declared(reader.conn()).await.unwrap();
    stored.into_iter().map(Result::unwrap).collect()
}

/// All webhooks of the default tenant, as they are shown, the oldest first.
async fn shown(service: &Service) -> Vec<Value> {
    let mut shown = service.get("/v1/webhooks?limit=100").await.json()["data"].as_array().unwrap().clone();
    shown.reverse();
    shown
}

fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

/// What the configuration did, the latest first: the action and the members that it names.
async fn written_down(service: &Service) -> Vec<(String, Value)> {
    let log = service.get("/v1/admin/audit-log?limit=100").await.json();
    let ours = log["data"].as_array().unwrap().iter().filter(|entry| entry["actor"] == "configuration");
    ours.map(|entry| (entry["action"].as_str().unwrap().to_owned(), entry["detail"]["members"].clone())).collect()
}

/// How many secrets signed a delivery, and whether this one did.
fn signed_by(received: &Received, secret: &str) -> (usize, bool) {
    let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &received.body];
    let signature = format!("v1,{}", WebhookSecret::parse(secret).unwrap().authenticate(&parts));
    let given: Vec<&str> = received.header("webhook-signature").split(' ').collect();
    (given.len(), given.contains(&signature.as_str()))
}

async fn next(service: &Service, receiver: &Receiver) -> Received {
    let count = receiver.received().len();
    service.event("user.created").await;
    receiver.received_when(count + 1).await.remove(count)
}

#[tokio::test]
async fn webhooks_that_are_declared_as_hanko_does_are_delivered_to_and_verify() {
    let receivers = [Receiver::start().await, Receiver::start().await];
    let hanko = format!(
        r#"{{"callback":"{}","events":["user"]}};{{"callback":"{}","events":["user.created"],"secret":"{SECRET}"}}"#,
        receivers[0].url(),
        receivers[1].url()
    );

    let service = Service::start_with(&[("SIGNET_WEBHOOKS", &hanko)]).await;
    service.event("user.created").await;

    let jwks = service.get("/.well-known/jwks.json").await.text;
    for receiver in &receivers {
        let received = receiver.received_when(1).await.remove(0);
        let (issuer, audience) = (Some(service.url()), Some(receiver.url()));
        verify(&received.token(), jwks.as_bytes(), &Expected { issuer, audience, now: service.now() }).unwrap();
    }
    assert_eq!(signed_by(&receivers[1].received()[0], SECRET), (1, true));
    let shown = shown(&service).await;
    assert!(shown.iter().all(|webhook| webhook["declared"] == true && webhook["status"] == "active"), "{shown:?}");
    assert!(shown.iter().all(|webhook| webhook.get("signing_secret").is_none()), "{shown:?}");
    assert_eq!(shown.len(), 2);
}

#[tokio::test]
async fn a_start_that_finds_everything_as_it_is_declared_writes_nothing() {
    let receiver = Receiver::start().await;
    let mut wish = to(&receiver, &["user", "session"]);
    let rest = json!({"description": "ours", "format": "signed", "typ": "webhook+jwt",
        "audience": "us", "v1a": true, "headers": {"X-A": "1", "x-b": "2"}, "secret": SECRET,
        "retry": {"schedule": [5, 9]}, "timeout_seconds": 7, "rate_limit": 9, "enabled": false});
    wish.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let list = json!([wish, {"url": "http://127.0.0.1:1029/", "events": ["*"]}]);
    let service = declaring(&list).await;
    let before = service.database_bytes().await;
    let of = |stored: Vec<Webhook>| -> Vec<_> { stored.iter().map(|it| (it.id, it.version, it.updated_at)).collect() };
    let versions = of(stored(&service).await);

    service.after(DAY);
    declare(&service, &list).await.unwrap();
    let reversed: Value = list.as_array().unwrap().iter().rev().cloned().collect();
    declare(&service, &reversed).await.unwrap();

    assert_eq!(of(stored(&service).await), versions);
    assert_eq!(versions.len(), 2);
    assert_eq!(written_down(&service).await.len(), 2, "each was made once");
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds(&before, SECRET), "it lies there sealed");
    let service = service.restarted_with(&[]).await;
    assert_eq!(of(stored(&service).await), versions, "nor does a real start");
}

#[tokio::test]
async fn what_is_declared_otherwise_is_changed_member_by_member() {
    let receiver = Receiver::start().await;
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    let id = shown(&service).await[0]["id"].clone();
    let mut wish = to(&receiver, &["user"]);

    for (member, value, shown_as) in [
        ("events", json!(["user", "session"]), json!(["user", "session"])),
        ("description", json!("ours"), json!("ours")),
        ("audience", json!("us"), json!("us")),
        ("format", json!("set"), json!("set")),
        ("format", Value::Null, json!("token")),
        ("typ", json!("webhook+jwt"), json!("webhook+jwt")),
        ("v1a", json!(true), json!(true)),
        ("headers", json!({"X-A": "hunter2", "x-b": "2"}), json!({"x-a": "***", "x-b": "***"})),
        ("headers", json!({"X-A": "hunter3"}), json!({"x-a": "***"})),
        ("retry", json!({"schedule": [5]}), json!({"schedule": [5]})),
        ("timeout_seconds", json!(7), json!(7)),
        ("rate_limit", json!(100), json!(100)),
        ("enabled", json!(false), json!(false)),
        ("enabled", json!(true), json!(true)),
        ("retry", Value::Null, Value::Null),
    ] {
        wish[member] = value;
        declare(&service, &json!([wish])).await.unwrap();

        let webhook = shown(&service).await.remove(0);
        assert_eq!((&webhook[member], &webhook["id"]), (&shown_as, &id), "{member}");
        let last = written_down(&service).await.remove(0);
        assert_eq!(last, ("webhook.changed".to_owned(), json!([member])));
    }
    assert_eq!(next(&service, &receiver).await.header("x-a"), "hunter3");
}

#[tokio::test]
async fn a_secret_that_is_not_declared_is_made_once_and_another_one_takes_over_within_a_day() {
    let receiver = Receiver::start().await;
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    let mut wish = to(&receiver, &["user"]);
    let first = next(&service, &receiver).await;

    wish["secret"] = json!(SECRET);
    declare(&service, &json!([wish])).await.unwrap();
    let declared = next(&service, &receiver).await;
    service.after(DAY);
    let alone = next(&service, &receiver).await;
    wish["secret"] = json!(ANOTHER_SECRET);
    declare(&service, &json!([wish])).await.unwrap();
    wish.as_object_mut().unwrap().remove("secret");
    declare(&service, &json!([wish])).await.unwrap();
    let last = next(&service, &receiver).await;

    assert_eq!(signed_by(&first, SECRET), (1, false));
    assert_eq!(signed_by(&declared, SECRET), (2, true), "the one that was made signs too");
    assert_eq!(signed_by(&alone, SECRET), (1, true));
    assert_eq!(signed_by(&last, SECRET), (2, true));
    assert_eq!(signed_by(&last, ANOTHER_SECRET), (2, true), "what is not declared any more is kept");
    let done = written_down(&service).await;
    assert_eq!(done.iter().filter(|(_, members)| *members == json!(["secret"])).count(), 2, "{done:?}");
}

#[tokio::test]
async fn a_secret_that_is_changed_again_and_again_keeps_no_server_from_starting() {
    let receiver = Receiver::start().await;
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    let mut wish = to(&receiver, &["user"]);

    for number in 0..12 {
        wish["secret"] = json!(WebhookSecret::text(&[number; 32]));
        declare(&service, &json!([wish])).await.unwrap();
    }

    let received = next(&service, &receiver).await;
    assert_eq!(signed_by(&received, wish["secret"].as_str().unwrap()), (8, true));
}

#[tokio::test]
async fn another_list_makes_changes_and_removes_what_differs_and_leaves_the_rest() {
    let service = declaring(&json!([
        {"url": "http://127.0.0.1:1029/stays", "events": ["user"]},
        {"url": "http://127.0.0.1:1029/changes", "events": ["user"]},
        {"url": "http://127.0.0.1:1029/goes", "events": ["user"]},
    ]))
    .await;
    let registered = json!({"url": "http://127.0.0.1:1029/goes", "events": ["user"]});
    assert_eq!(service.post("/v1/webhooks", &registered).await.status, 201);
    let url = |webhook: &Webhook| webhook.url.as_str().rsplit('/').next().unwrap().to_owned();
    let before = stored(&service).await;
    service.after(DAY);

    declare(
        &service,
        &json!([
            {"url": "http://127.0.0.1:1029/comes", "events": ["user"]},
            {"url": "http://127.0.0.1:1029/changes", "events": ["session"]},
            {"url": "http://127.0.0.1:1029/stays", "events": ["user"]},
        ]),
    )
    .await
    .unwrap();

    let of = |stored: &[Webhook], wanted: &str| stored.iter().find(|it| url(it) == wanted).cloned();
    let after = stored(&service).await;
    assert_eq!(after.iter().map(url).collect::<Vec<_>>(), ["stays", "changes", "comes"]);
    assert_eq!(of(&after, "stays").unwrap().version, of(&before, "stays").unwrap().version);
    assert_eq!(of(&after, "changes").unwrap().id, of(&before, "changes").unwrap().id);
    assert_eq!(of(&after, "changes").unwrap().updated_at, service.now());
    let last: Vec<String> = written_down(&service).await.into_iter().take(3).map(|(action, _)| action).collect();
    assert_eq!(last, ["webhook.deleted", "webhook.changed", "webhook.made"]);
    let goes: Vec<Value> = shown(&service).await.into_iter().filter(|it| it["url"] == registered["url"]).collect();
    assert!(goes.len() == 1 && goes[0]["declared"] == false, "what the API made stays: {goes:?}");
}

#[tokio::test]
async fn what_is_not_declared_any_more_is_deleted_and_what_was_queued_for_it_is_cancelled() {
    let receiver = Receiver::start().await;
    receiver.answering(500);
    let service = declaring(&json!([to(&receiver, &["user"])])).await;
    let path = path_of(&shown(&service).await[0]);
    let event = service.event("user.created").await;
    until(async || {
        (service.get(&format!("{path}/deliveries/{event}")).await.json()["status"] == "failed").then_some(())
    })
    .await;

    declare(&service, &json!([])).await.unwrap();
    service.after(DAY);

    let of_event = format!("/v1/events/{event}");
    let status = async || service.get(&of_event).await.json()["deliveries"][0]["status"].clone();
    until(async || (status().await == "cancelled").then_some(())).await;
    assert_eq!(service.get(&path).await.status, 404);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn what_a_restored_database_lacks_or_has_too_many_of_is_put_right_by_the_next_start() {
    let list = json!([{"url": "http://127.0.0.1:1029/a", "events": ["user"]}, {"url": "http://127.0.0.1:1029/b", "events": ["user"]}]);
    let service = declaring(&list).await;
    service.tamper_rows("update webhooks set url = 'http://127.0.0.1:1029/old' where url like '%/a'").await;
    let gone = "update webhooks set disabled_at = 1, disabled_reason = 'gone' where url like '%/b'";
    assert_eq!(service.tamper_rows(gone).await, 1);

    let service = service.restarted_with(&[]).await;

    let mut urls: Vec<String> = stored(&service).await.iter().map(|it| it.url.as_str().to_owned()).collect();
    urls.sort();
    assert_eq!(urls, ["http://127.0.0.1:1029/a", "http://127.0.0.1:1029/b"]);
    assert!(shown(&service).await.iter().all(|webhook| webhook["status"] == "active"));
}
