//! Whatever is asked twice under one key is done once, on every route that makes or does something.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet::api::ROUTES;
use signet::domain::audit::Actor;
use signet::engine::idempotency::{Admission, Asked};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Ids, body, is_of_pulling, pulled};
use crate::support::installation::Installation;
use crate::support::{Answer, Receiver, Service, database, send, until, with_json};

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

fn named(service: &Service, path: &str, body: &str) -> RequestBuilder {
    with_json(service.request(Method::POST, path), body).header("idempotency-key", KEY)
}

/// What makes a webhook.
fn wish(receiver: &Receiver) -> String {
    json!({"url": receiver.url(), "events": ["user"]}).to_string()
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == "true"
}

fn check_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.problem()["code"]), (status, &json!(code)), "{}", answer.text);
}

async fn count(service: &Service, list: &str) -> usize {
    service.get(&format!("{list}?limit=100")).await.json()["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn every_route_that_does_something_does_it_once_under_one_key() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["user"]).await;
    let event = service.event("user.created").await;
    service.delivery_when(&webhook, &event, "delivered").await;
    let asked = Receiver::start().await;
    asked.saying("{}");
    let wish = json!({"url": asked.url(), "events": ["none"], "format": "action"});
    let asked = service.post("/v1/webhooks", &wish).await.json()["id"].as_str().unwrap().to_owned();

    let collected = pulled(&service).await;

    // What receivers say twice is done once whatever they call it: `tests/it/pull/polls.rs`.
    for route in ROUTES.iter().filter(|route| route.method == Method::POST && route.scope.is_some()) {
        let webhook = match route.path.contains("/actions/") {
            true => &asked,
            false if is_of_pulling(route) => &collected,
            false => &webhook,
        };
        let kid = service.get("/v1/admin/keys").await.json()["data"][0]["kid"].as_str().unwrap().to_owned();
        let ids = Ids { webhook, event: &event, kid: &kid, ..Ids::MISSING };
        let named_route = ids.named_in(route);
        let path = named_route.strip_prefix("POST ").unwrap();
        let body = body(route, receiver.url());

        let first = send(named(&service, path, &body)).await;
        let second = send(named(&service, path, &body)).await;
        let other = send(named(&service, path, &format!("{body} "))).await;

        assert!((200..300).contains(&first.status), "{path}: {}", first.text);
        assert_eq!((second.status, &second.text), (first.status, &first.text), "{path}");
        assert_eq!(second.header("content-type"), first.header("content-type"), "{path}");
        assert!(!is_replay(&first) && is_replay(&second), "{path}");
        check_refused(&other, 422, "idempotency_mismatch");
        assert_eq!(other.pointers(), ["Idempotency-Key"], "{path}");
    }
}

#[tokio::test]
async fn a_hundred_equal_requests_at_once_make_one_webhook() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        asking.spawn(send(named(&service, "/v1/webhooks", &wish(&receiver))));
    }

    let answers = asking.join_all().await;

    let (made, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.iter().filter(|answer| !is_replay(answer)).count(), 1);
    assert_eq!(made.iter().map(|answer| &answer.text).collect::<BTreeSet<_>>().len(), 1);
    for answer in refused {
        check_refused(answer, 409, "idempotency_in_progress");
    }
    assert_eq!(count(&service, "/v1/webhooks").await, 1);
    assert!(is_replay(&send(named(&service, "/v1/webhooks", &wish(&receiver))).await));
}

#[tokio::test]
async fn two_nodes_make_one_webhook_of_equal_requests_and_answer_alike() {
    let url = database::fresh_postgres();
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &url)]).await;
    let (other, receiver) = (one.beside().await, Receiver::start().await);
    let mut asking = JoinSet::new();
    for number in 0..40 {
        let node = [&one, &other][number % 2];
        asking.spawn(send(named(node, "/v1/webhooks", &wish(&receiver))));
    }

    let answers = asking.join_all().await;

    let made = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(made.filter(|answer| !is_replay(answer)).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)));
    assert_eq!(count(&one, "/v1/webhooks").await, 1);
    let (here, there) = (
        send(named(&one, "/v1/webhooks", &wish(&receiver))).await,
        send(named(&other, "/v1/webhooks", &wish(&receiver))).await,
    );
    assert!(is_replay(&here) && is_replay(&there));
    assert_eq!(here.text, there.text);
}

