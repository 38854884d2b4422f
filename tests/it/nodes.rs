//! Several nodes on one database are one issuer: they agree on what they publish and whom they trust, and what one has in
//! hand no other touches. Always on PostgreSQL, whatever the other tests run on.

mod changes;
mod keys;
mod margins;
mod outage;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet::domain::audit::Actor;
use signet::engine::rotate::Haste;
use signet::signing::{Expected, verify};
use tokio::task::JoinSet;

use crate::support::installation::Installation;
use crate::support::{Answer, Received, Receiver, Service, database, send, until, with_json, within};

/// How often a node looks whether another has changed any keys, at least.
const KEYS_NOTICED_WITHIN: Duration = Duration::from_secs(2);
/// How long a node may go on trusting an API key that another has revoked.
const REVOCATION_NOTICED_WITHIN: Duration = Duration::from_secs(5);
/// How long what a killed node had in hand may wait for another, in real time.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);
/// Longer than a first retry waits, and shorter than a claim holds.
const RETRY_IS_DUE: Duration = Duration::from_secs(7);
const DAY: Duration = Duration::from_hours(24);
/// A master key, as it may stand in the environment.
const MASTER_KEY: &str = r#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;

async fn on_postgres() -> Service {
    Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await
}

async fn two() -> (Service, Service) {
    let one = on_postgres().await;
    let other = one.beside().await;
    (one, other)
}

async fn jwks(service: &Service) -> String {
    send(service.anonymous(Method::GET, "/.well-known/jwks.json")).await.text
}

/// Waits until a node has noticed what another did to keys. Its hands are moved on by as much as it may need; once more
/// only for a look that had begun before they were.
async fn notices(service: &Service, has_noticed: impl AsyncFn() -> bool) {
    service.after(KEYS_NOTICED_WITHIN);
    let noticed = async || has_noticed().await.then_some(());
    if within(Duration::from_secs(3), noticed).await.is_none() {
        service.after(KEYS_NOTICED_WITHIN);
        until(noticed).await;
    }
}

fn check_verifies(received: &Received, service: &Service, jwks: &str) {
    let claims = received.claims();
    let expected = Expected { issuer: claims["iss"].as_str(), audience: claims["aud"][0].as_str(), now: service.now() };
    verify(&received.token(), jwks.as_bytes(), &expected).unwrap();
}

