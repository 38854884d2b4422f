//! The audit log: every change of keys is in it, and whoever changes it behind the server's back is found out.

use std::time::Duration;

use serde_json::{Value, json};
use signet::domain::audit::{Actor, Entry, Head, INSTALLATION};
use signet::domain::id::TenantId;
use signet::engine::audit::Verdict;
use signet::engine::rotate::Haste;
use signet::store::signing_keys;
use tokio::task::JoinSet;

use crate::support::installation::Installation;
use crate::support::{ADMIN_KEY, Service, database, send, until, with_json};

const DAY: Duration = Duration::from_hours(24);

fn tenant_id(service: &Service) -> TenantId {
    service.server().engine().default_keys().unwrap().tenant.id
}

async fn log(service: &Service) -> Vec<Entry> {
    let mut audit = service.server().engine().audit(tenant_id(service), None).await.unwrap();
    let mut entries = Vec::new();
    while let Some(page) = audit.next_page().await.unwrap() {
        entries.extend(page);
    }
    entries
}

async fn verdict(service: &Service, noted: Option<Head>) -> Verdict {
    service.server().engine().audit(tenant_id(service), noted).await.unwrap().verdict().await.unwrap()
}

async fn faults(service: &Service, noted: Option<Head>) -> Vec<String> {
    verdict(service, noted).await.faults.iter().map(ToString::to_string).collect()
}

/// Who did what, to which key by the order in which they were first told of, and which other keys changed with it.
fn story(entries: &[Entry]) -> Vec<(&str, &str, usize, Value)> {
    let mut kids: Vec<&str> = Vec::new();
    let mut told = Vec::new();
    for entry in entries.iter().filter(|entry| entry.action.starts_with("key.")) {
        if !kids.contains(&entry.subject.as_str()) {
            kids.push(&entry.subject);
        }
        let key = kids.iter().position(|kid| *kid == entry.subject).unwrap();
        let mut detail: Value = serde_json::from_str(&entry.detail).unwrap();
        if let Some(states) = detail.get_mut("states").and_then(Value::as_object_mut) {
            states.remove(&entry.subject);
            let place = |kid: &String| kids.iter().position(|known| known == kid).unwrap().to_string();
            *states = states.iter().map(|(kid, state)| (place(kid), state.clone())).collect();
        }
        told.push((entry.actor.as_str(), entry.action.as_str(), key, detail));
    }
    told
}

/// A service with a log of seven entries: two keys, two rotations on request, and what followed.
async fn with_a_log() -> Service {
    let service = Service::start().await;
    for _ in 0..2 {
        rotate_by_force(&service).await;
    }
    assert_eq!(log(&service).await.len(), 7);
    service
}

async fn rotate_by_force(service: &Service) {
    let rotated = service.post("/v1/admin/keys/rotate", &json!({"force": true})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
}

async fn revoke(service: &Service, kid: &str, body: Value) {
    let revoked = service.post(&format!("/v1/admin/keys/{kid}/revoke"), &body).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
}

#[tokio::test]
async fn every_change_of_a_keys_life_is_in_the_log_with_whoever_made_it() {
    let service = Service::start().await;
    let made = service.post("/v1/admin/api-keys", &json!({"scopes": ["keys:rotate"]})).await.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());

    send(with_json(service.request_with(secret, "POST /v1/admin/keys/rotate"), "{}")).await;
    service.pass(7 * DAY).await;
    let archived_at = service.now();
    until(async || log(&service).await.last().is_some_and(|last| last.action == "key.archived").then_some(())).await;
    let standby = log(&service).await[4].subject.clone();
    revoke(&service, &standby, json!({"reason": "left on a train"})).await;
    let forced = service.server().engine().rotate(Actor::CommandLine, tenant_id(&service), Haste::Forced).await;
    revoke(&service, forced.unwrap().as_str(), json!({})).await;

    let entries = log(&service).await;
    let es256 = json!({"algorithm": "ES256", "states": {}});
    let states = |states: Value| json!({"states": states});
    let expected = [
        ("signet", "key.opened", 0, es256.clone()),
        ("signet", "key.published", 1, es256.clone()),
        (id, "key.promoted", 1, states(json!({"0": "retiring"}))),
        ("signet", "key.published", 2, es256.clone()),
        ("signet", "key.archived", 0, states(json!({}))),
        ("admin-key", "key.revoked", 2, json!({"reason": "left on a train", "states": {}})),
        ("admin-key", "key.published", 3, es256.clone()),
        ("command-line", "key.promoted", 3, states(json!({"1": "retiring"}))),
        ("command-line", "key.wait_overruled", 3, json!({})),
        ("signet", "key.published", 4, es256.clone()),
        ("admin-key", "key.revoked", 3, json!({"reason": "", "states": {"4": "active"}})),
        ("admin-key", "key.published", 5, es256),
    ];
    assert_eq!(story(&entries), expected);
    assert_eq!(entries[5].at, archived_at);
    assert_eq!(faults(&service, None).await, [""; 0]);
}