#[tokio::test]
async fn what_was_refused_does_not_use_up_its_key() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);

    let refused = send(named(&service, "/v1/webhooks", r#"{"url": "nonsense", "events": []}"#)).await;
    let malformed = send(named(&service, "/v1/webhooks", "{")).await;
    let mended = send(named(&service, "/v1/webhooks", &wish(&receiver))).await;

    assert_eq!((refused.status, malformed.status, mended.status), (422, 400, 201));
    assert!(!is_replay(&mended));
}

#[tokio::test]
async fn tenants_and_routes_do_not_share_keys() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let other = service.tenant("other").await;
    let ours = send(named(&service, "/v1/webhooks", &wish(&receiver))).await;

    let theirs = send(named(&service, "/v1/webhooks", &wish(&receiver)).header("x-tenant-id", &other)).await;
    let elsewhere = send(named(&service, "/v1/admin/api-keys", r#"{"scopes": ["admin"]}"#)).await;

    assert_eq!((ours.status, theirs.status, elsewhere.status), (201, 201, 201), "{} {}", theirs.text, elsewhere.text);
    assert!(!is_replay(&theirs) && !is_replay(&elsewhere));
    assert_ne!(ours.json()["id"], theirs.json()["id"]);
}

#[tokio::test]
async fn whoever_may_not_ask_learns_nothing_of_what_was_answered() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let reader = service.api_key(&["webhooks:read"]).await;
    send(named(&service, "/v1/webhooks", &wish(&receiver))).await;
    let again = |request: RequestBuilder| with_json(request, &wish(&receiver)).header("idempotency-key", KEY);

    let nobody = send(again(service.anonymous(Method::POST, "/v1/webhooks"))).await;
    let unable = send(again(service.request_with(&reader, "POST /v1/webhooks"))).await;

    check_refused(&nobody, 401, "unauthenticated");
    check_refused(&unable, 403, "forbidden");
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_before_anything_is_done() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let ask = async |key: &str| {
        let request = with_json(service.request(Method::POST, "/v1/webhooks"), &wish(&receiver));
        send(request.header("idempotency-key", key)).await
    };

    for key in ["", "\"\"", &"k".repeat(256)] {
        let answer = ask(key).await;
        assert_eq!((answer.status, answer.pointers()), (422, vec!["Idempotency-Key".to_owned()]), "{key}");
    }
    assert_eq!(count(&service, "/v1/webhooks").await, 0);
    let bare = ask(KEY).await;
    let quoted = ask(&format!("\"{KEY}\"")).await;
    assert_eq!((bare.status, quoted.status, is_replay(&quoted)), (201, 201, true));
}

#[tokio::test]
async fn a_secret_that_is_shown_once_does_not_lie_open_in_what_is_kept_of_its_answer() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);

    let webhook = send(named(&service, "/v1/webhooks", &wish(&receiver))).await.json();
    let api_key = send(named(&service, "/v1/admin/api-keys", r#"{"scopes": ["admin"]}"#)).await.json();

    let bytes = service.database_bytes().await;
    let holds = |text: &Value| {
        let text = text.as_str().unwrap().as_bytes();
        bytes.windows(text.len()).any(|window| window == text)
    };
    assert!(holds(&json!(receiver.url())), "the database was not read");
    assert!(!holds(&webhook["signing_secret"]) && !holds(&api_key["key"]));
    assert!(is_replay(&send(named(&service, "/v1/webhooks", &wish(&receiver))).await));
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day_and_swept_after_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let ask = async || send(named(&service, "/v1/webhooks", &wish(&receiver))).await;
    let rows = "update idempotent_answers set created_at = created_at";
    assert!(!is_replay(&ask().await));

    service.after(Duration::from_hours(24));
    service.server().engine().sweep(&CancellationToken::new()).await.unwrap();
    assert!(is_replay(&ask().await));
    service.after(Duration::from_secs(1));
    let anew = ask().await;
    let before = service.tamper_rows(rows).await;
    service.after(Duration::from_hours(25));
    service.server().engine().sweep(&CancellationToken::new()).await.unwrap();

    assert_eq!((anew.status, is_replay(&anew)), (201, false));
    assert_eq!((before, service.tamper_rows(rows).await), (1, 0));
}

#[tokio::test]
async fn a_claim_of_a_node_that_died_runs_out_after_a_minute() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let engine = service.server().engine();
    let tenant_id = engine.default_keys().unwrap().tenant.id;
    let asked = Asked { tenant_id, route: "POST /v1/webhooks".to_owned(), key: KEY.to_owned() };
    let asks_for = format!("\n{}", wish(&receiver));
    let claimed = engine.admit(&asked, asks_for.as_bytes()).await.unwrap();
    let ask = async || send(named(&service, "/v1/webhooks", &wish(&receiver))).await;

    let at_once = ask().await;
    service.after(Duration::from_mins(1));
    let within = ask().await;
    service.after(Duration::from_secs(1));
    let afterwards = ask().await;

    assert!(matches!(claimed, Admission::Claimed(_)));
    check_refused(&at_once, 409, "idempotency_in_progress");
    assert_eq!(at_once.header("retry-after"), "1");
    check_refused(&within, 409, "idempotency_in_progress");
    assert_eq!((afterwards.status, is_replay(&afterwards)), (201, false), "{}", afterwards.text);
}

