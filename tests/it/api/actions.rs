//! Asking receivers about users: what they are sent, and what whoever asks is told.

#[path = "actions/failures.rs"]
mod failures;

use aws_lc_rs::hmac;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Answer, Receiver, Service, send, with_json};

/// A receiver that is asked as UserHub's are, and the path of what it may be asked.
async fn asked() -> (Service, Receiver, Value, String) {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let tenant = service.get("/v1/admin/tenants").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let dialect = json!({"dialect": {"header_prefix": "UserHub"}});
    service.patch(&format!("/v1/admin/tenants/{tenant}"), &dialect).await;
    let webhook = made(&service, &receiver, json!({})).await;
    let path = path_of(&webhook);
    (service, receiver, webhook, path)
}

async fn made(service: &Service, receiver: &Receiver, members: Value) -> Value {
    let mut wish = json!({"url": format!("{}?team=7", receiver.url()), "events": ["none"], "format": "action"});
    wish.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let answer = service.post("/v1/webhooks", &wish).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path_of(webhook: &Value) -> String {
    format!("/v1/webhooks/{}/actions", webhook["id"].as_str().unwrap())
}

fn told(answer: &Answer) -> (u16, Value, Value) {
    let problem = answer.problem();
    (answer.status, problem["code"].clone(), problem["detail"].clone())
}

#[tokio::test]
async fn each_action_is_sent_signed_as_receivers_expect_it_and_its_answer_is_passed_on_as_it_came() {
    let (service, receiver, webhook, path) = asked().await;
    let user = r#"{"id":"usr_1","displayName":"Ada","email":"ada@example.com","emailVerified":true,"phoneNumber":"+12125550123","phoneNumberVerified":false,"imageUrl":"https://example.com/a.png","disabled":false}"#;
    let shown = r#"{ "id": "usr_1", "balance": 12345678901234567890.10 }"#;
    let page = format!(r#"{{"users":[{shown}],"nextPageToken":"2"}}"#);

    for (number, (action, body, answer)) in [
        ("users.list", r#"{"pageSize":10,"pageToken":"2"}"#, page.as_str()),
        ("users.get", r#"{"id":"usr_1"}"#, shown),
        ("users.create", user, shown),
        ("users.update", user, shown),
        ("users.delete", r#"{"id":"usr_1"}"#, "{ }"),
    ]
    .into_iter()
    .enumerate()
    {
        receiver.saying(answer);

        let passed_on = service.post_text(&format!("{path}/{action}"), &format!(" {body} ")).await;

        assert_eq!((passed_on.status, passed_on.text.as_str()), (200, answer), "{action}");
        assert_eq!(passed_on.header("content-type"), "application/json");
        let received = receiver.received_when(number + 1).await.remove(number);
        assert_eq!(
            (received.query.as_str(), &received.body[..]),
            (&*format!("team=7&action={action}"), body.as_bytes())
        );
        let now = service.now().as_seconds().to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, webhook["signing_secret"].as_str().unwrap().as_bytes());
        let code = hmac::sign(&key, format!("{now}.{body}").as_bytes());
        let code: Vec<String> = code.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let headers = ["userhub-action", "userhub-timestamp", "userhub-signature"].map(|name| received.header(name));
        assert_eq!(headers, [action, &now, &code.concat()]);
        assert_eq!(
            received.header("webhook-id"),
            passed_on.header("x-request-id"),
            "who asks and who is asked know one name"
        );
        assert!(received.header("webhook-signature").starts_with("v1,"));
    }
    assert_eq!(receiver.received().len(), 5);
}

#[tokio::test]
async fn a_request_that_no_receiver_would_understand_is_refused_by_its_members_and_asks_nobody() {
    let (service, receiver, _, path) = asked().await;
    let long = |length: usize| "x".repeat(length);

    for (action, body, pointers) in [
        ("users.list", json!({}), vec!["/pageSize"]),
        ("users.list", json!({"pageSize": 0}), vec!["/pageSize"]),
        ("users.list", json!({"pageSize": 1.5}), vec!["/pageSize"]),
        ("users.list", json!({"pageSize": -1}), vec!["/pageSize"]),
        ("users.list", json!({"pageSize": 1_001, "pageToken": long(8_193)}), vec!["/pageToken", "/pageSize"]),
        ("users.list", json!({"pageSize": 1, "pageToken": null}), vec!["/pageToken"]),
        ("users.list", json!({"pageSize": 1, "page_token": "2"}), vec!["/page_token"]),
        ("users.get", json!({}), vec!["/id"]),
        ("users.get", json!({"id": 1}), vec!["/id"]),
        ("users.get", json!({"id": ""}), vec!["/id"]),
        ("users.get", json!({"id": "a\u{0}b"}), vec!["/id"]),
        ("users.delete", json!({"id": "usr_1", "email": "ada@example.com"}), vec!["/email"]),
        ("users.delete", json!([]), vec![""]),
        ("users.update", json!({"displayName": "Ada"}), vec!["/id"]),
        ("users.create", json!({"emailVerified": "yes"}), vec!["/emailVerified"]),
        ("users.create", json!({"disabled": null}), vec!["/disabled"]),
        ("users.create", json!({"display_name": "Ada"}), vec!["/display_name"]),
        (
            "users.update",
            json!({
                "id": long(1_025), "displayName": long(201), "email": long(321), "phoneNumber": "2125550123",
                "imageUrl": long(2_001),
            }),
            vec!["/id", "/displayName", "/email", "/phoneNumber", "/imageUrl"],
        ),
    ] {
        let refused = service.post(&format!("{path}/{action}"), &body).await;
        assert_eq!(
            (refused.status, refused.pointers()),
            (422, pointers.iter().map(|it| (*it).to_owned()).collect()),
            "{action} {body}"
        );
    }
    let twice = service.post_text(&format!("{path}/users.get"), r#"{"id":"a","id":"b"}"#).await;
    let broken = service.post_text(&format!("{path}/users.get"), "{").await;
    let large = service.post(&format!("{path}/users.get"), &json!({"id": long(70_000)})).await;
    let parameter = service.post(&format!("{path}/users.get?action=users.delete"), &json!({"id": "a"})).await;
    assert_eq!([&twice, &broken, &large, &parameter].map(|answer| answer.status), [422, 400, 413, 400]);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_number_that_is_whole_is_one_however_it_is_written() {
    let (service, receiver, _, path) = asked().await;
    receiver.saying(r#"{"users":[]}"#);

    let answer = service.post_text(&format!("{path}/users.list"), r#"{"pageSize":1e2}"#).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(receiver.received()[0].body, r#"{"pageSize":100}"#);
}

#[tokio::test]
async fn only_webhooks_that_are_asked_and_listen_are_asked() {
    let (service, receiver, webhook, path) = asked().await;
    let ask = async |path: &str| service.post(&format!("{path}/users.get"), &json!({"id": "usr_1"})).await;
    let pending = made(&service, &receiver, json!({"activation": {"method": "challenge"}})).await;

    for format in ["token", "signed", "standard", "set"] {
        let other = made(&service, &receiver, json!({"format": format})).await;
        let (status, code, detail) = told(&ask(&path_of(&other)).await);
        assert_eq!((status, code), (409, json!("wrong_format")));
        assert!(detail.as_str().unwrap().contains(&format!("format is {format};")), "{detail}");
    }
    let unproven = ask(&path_of(&pending)).await;
    service.patch(path.trim_end_matches("/actions"), &json!({"enabled": false})).await;
    let disabled = ask(&path).await;
    service.delete(path.trim_end_matches("/actions")).await;
    let deleted = ask(&path).await;
    let unknown = service.post(&format!("{}/users.purge", path_of(&pending)), &json!({})).await;
    let challenge = service.post(&format!("{}/challenge", path_of(&pending)), &json!({})).await;

    let code = |answer: &Answer| (answer.status, answer.problem()["code"].clone());
    assert_eq!(code(&unproven), (409, json!("webhook_pending")));
    assert_eq!(code(&disabled), (409, json!("webhook_disabled")));
    assert_eq!(code(&deleted), (404, json!("not_found")));
    assert_eq!(code(&unknown), (404, json!("unknown_action")));
    assert_eq!(code(&challenge), (404, json!("unknown_action")));
    assert!(unknown.text.contains("users.list, users.get, users.create, users.update, users.delete"));
    assert!(receiver.received().is_empty(), "{webhook}");
}

#[tokio::test]
async fn whoever_only_publishes_or_looks_asks_nobody_and_another_tenant_has_no_such_webhook() {
    let (service, receiver, _, path) = asked().await;
    let other = service.tenant("other").await;
    let theirs = service.api_key_of(&other, &["admin"]).await;
    let able = service.api_key(&["webhooks:write"]).await;
    receiver.saying(r#"{"id":"usr_1"}"#);
    let ask = async |key: &str| {
        let request = service.request_with(key, &format!("POST {path}/users.get"));
        send(with_json(request, r#"{"id":"usr_1"}"#)).await
    };

    for scope in ["events:write", "webhooks:read", "deliveries:replay", "keys:read"] {
        let unable = service.api_key(&[scope]).await;
        assert_eq!(ask(&unable).await.status, 403, "{scope}");
    }
    assert_eq!(ask(&theirs).await.status, 404);
    assert!(receiver.received().is_empty());
    assert_eq!(ask(&able).await.status, 200);
}

#[tokio::test]
async fn who_is_asked_about_is_neither_in_the_delivery_log_nor_in_the_database() {
    let (service, receiver, webhook, path) = asked().await;
    receiver.saying(r#"{"id":"usr_1","email":"ada@example.com"}"#);
    let wish = json!({"id": "usr_1", "displayName": "Ada Lovelace"}).to_string();

    for key in [None, Some("once")] {
        let mut request = with_json(service.request(Method::POST, &format!("{path}/users.update")), &wish);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        assert_eq!(send(request).await.status, 200);
    }

    let id = webhook["id"].as_str().unwrap();
    let log = service.get(&format!("/v1/webhooks/{id}/deliveries")).await.json();
    assert_eq!(log["data"], json!([]));
    let bytes = service.database_bytes().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(receiver.url()), "the database was not read");
    assert!(!holds("ada@example.com") && !holds("Ada Lovelace"));
}

#[tokio::test]
async fn what_a_receiver_has_done_once_is_not_asked_again_under_the_same_key() {
    let (service, receiver, _, path) = asked().await;
    let ask = async || {
        let request = with_json(service.request(Method::POST, &format!("{path}/users.create")), r#"{"email":"a@b.c"}"#);
        send(request.header("idempotency-key", "once")).await
    };

    receiver.answering(400);
    receiver.saying(r#"{"message":"no","code":"FAILED_PRECONDITION"}"#);
    let refused = ask().await;
    receiver.answering(200);
    receiver.saying(r#"{"id":"usr_9","n":1.10}"#);
    let (first, second) = (ask().await, ask().await);

    assert_eq!(refused.status, 409);
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, ""));
    assert_eq!((second.header("idempotent-replayed"), &second.text), ("true", &first.text));
    assert_eq!(receiver.received().len(), 2, "the refused one and one that was done");
}

#[tokio::test]
async fn a_receiver_that_answers_nobody_is_asked_by_sixteen_at_most_and_leaves_the_others_alone() {
    let (service, silent, _, path) = asked().await;
    let quick = Receiver::start().await;
    let other = path_of(&made(&service, &quick, json!({})).await);
    for receiver in [&silent, &quick] {
        receiver.saying(r#"{"id":"usr_1"}"#);
    }
    let ask = |path: &str| {
        let request = service.request(Method::POST, &format!("{path}/users.get"));
        send(with_json(request, r#"{"id":"usr_1"}"#))
    };
    silent.holding();
    let mut asking = JoinSet::new();
    for _ in 0..16 {
        asking.spawn(ask(&path));
    }
    silent.received_when(16).await;

    let refused = ask(&path).await;
    let answered = ask(&other).await;
    silent.letting_go();
    let held = asking.join_all().await;
    let again = ask(&path).await;

    assert_eq!((refused.status, &refused.problem()["code"]), (503, &json!("too_many_calls")));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!((answered.status, again.status), (200, 200));
    assert!(held.iter().all(|answer| answer.status == 200));
    assert_eq!(silent.received().len(), 17);
}
