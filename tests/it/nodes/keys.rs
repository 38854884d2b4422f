//! Several nodes are careful with one ring: no key signs before every node serves it, none is signed with that may be gone,
//! and of nodes that want the same key promoted one promotes it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{DAY, jwks, on_postgres, states, two};
use crate::support::installation::Installation;
use crate::support::road::Road;
use crate::support::{Answer, Receiver, Service, database, send, until, with_json, within};

/// How many slots five processes race for; `SIGNET_KEY_RACES` says otherwise.
const RACES_STANDARD: usize = 5;
const PROCESSES: usize = 5;
/// How long a revoked key may be served anywhere.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// A node that is entered and serves only what it knew at the beginning: it never beats.
const STRANGER: &str = "insert into nodes (id, beats, started_at, jwks_version, master_key_ids)
     values ('\\x00000000000000000000000000000001', 1, 0, 0, '')";

async fn rotate(service: &Service, body: Value) -> Answer {
    service.post("/v1/admin/keys/rotate", &body).await
}

#[tokio::test]
async fn a_key_does_not_sign_before_every_node_serves_it() {
    let (one, other) = two().await;
    one.tamper(STRANGER).await;

    let refused = rotate(&one, json!({})).await;
    let also_refused = rotate(&other, json!({})).await;
    // The stranger is struck off when its count has stood still for five looks.
    let rotated = until(async || Some(rotate(&one, json!({})).await).filter(|answer| answer.status == 200)).await;

    for refused in [refused, also_refused] {
        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("not_everywhere")), "{}", refused.text);
    }
    assert_eq!(rotated.status, 200);
}

#[tokio::test]
async fn a_key_that_a_lost_node_did_not_know_waits_until_that_one_serves_nothing_any_more() {
    let service = on_postgres().await;
    rotate(&service, json!({})).await;
    let waits_until =
        async || rotate(&service, json!({})).await.json()["detail"].as_str().unwrap_or_default().to_owned();
    let before = waits_until().await;

    service.tamper(STRANGER).await;
    let after = until(async || Some(waits_until().await).filter(|detail| *detail != before)).await;
    service.pass(7 * DAY).await;
    let in_a_week = until(async || Some(rotate(&service, json!({})).await).filter(|answer| answer.status != 503)).await;
    service.pass(2 * DAY).await;
    let later = until(async || Some(rotate(&service, json!({})).await).filter(|answer| answer.status == 200)).await;

    assert!(before.contains("2026-03-08T12:00:00Z"), "a week from now: {before}");
    assert!(after.contains("2026-03-10T12:00:00Z"), "two days more: {after}");
    assert_eq!((in_a_week.status, later.status), (409, 200));
}

#[tokio::test]
async fn a_node_that_is_cut_off_signs_no_more_when_its_lease_ends() {
    let road = Road::to(&database::fresh_postgres()).await;
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", road.url())]).await;
    let engine = service.server().engine();
    assert!(engine.may_sign());

    road.cut();
    service.after(Duration::from_secs(59));
    let before_it_ends = engine.may_sign();
    service.after(Duration::from_secs(2));
    let after_it_ended = engine.may_sign();
    road.open();
    until(async || engine.refresh_keys().await.ok()).await;

    assert_eq!((before_it_ends, after_it_ended, engine.may_sign()), (true, false, true));
}

#[tokio::test]
async fn a_node_that_may_not_sign_tests_and_rehearses_nothing() {
    let road = Road::to(&database::fresh_postgres()).await;
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", road.url())]).await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["*"]).await;

    road.cut();
    service.after(Duration::from_mins(2));
    let tested = service.post(&format!("/v1/webhooks/{webhook}/test"), &json!({"event": "user.created"})).await;
    let rehearsed = service.post("/v1/admin/keys/rehearse", &json!({})).await;

    for answer in [tested, rehearsed] {
        assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("may_not_sign")), "{}", answer.text);
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn what_a_node_may_not_sign_for_a_while_is_sent_once_it_may() {
    let road = Road::to(&database::fresh_postgres()).await;
    let service = Service::start_with(&[("SIGNET_DATABASE_URL", road.url())]).await;
    let receiver = Receiver::start().await;
    let webhook = service.webhook(&receiver, &["*"]).await;
    receiver.answering(500);
    let event = service.event("user.created").await;
    service.delivery_when(&webhook, &event, "failed").await;

    road.cut();
    service.after(Duration::from_mins(2));
    receiver.answering(200);
    road.open();

    let delivery = until(async || {
        service.after(Duration::from_secs(1));
        let delivery = service.get(&format!("/v1/webhooks/{webhook}/deliveries/{event}")).await.json();
        (delivery["status"] == "delivered").then_some(delivery)
    });
    assert_eq!(delivery.await["log"].as_array().unwrap().len(), 2, "waiting for leave to sign is no attempt");
}