fn states(keys: &Answer) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for key in keys.json()["data"].as_array().unwrap() {
        *states.entry(key["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    states
}

#[tokio::test]
async fn the_jwks_of_all_nodes_are_the_same_bytes_before_and_after_a_rotation() {
    let (one, other) = two().await;
    let before = jwks(&one).await;
    assert_eq!(jwks(&other).await, before);

    let rotated = one.post("/v1/admin/keys/rotate", &json!({})).await;

    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let after = jwks(&one).await;
    assert_ne!(after, before);
    notices(&other, async || jwks(&other).await == after).await;
}

#[tokio::test]
async fn what_any_node_signs_verifies_against_the_jwks_of_every_node_across_a_rotation() {
    let (one, other) = two().await;
    let receiver = Receiver::start().await;
    one.webhook(&receiver, &["*"]).await;
    let before = jwks(&one).await;

    // Each of them signs before the rotation, while only one of them knows of it, and after.
    for service in [&one, &other] {
        service.event("user.created").await;
    }
    one.post("/v1/admin/keys/rotate", &json!({})).await;
    let after = jwks(&one).await;
    for service in [&one, &other] {
        service.event("user.created").await;
    }
    notices(&other, async || jwks(&other).await == after).await;
    for service in [&one, &other] {
        service.event("user.created").await;
    }

    let received = receiver.received_when(6).await;
    assert_eq!(received.iter().map(Received::kid).collect::<BTreeSet<_>>().len(), 2);
    for received in &received {
        assert_eq!(received.claims()["iss"], one.url());
        check_verifies(received, &other, &before);
        check_verifies(received, &other, &after);
    }
}

#[tokio::test]
async fn an_api_key_that_is_revoked_on_one_node_is_refused_on_the_other_within_5_seconds() {
    let (one, other) = two().await;
    let made = one.post("/v1/admin/api-keys", &json!({"scopes": ["webhooks:read"]})).await.json();
    let ask = async || send(other.request_with(made["key"].as_str().unwrap(), "GET /v1/webhooks")).await.status;
    assert_eq!(ask().await, 200);

    let revoked = one.delete(&format!("/v1/admin/api-keys/{}", made["id"].as_str().unwrap())).await;
    other.after(REVOCATION_NOTICED_WITHIN);

    assert_eq!((revoked.status, ask().await), (204, 401));
}

#[tokio::test]
async fn the_same_request_through_two_nodes_at_once_publishes_one_event() {
    const REQUESTS: usize = 50;
    let (one, other) = two().await;
    let receiver = Receiver::start().await;
    let webhook = one.webhook(&receiver, &["*"]).await;
    let named = |service: &Service, number: usize| -> RequestBuilder {
        let body = json!({"type": "user.created", "data": number}).to_string();
        let request = with_json(service.request(Method::POST, "/v1/events"), &body);
        request.header("idempotency-key", format!("request {number}"))
    };

    let mut asking = JoinSet::new();
    for number in 0..REQUESTS {
        // The other way round at the other node, so that each is first with some.
        for (service, number) in [(&one, number), (&other, REQUESTS - 1 - number)] {
            let request = named(service, number);
            asking.spawn(async move { (number, send(request).await) });
        }
    }
    let answers = asking.join_all().await;

    let mut ids = BTreeMap::<usize, BTreeSet<String>>::new();
    for (number, answer) in &answers {
        assert_eq!(answer.status, 202, "{}", answer.text);
        ids.entry(*number).or_default().insert(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let is_replay = |answer: &Answer| answer.header("idempotent-replayed") == "true";
    assert_eq!(answers.iter().filter(|(_, answer)| is_replay(answer)).count(), REQUESTS);
    until(async || (one.deliveries(&webhook, "delivered").await == REQUESTS).then_some(())).await;
    let received: Vec<String> =
        receiver.received().iter().map(|received| received.header("webhook-id").into()).collect();
    assert_eq!(received.len(), REQUESTS);
    assert_eq!(BTreeSet::from_iter(&received), ids.values().flatten().collect());
}

#[tokio::test]
async fn what_is_due_is_sent_once_however_many_nodes_look_for_it() {
    const EVENTS: usize = 300;
    let one = on_postgres().await;
    // A token then tells which of them sent it.
    let other = one.beside_with(&[("SIGNET_PUBLIC_URL", "https://other.example.com")]).await;
    let receiver = Receiver::start().await;
    receiver.answering(500);
    let webhook = one.webhook(&receiver, &["*"]).await;
    let events: Vec<Value> = (0..50).map(|number| json!({"type": "user.created", "data": number})).collect();
    for service in [&one, &other].into_iter().cycle().take(EVENTS / events.len()) {
        assert_eq!(service.post("/v1/events/batch", &json!({"events": events})).await.status, 202);
    }
    receiver.received_when(EVENTS).await;
    until(async || (one.deliveries(&webhook, "failed").await == EVENTS).then_some(())).await;

    receiver.answering(200);
    receiver.holding();
    for service in [&one, &other] {
        service.after(RETRY_IS_DUE);
    }
    let senders = |received: &[Received]| -> BTreeSet<String> {
        received.iter().skip(EVENTS).map(|received| received.claims()["iss"].to_string()).collect()
    };
    until(async || (senders(&receiver.received()).len() == 2).then_some(())).await;
    receiver.letting_go();
    receiver.received_when(2 * EVENTS).await;
    until(async || (one.deliveries(&webhook, "delivered").await == EVENTS).then_some(())).await;

    let mut times = BTreeMap::<(String, String), usize>::new();
    for received in receiver.received() {
        let attempt = (received.header("webhook-id").to_owned(), received.header("webhook-attempt").to_owned());
        *times.entry(attempt).or_default() += 1;
    }
    times.retain(|_, times| *times > 1);
    assert_eq!(times, BTreeMap::new(), "attempts that were made more than once");
    assert_eq!(receiver.received().len(), 2 * EVENTS);
}

#[tokio::test]
async fn of_nodes_that_rotate_at_once_one_does() {
    let one = on_postgres().await;
    let nodes = [&one, &one.beside().await, &one.beside().await];
    let tenant_id = one.server().engine().default_keys().unwrap().tenant.id;

    let mut rotating = JoinSet::new();
    for node in nodes.into_iter().cycle().take(12) {
        let engine = node.server().engine().clone();
        rotating.spawn(async move { engine.rotate(Actor::CommandLine, tenant_id, Haste::WhenSafe).await.is_ok() });
    }
    let rotated = rotating.join_all().await.into_iter().filter(|rotated| *rotated).count();

    assert_eq!(rotated, 1);
    let wanted = [("active", 1), ("pending", 1), ("retiring", 1)];
    let wanted = BTreeMap::from(wanted.map(|(state, count)| (state.to_owned(), count)));
    for node in nodes {
        notices(node, async || states(&node.get("/v1/admin/keys").await) == wanted).await;
        assert_eq!(jwks(node).await, jwks(nodes[0]).await);
    }
}

#[tokio::test]
async fn of_nodes_that_take_the_same_step_at_once_one_takes_it() {
    let one = on_postgres().await;
    let nodes = [&one, &one.beside().await, &one.beside().await];

    // The promotion, the next standby, and in the end the archiving: every node and its job want every step.
    for (span, wanted) in [
        (90 * DAY, [("active", 1), ("pending", 1), ("retiring", 1)].as_slice()),
        (7 * DAY, [("active", 1), ("archived", 1), ("pending", 1)].as_slice()),
    ] {
        nodes.iter().for_each(|node| node.after(span));
        let mut stepping = JoinSet::new();
        for node in nodes.into_iter().cycle().take(12) {
            let engine = node.server().engine().clone();
            stepping.spawn(async move { engine.step_all_rings().await });
        }
        for stepped in stepping.join_all().await {
            stepped.unwrap();
        }

        let wanted: BTreeMap<String, usize> =
            wanted.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect();
        for node in nodes {
            assert_eq!(states(&node.get("/v1/admin/keys").await), wanted);
            assert_eq!(jwks(node).await, jwks(&one).await);
        }
    }
}

#[tokio::test]
async fn nodes_that_start_together_on_an_empty_database_agree_on_what_a_first_start_makes() {
    let nodes = Service::start_together(4, &[("SIGNET_MASTER_KEY", MASTER_KEY), ("SIGNET_ADMIN_KEY", "")]).await;

    let made: Vec<_> = nodes.iter().filter_map(|node| node.server().made_api_key()).collect();
    assert_eq!(made.len(), 1, "one of them makes the first API key");
    let key = made[0].reveal();
    let tenant = nodes[0].server().engine().default_keys().unwrap().tenant.id;
    for node in &nodes {
        assert_eq!(node.server().engine().default_keys().unwrap().tenant.id, tenant);
        let keys = send(node.request_with(key, "GET /v1/admin/keys")).await;
        assert_eq!(states(&keys), BTreeMap::from([("active".to_owned(), 1), ("pending".to_owned(), 1)]));
        assert_eq!(jwks(node).await, jwks(&nodes[0]).await);
        let tenants = send(node.request_with(key, "GET /v1/admin/tenants")).await.json();
        assert_eq!(tenants["data"].as_array().unwrap().len(), 1);
        let event = with_json(node.request_with(key, "POST /v1/events"), r#"{"type": "user.created", "data": 1}"#);
        assert_eq!(send(event).await.status, 202);
    }
}

#[tokio::test]
async fn what_a_killed_node_had_in_hand_is_delivered_by_another_within_10_seconds() {
    const EVENTS: usize = 5;
    let doomed = Installation::on_postgres();
    let heir = doomed.beside();
    let receiver = Receiver::start().await;
    receiver.holding();
    let (running, _other) = (doomed.serve().await, heir.serve().await);
    let webhook = heir.make("/v1/webhooks", &json!({"url": receiver.url(), "events": ["*"]})).await;
    for number in 0..EVENTS {
        doomed.make("/v1/events", &json!({"type": "user.created", "data": number})).await;
    }
    receiver.received_when(EVENTS).await;

    running.kill();
    receiver.letting_go();

    let log = format!("/v1/webhooks/{webhook}/deliveries?status=delivered");
    let all = async || (heir.get(&log).await.json()["data"].as_array().unwrap().len() == EVENTS).then_some(());
    within(TAKEN_OVER_WITHIN, all).await.expect("the other node delivers in time");
    let received = receiver.received();
    let jti = |received: &[Received]| -> BTreeSet<String> {
        received.iter().map(|received| received.claims()["jti"].to_string()).collect()
    };
    assert_eq!(received.len(), 2 * EVENTS);
    assert_eq!((jti(&received[..EVENTS]).len(), jti(&received[EVENTS..])), (EVENTS, jti(&received[..EVENTS])));
    assert!(received.iter().all(|received| received.header("webhook-attempt") == "1"));
    assert_eq!(received.iter().map(Received::kid).collect::<BTreeSet<_>>().len(), 1, "they sign with the same key");
}