#[tokio::test]
async fn a_tenants_first_keys_are_in_its_own_log() {
    let service = Service::start().await;
    let made = service.post("/v1/admin/tenants", &json!({"name": "acme"})).await.json();
    let tenant_id = made["id"].as_str().unwrap().parse().unwrap();

    let mut audit = service.server().engine().audit(tenant_id, None).await.unwrap();
    let page = audit.next_page().await.unwrap().unwrap();

    let told: Vec<_> = page.iter().map(|entry| (entry.number, &*entry.actor, &*entry.action)).collect();
    assert_eq!(told, [(1, "admin-key", "key.opened"), (2, "admin-key", "key.published")]);
    assert_eq!(audit.verdict().await.unwrap().faults, []);
}

/// Somebody who can write to the database runs `statements`, and an audit finds exactly this.
async fn check(statements: &str, found: &[&str]) {
    let service = with_a_log().await;
    let noted = verdict(&service, None).await.head;
    let kids = log(&service).await.into_iter().map(|entry| entry.subject);
    assert_eq!(faults(&service, Some(noted)).await, [""; 0]);

    service.tamper(statements).await;

    let mut said = faults(&service, Some(noted)).await.join("; ");
    for kid in kids {
        said = said.replace(&kid, "KID");
    }
    assert!(found.iter().all(|words| said.contains(words)) && !said.is_empty(), "{statements}: {said}");
    assert_eq!(said.split("; the key").count(), found.len(), "{statements}: {said}");
}

#[tokio::test]
async fn an_entry_that_is_changed_in_the_database_is_named() {
    check("update audit_log set actor = 'nobody' where number = 3", &["entry 3 is not what was written"]).await;
    check("update audit_log set at = at + 1 where number = 7", &["entry 7 is not what was written"]).await;
    check("update audit_log set detail = '{}' where number = 5", &["entry 5 is not what was written"]).await;
}

#[tokio::test]
async fn an_entry_that_is_deleted_from_the_database_is_named() {
    check("delete from audit_log where number = 3", &["entry 3 is missing: what follows is entry 4"]).await;
    let and_closed = "delete from audit_log where number = 3;
         update audit_log set number = number + 100 where number > 3;
         update audit_log set number = number - 101 where number > 3";
    check(and_closed, &["entry 3 is not what was written, and those after it do not continue it"]).await;
}

#[tokio::test]
async fn an_entry_that_is_inserted_into_the_database_is_named() {
    let insert = "update audit_log set number = number + 100 where number > 3;
         update audit_log set number = number - 99 where number > 3;
         insert into audit_log (tenant_id, number, at, actor, action, subject, detail, hash)
         select tenant_id, 4, at, actor, action, subject, detail, hash from audit_log where number = 3";
    check(insert, &["entry 4 is not what was written, and those after it do not continue it"]).await;
    let append = "insert into audit_log (tenant_id, number, at, actor, action, subject, detail, hash)
         select tenant_id, 8, at, actor, action, subject, detail, hash from audit_log where number = 7";
    check(append, &["entry 8 is not what was written"]).await;
}

#[tokio::test]
async fn entries_that_are_swapped_in_the_database_are_named() {
    let swap = "update audit_log set number = 100 where number = 3;
         update audit_log set number = 3 where number = 6;
         update audit_log set number = 6 where number = 100";
    check(swap, &["entry 3 is not what was written, and those after it do not continue it"]).await;
}

#[tokio::test]
async fn an_end_that_is_cut_off_is_named_to_whoever_noted_the_head() {
    let service = with_a_log().await;
    let noted = verdict(&service, None).await.head;
    // The very entry, and the key that it tells of.
    service.tamper("delete from signing_keys where state = 'pending'; delete from audit_log where number = 7").await;

    let unaware = faults(&service, None).await;
    let aware = faults(&service, Some(noted)).await;

    assert_eq!(unaware, [""; 0], "it cannot show by itself");
    let [said] = &aware[..] else { panic!("{aware:?}") };
    assert!(said.contains("entry 7 was noted, but the log ends with entry 6"), "{said}");
}

#[tokio::test]
async fn a_key_that_is_not_as_the_log_says_is_named() {
    let archived = "update signing_keys set state = 'archived', archived_at = 1 where state = 'retiring'";
    check(archived, &["the key KID is archived in the database, and retiring in the log"; 2]).await;
    let renamed = "update signing_keys set kid = 'forged' where state = 'pending'";
    let found = [
        "the key forged is pending in the database, and the log has never heard of it",
        "KID is pending in the log, and not",
    ];
    check(renamed, &found).await;
    let exchanged = "update signing_keys
         set public_jwk = (select public_jwk from signing_keys where state = 'active')
         where state = 'pending'";
    check(exchanged, &["the key KID in the database is not the one that its name stands for"]).await;
    check("delete from audit_log where number = 7", &["entry 7 was noted, but the log ends with entry 6"]).await;
}

