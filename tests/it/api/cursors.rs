//! Cursors are bound to their list and its tenant, and a walk meets everything once whatever comes in meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::audit::Actor;
use tokio::task::JoinSet;

use crate::support::{Answer, Receiver, Service, database, send, with_json};

/// Events that come in while lists are walked.
const EVENTS: usize = 10_000;
const BATCH: usize = 100;
/// Who publishes and who walks at a time.
const PUBLISHERS: usize = 4;
const WALKERS: usize = 2;

/// Asks for a page as the operator, for one tenant.
async fn page(service: &Service, path: &str, tenant: &str) -> Answer {
    send(service.request(Method::GET, path).header("x-tenant-id", tenant)).await
}

fn next(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["pagination"]["next_cursor"].as_str().expect("the list goes on").to_owned()
}

fn check_refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.pointers()), (422, vec!["cursor".to_owned()]), "{what}: {}", answer.text);
}

/// A tenant with two of everything that is listed by tenant; answers its id and the paths of its lists.
async fn with_lists(service: &Service, receiver: &Receiver, name: &str) -> (String, Vec<String>) {
    let tenant = service.tenant(name).await;
    let post = async |path: &str, body: Value| {
        let request = service.request(Method::POST, path).header("x-tenant-id", &tenant);
        let answer = send(with_json(request, &body.to_string())).await;
        assert!(answer.status < 300, "{}", answer.text);
        answer.json()
    };
    let mut webhooks = Vec::new();
    for _ in 0..2 {
        let wish = json!({"url": receiver.url(), "events": ["user"]});
        webhooks.push(post("/v1/webhooks", wish).await["id"].as_str().unwrap().to_owned());
        post("/v1/admin/api-keys", json!({"scopes": ["admin"]})).await;
    }
    for _ in 0..2 {
        post("/v1/events", json!({"type": "user.created", "data": 1})).await;
    }
    let mut lists = ["/v1/webhooks", "/v1/events", "/v1/admin/api-keys"].map(str::to_owned).to_vec();
    lists.extend(webhooks.iter().map(|webhook| format!("/v1/webhooks/{webhook}/deliveries")));
    (tenant, lists)
}

#[tokio::test]
async fn a_cursor_opens_the_list_that_gave_it_and_no_other() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let (ours, our_lists) = with_lists(&service, &receiver, "ours").await;
    let (theirs, their_lists) = with_lists(&service, &receiver, "theirs").await;
    let all = || our_lists.iter().map(|list| (&ours, list)).chain(their_lists.iter().map(|list| (&theirs, list)));

    for (tenant, list) in all() {
        let cursor = next(&page(&service, &format!("{list}?limit=1"), tenant).await);

        for (asking, asked) in all() {
            let answer = page(&service, &format!("{asked}?cursor={cursor}"), asking).await;

            if (asking, asked) == (tenant, list) {
                assert_eq!(answer.status, 200, "{}", answer.text);
            } else {
                check_refused(&answer, &format!("a cursor of {list} at {asked}"));
            }
        }
        check_refused(&page(&service, &format!("/v1/admin/tenants?cursor={cursor}"), tenant).await, list);
    }
    // The list of all tenants' keys is another one than that of the default tenant.
    let every = next(&service.get("/v1/admin/api-keys?limit=1").await);
    check_refused(&page(&service, &format!("/v1/admin/api-keys?cursor={every}"), &ours).await, "every key");
}

#[tokio::test]
async fn a_cursor_that_was_changed_is_refused() {
    let service = Service::start().await;
    for _ in 0..2 {
        service.event("user.created").await;
    }
    let cursor = next(&service.get("/v1/events?limit=1").await);

    for at in 0..cursor.len() {
        let other = if cursor.as_bytes()[at] == b'A' { 'B' } else { 'A' };
        let changed = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);

        check_refused(&service.get(&format!("/v1/events?cursor={changed}")).await, &changed);
    }
    check_refused(&service.get(&format!("/v1/events?cursor={cursor}AAAA")).await, "with more behind it");
    assert_eq!(service.get(&format!("/v1/events?cursor={cursor}")).await.status, 200);
}

#[tokio::test]
async fn a_cursor_outlives_a_restart_and_a_change_of_the_master_key() {
    let service = Service::start().await;
    for _ in 0..2 {
        service.event("user.created").await;
    }
    let cursor = next(&service.get("/v1/events?limit=1").await);

    let restarted = service.restarted_with(&[]).await;
    let after_restart = restarted.get(&format!("/v1/events?cursor={cursor}")).await;
    let engine = restarted.server().engine();
    let id = engine.add_master_key(Actor::CommandLine).await.unwrap();
    engine.switch_master_key(Actor::CommandLine, &id).await.unwrap();
    let after_switch = restarted.get(&format!("/v1/events?cursor={cursor}")).await;

    for answer in [after_restart, after_switch] {
        assert_eq!((answer.status, answer.json()["data"].as_array().unwrap().len()), (200, 1), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_cursor_of_one_node_goes_on_at_another() {
    let url = database::fresh_postgres();
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &url)]).await;
    let other = one.beside().await;
    let (first, second) = (one.event("user.created").await, one.event("user.created").await);
    let page = one.get("/v1/events?limit=1").await;

    let next = other.get(&format!("/v1/events?limit=1&cursor={}", next(&page))).await;

    assert_eq!(page.json()["data"][0]["id"], second.as_str());
    assert_eq!(next.json()["data"][0]["id"], first.as_str(), "{}", next.text);
}

/// Walks the events from the newest to the oldest; answers their ids as they were met.
async fn walk(service: &Service) -> Vec<String> {
    let (mut met, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/v1/events?limit=100{cursor}")).await.json();
        met.extend(page["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["pagination"]["next_cursor"].as_str() else { return met };
        cursor = format!("&cursor={next}");
    }
}

/// Publishes a share of the events, batch by batch.
async fn publish(service: &Service) {
    let event = json!({"type": "user.created", "data": 1});
    let batch = json!({"events": vec![event; BATCH]});
    for _ in 0..EVENTS / BATCH / PUBLISHERS {
        let answer = service.post("/v1/events/batch", &batch).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
}

#[tokio::test]
async fn walks_beside_ten_thousand_inserts_meet_nothing_twice_and_leave_nothing_out() {
    let service = Arc::new(Service::start().await);
    for _ in 0..5 {
        service.event("user.created").await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let mut walking = JoinSet::new();
    for _ in 0..WALKERS {
        let (service, is_over) = (service.clone(), is_over.clone());
        walking.spawn(async move {
            let mut walks = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                walks.push(walk(&service).await);
            }
            walks
        });
    }
    let mut publishing = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let service = service.clone();
        publishing.spawn(async move { publish(&service).await });
    }

    publishing.join_all().await;
    is_over.store(true, Ordering::SeqCst);
    let walks: Vec<Vec<String>> = walking.join_all().await.into_iter().flatten().collect();

    let whole = walk(&service).await;
    assert_eq!(whole.len(), EVENTS + 5);
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len());
    assert!(whole.is_sorted_by(|newer, older| newer > older));
    let lengths: BTreeSet<usize> = walks.iter().map(Vec::len).collect();
    assert!(lengths.len() > WALKERS, "nothing came in between the walks: {lengths:?}");
    for met in &walks {
        // Ids grow in the order in which they become visible, so a walk is the list from where it began to the end.
        let began = whole.iter().position(|id| Some(id) == met.first()).expect("what was met is in the list");
        assert!(
            *met == whole[began..],
            "a walk of {} differs from the {} from there on",
            met.len(),
            whole.len() - began
        );
    }
}