#[tokio::test]
async fn a_claim_is_held_for_as_long_as_its_request_takes() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["user"]).await;
    let path = format!("/v1/webhooks/{webhook}/test");
    let ask = || named(&service, &path, r#"{"event": "user.created"}"#);
    receiver.holding();
    let asking = tokio::spawn(send(ask()));
    receiver.received_when(1).await;

    for _ in 0..4 {
        service.after(Duration::from_secs(30));
        let (now, rows) = (service.now().as_micros(), "update idempotent_answers set created_at = created_at");
        let held = format!("{rows} where claimed_until >= {now} + 60000000");
        until(async || (service.tamper_rows(&held).await == 1).then_some(())).await;
        check_refused(&send(ask()).await, 409, "idempotency_in_progress");
    }
    receiver.letting_go();

    let answer = asking.await.unwrap();
    let again = send(ask()).await;
    assert_eq!((answer.status, again.status, is_replay(&again)), (200, 200, true));
    assert_eq!((receiver.received().len(), again.text), (1, answer.text));
}

#[tokio::test]
async fn a_caller_that_hung_up_gets_the_answer_when_it_asks_again() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let webhook = service.webhook(&receiver, &["user"]).await;
    let path = format!("/v1/webhooks/{webhook}/test");
    let ask = || named(&service, &path, r#"{"event": "user.created"}"#);
    receiver.holding();
    let asking = tokio::spawn(ask().send());
    receiver.received_when(1).await;

    asking.abort();
    assert!(asking.await.is_err());
    receiver.letting_go();
    let answer = until(async || Some(send(ask()).await).filter(|answer| answer.status != 409)).await;

    assert_eq!((answer.status, is_replay(&answer)), (200, true), "{}", answer.text);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn an_answer_outlives_a_server_that_is_killed() {
    let (installation, receiver) = (Installation::new(), Receiver::start().await);
    let ask = || {
        let request = with_json(installation.request(Method::POST, "/v1/webhooks"), &wish(&receiver));
        request.header("idempotency-key", KEY)
    };
    let running = installation.serve().await;
    let first = send(ask()).await;

    running.kill();
    let _running = installation.serve().await;
    let again = send(ask()).await;

    assert_eq!((first.status, is_replay(&first)), (201, false), "{}", first.text);
    assert_eq!((again.status, is_replay(&again), again.text), (201, true, first.text));
    assert_eq!(installation.get("/v1/webhooks").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_moves_to_the_next_master_key_and_the_one_before_waits_for_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let engine = service.server().engine();
    let first = send(named(&service, "/v1/webhooks", &wish(&receiver))).await;
    let before = engine.current_master_key().await.unwrap();
    let id = engine.add_master_key(Actor::CommandLine).await.unwrap();
    engine.switch_master_key(Actor::CommandLine, &id).await.unwrap();
    let sealed_before = engine.records_by_master_key().await.unwrap()[&before].secrets;

    let rewrapped = engine.rewrap(Actor::CommandLine, &id, |_| {}).await.unwrap();
    service.after(Duration::from_mins(1));
    engine.drop_master_key(Actor::CommandLine, &before).await.unwrap();
    let again = send(named(&service, "/v1/webhooks", &wish(&receiver))).await;

    assert_eq!((sealed_before, rewrapped.records.secrets, rewrapped.stuck.len()), (2, 2, 0));
    assert_eq!((is_replay(&again), again.text), (true, first.text));
}