#[tokio::test]
async fn keys_that_are_older_than_the_log_are_found_once_and_never_again() {
    let service = with_a_log().await;
    let engine = service.server().engine();
    service.tamper("delete from audit_log").await;

    engine.begin_audit_log().await.unwrap();
    let found = log(&service).await;
    let whole = faults(&service, None).await;
    rotate_by_force(&service).await;
    let went_on = (log(&service).await.len(), faults(&service, None).await);
    // Now somebody empties the log of the tenant, and has the server start.
    let others = "delete from audit_log where tenant_id in (select id from tenants)";
    service.tamper(others).await;
    engine.begin_audit_log().await.unwrap();

    assert!(found.iter().all(|entry| entry.action == "key.found" && entry.actor == "signet"), "{found:?}");
    assert_eq!((found.len(), whole), (4, vec![]));
    assert_eq!(went_on, (7, vec![]));
    let said = faults(&service, None).await;
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said.iter().all(|said| said.contains("the log has never heard of it")), "{said:?}");
    let installation = engine.audit(INSTALLATION, None).await.unwrap().verdict().await.unwrap();
    assert_eq!((installation.head.number, installation.faults), (1, vec![]));
}

#[tokio::test]
async fn nodes_that_write_at_once_keep_one_unbroken_log() {
    const ROTATIONS: usize = 12;
    let url = database::fresh_postgres();
    let one = Service::start_with(&[("SIGNET_DATABASE_URL", &url)]).await;
    let other = one.beside().await;
    let tenant_id = tenant_id(&one);
    let mut rotating = JoinSet::new();
    for number in 0..ROTATIONS {
        let engine = [&one, &other][number % 2].server().engine().clone();
        rotating.spawn(async move { engine.rotate(Actor::CommandLine, tenant_id, Haste::Forced).await.is_ok() });
    }

    let promoted = rotating.join_all().await.into_iter().filter(|is_promoted| *is_promoted).count();

    assert!(promoted > 0);
    let entries = log(&one).await;
    let numbers: Vec<u32> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=u32::try_from(entries.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(entries.iter().filter(|entry| entry.action == "key.promoted").count(), promoted);
    assert_eq!(faults(&other, None).await, [""; 0]);
}

#[tokio::test]
async fn no_secret_is_in_the_log() {
    let service = with_a_log().await;
    let made = service.post("/v1/admin/api-keys", &json!({"scopes": ["admin"]})).await.json();
    let secret = made["key"].as_str().unwrap();
    send(with_json(service.request_with(secret, "POST /v1/admin/keys/rotate"), r#"{"force": true}"#)).await;
    let mut reader = service.server().engine().store.read().await.unwrap();
    let stored = signing_keys::of_tenant(reader.conn(), tenant_id(&service)).await.unwrap();
    let sealed: Vec<String> = stored.into_iter().filter_map(|stored| stored.private_half).collect();

    let entries = log(&service).await;

    let said = format!("{entries:?}");
    assert!(said.contains(made["id"].as_str().unwrap()), "the key's id is there: {said}");
    assert!(!sealed.is_empty());
    for secret in sealed.iter().map(String::as_str).chain([secret, ADMIN_KEY]) {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn the_command_shows_the_log_and_fails_when_it_is_broken() {
    let installation = Installation::new();
    let _running = installation.serve().await;

    let whole = installation.run(&["keys", "audit"]);
    let head = whole.said.lines().last().unwrap().to_owned();
    let rotated = installation.run(&["keys", "rotate"]);
    let expected = installation.run(&["keys", "audit", "--expect", &head]);
    let all = installation.run(&["keys", "audit", "--all"]);
    installation.tamper("update audit_log set actor = 'nobody' where number = 2").await;
    let broken = installation.run(&["keys", "audit"]);
    let one_is_broken = installation.run(&["keys", "audit", "--all"]);

    assert_eq!((whole.code, rotated.code, expected.code, all.code), (Some(0), Some(0), Some(0), Some(0)), "{whole:?}");
    assert!(whole.said.contains("key.opened") && head.starts_with("2:"), "{}", whole.said);
    assert!(expected.said.contains("command-line") && expected.said.contains("entry 2 is the one that was noted"));
    assert_eq!(all.said.lines().count(), 2, "{}", all.said);
    assert_eq!((broken.code, one_is_broken.code), (Some(1), Some(1)), "{broken:?} {one_is_broken:?}");
    assert!(broken.said.contains("is whole up to entry 1, but"), "{}", broken.said);
    assert!(broken.said.contains("- entry 2 is not what was written"), "{}", broken.said);
}