#[tokio::test]
async fn a_revoked_key_is_gone_from_every_node_within_10_seconds() {
    let first = Installation::on_postgres();
    let others = [first.beside(), first.beside()];
    let _running = [first.serve().await, others[0].serve().await, others[1].serve().await];
    let set = async |node: &Installation| node.get("/.well-known/jwks.json").await.json();
    let kid = set(&first).await["keys"][0]["kid"].as_str().unwrap().to_owned();

    let revoke = first.request(Method::POST, &format!("/v1/admin/keys/{kid}/revoke"));
    assert_eq!(send(with_json(revoke, "{}")).await.status, 200);

    for node in [&first, &others[0], &others[1]] {
        let is_gone = async || (!set(node).await.to_string().contains(&kid)).then_some(());
        within(GONE_WITHIN, is_gone).await.expect("it is gone in time");
    }
    let sets = [set(&first).await, set(&others[0]).await, set(&others[1]).await];
    assert!(sets.iter().all(|set| *set == sets[0]));
}

#[tokio::test]
async fn of_processes_that_race_for_a_slot_one_gets_it() {
    let first = Installation::on_postgres();
    let others: Vec<Installation> = (1..PROCESSES).map(|_| first.beside()).collect();
    let nodes: Vec<&Installation> = others.iter().chain([&first]).collect();
    let mut running = Vec::new();
    for node in &nodes {
        running.push(node.serve().await);
    }
    let mut tenants = Vec::new();
    for number in 0..races() {
        tenants.push(nodes[0].make("/v1/admin/tenants", &json!({"name": format!("race {number}")})).await);
    }
    let last = tenants.last().unwrap();
    for node in &nodes {
        // Every node knows the last of them, and so all.
        let knows = async || (node.get(&format!("/{last}/.well-known/jwks.json")).await.status == 200).then_some(());
        until(knows).await;
    }
    let race = async |tenant: &str, body: &str| {
        let mut racing = JoinSet::new();
        for node in &nodes {
            let request = node.request(Method::POST, "/v1/admin/keys/rotate").header("x-tenant-id", tenant);
            racing.spawn(send(with_json(request, body)));
        }
        racing.join_all().await.into_iter().filter(|answer| answer.status == 200).count()
    };

    for tenant in &tenants {
        // Whether every node has said that it serves the standby takes a moment too.
        let won = until(async || Some(race(tenant, "{}").await).filter(|won| *won > 0)).await;
        assert_eq!(won, 1, "of all who asked, one promoted the standby");
        let forced = race(tenant, r#"{"force": true}"#).await;

        let settled = until(async || {
            let keys = send(nodes[0].request(Method::GET, "/v1/admin/keys").header("x-tenant-id", tenant)).await;
            let states = states(&keys);
            (states.get("retiring") == Some(&(1 + forced)) && states.contains_key("pending")).then_some(states)
        });
        let wanted = [("active", 1), ("pending", 1), ("retiring", 1 + forced)];
        assert_eq!(settled.await, BTreeMap::from(wanted.map(|(state, count)| (state.to_owned(), count))));
    }
    let audit = nodes[0].done(&["keys", "audit", "--all"]).await;
    assert!(tenants.iter().all(|tenant| audit.contains(tenant.as_str())), "{audit}");
    assert_eq!(running.len(), PROCESSES);
}

#[tokio::test]
async fn a_node_that_joins_serves_every_key_before_others_wait_for_it() {
    let one = on_postgres().await;
    let other = one.beside().await;

    let rotated = rotate(&one, json!({})).await;

    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let before = jwks(&other).await;
    assert!(before.contains(rotated.json()["active_kid"].as_str().unwrap()), "it was served before it signed");
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the server")]
fn races() -> usize {
    std::env::var("SIGNET_KEY_RACES").map_or(RACES_STANDARD, |races| races.parse().unwrap())
}
