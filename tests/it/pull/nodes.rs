//! Several nodes on one database are one mailbox. Always on PostgreSQL, whatever the other tests run on.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Mailbox, events, ids, of_format};
use crate::support::{Service, database, send, until};

async fn two() -> (Service, Service) {
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &database::fresh_postgres())]).await;
    let other = one.beside().await;
    (one, other)
}

#[tokio::test]
async fn two_pollers_on_two_nodes_are_not_given_the_same_while_it_is_leased() {
    let (one, other) = two().await;
    let mailbox = of_format(&one, "token").await;
    let batch: Vec<Value> = (0..400).map(|number| json!({"type": "user.created", "data": number})).collect();
    one.post("/v1/events/batch", &json!({"events": batch})).await;

    let mut polling = JoinSet::new();
    for node in [&one, &other].into_iter().cycle().take(40) {
        polling.spawn(send(mailbox.request_as(
            node,
            &mailbox.key,
            &json!({"maxEvents": 10, "returnImmediately": true}),
        )));
    }
    let given: Vec<String> = polling.join_all().await.iter().flat_map(ids).collect();
    let rest = [mailbox.now(&one).await, mailbox.now(&other).await].concat();

    let all: BTreeSet<&String> = given.iter().chain(&rest).collect();
    assert_eq!((given.len() + rest.len(), all.len()), (400, 400), "each once, and none is left out");
}

#[tokio::test]
async fn what_one_node_hands_over_is_acknowledged_on_the_other() {
    let (one, other) = two().await;
    let mailbox = of_format(&one, "set").await;
    let told = events(&one, 20).await;
    assert_eq!(mailbox.now(&other).await, told);

    let mut acknowledging = JoinSet::new();
    for (at, node) in [&one, &other].into_iter().cycle().take(16).enumerate() {
        // All of them name the same, in different orders, beside who is handed it again.
        let mut ack = told.clone();
        ack.rotate_left(at);
        acknowledging.spawn(send(mailbox.request_as(
            node,
            &mailbox.key,
            &json!({"ack": ack, "returnImmediately": true}),
        )));
    }
    let statuses: Vec<u16> = acknowledging.join_all().await.iter().map(|answer| answer.status).collect();

    assert_eq!(statuses, [200; 16]);
    assert_eq!([mailbox.now(&one).await, mailbox.now(&other).await].concat(), [""; 0]);
    assert_eq!(one.deliveries(&mailbox.id, "delivered").await, 20);
}

#[tokio::test]
async fn a_poll_on_one_node_is_answered_with_what_another_took_in() {
    let (one, other) = two().await;
    let mailbox = of_format(&one, "set").await;
    let poll = tokio::spawn(send(mailbox.request_as(&one, &mailbox.key, &json!({}))));
    until(async || (one.server().engine().pollers() == 1).then_some(())).await;

    let told = events(&other, 1).await;
    // It looks once a second, by a clock that stands still.
    one.after(Duration::from_secs(1));

    assert_eq!(ids(&tokio::time::timeout(Duration::from_secs(10), poll).await.unwrap().unwrap()), told);
}

#[tokio::test]
async fn retries_and_acknowledgements_that_race_lose_nothing_and_keep_nothing_twice() {
    let (one, other) = two().await;
    let mailbox = of_format(&one, "set").await;
    let told = events(&one, 5).await;
    mailbox.now(&one).await;

    let mut racing = JoinSet::new();
    for round in 0..60 {
        let (node, event) = ([&one, &other][round % 2], &told[round % 5]);
        racing.spawn(match round % 3 {
            0 => send(mailbox.request_as(node, &mailbox.key, &json!({"ack": told, "maxEvents": 0}))),
            1 => send(mailbox.request_as(node, &mailbox.key, &json!({"returnImmediately": true}))),
            _ => {
                let path = format!("/v1/webhooks/{}/deliveries/{event}/retry", mailbox.id);
                send(node.request(reqwest::Method::POST, &path))
            }
        });
    }
    let statuses: BTreeSet<u16> = racing.join_all().await.iter().map(|answer| answer.status).collect();

    assert!(statuses.is_subset(&BTreeSet::from([200, 202])), "{statuses:?}");
    let both = "select 1 from mailbox m join deliveries d on d.webhook_id = m.webhook_id and d.event_id = m.event_id";
    assert_eq!(one.tamper_rows(&format!("update settings set value = value where exists ({both})")).await, 0);
    let counts = [one.deliveries(&mailbox.id, "pending").await, one.deliveries(&mailbox.id, "delivered").await];
    assert_eq!(counts.iter().sum::<usize>(), 5, "{counts:?}");
}

#[tokio::test]
async fn a_key_that_was_revoked_on_one_node_signs_nothing_that_another_hands_over() {
    let (one, other) = two().await;
    let mailbox: Mailbox = of_format(&one, "set").await;
    events(&one, 1).await;
    let kid_of = async |node: &Service| {
        let answer = mailbox.poll(node, &json!({"returnImmediately": true, "maxEvents": 1})).await.json();
        let set = answer["sets"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        super::Jws::read(&set).header["kid"].as_str().unwrap().to_owned()
    };
    let revoked = kid_of(&other).await;

    assert_eq!(one.post(&format!("/v1/admin/keys/{revoked}/revoke"), &json!({})).await.status, 200);

    assert_ne!(kid_of(&other).await, revoked, "although its clock stood still meanwhile");
}
