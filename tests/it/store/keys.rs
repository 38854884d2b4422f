//! Keys of both kinds, those that sign and those that callers present, and the tenants that have them.

use signet::domain::access::{ApiKey, Scope};
use signet::domain::id::ApiKeyId;
use signet::domain::key_ring::{Key, KeyState, Kid, ServiceTime, Situation};
use signet::domain::tenant::Tenant;
use signet::domain::time::Timestamp;
use signet::domain::token::Algorithm;
use signet::store::signing_keys::{self, StoredKey};
use signet::store::{StoreError, api_keys, tenants};

use super::{Database, second, tenant, tenant_id};

fn kid(number: u8) -> Kid {
    Kid::from_text(format!("kid {number}"))
}

fn signing_key(number: u8, state: KeyState) -> StoredKey {
    let key = Key {
        kid: kid(number),
        algorithm: Algorithm::Es256,
        publication: u32::from(number),
        published_at: second(i64::from(number)),
        version: i64::from(number),
        since: ServiceTime::ZERO,
        missed_at: None,
        state,
    };
    StoredKey { key, public_jwk: format!("jwk {number}"), private_half: Some(format!("jwe {number}")) }
}

fn at(now: Timestamp) -> Situation {
    Situation { now, service_time: ServiceTime::ZERO, served_version: 0 }
}

fn active() -> KeyState {
    KeyState::Active { activated_at: second(1) }
}

fn api_key(number: u8, tenant: Option<u8>) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_bytes([number; 16]),
        tenant_id: tenant.map(tenant_id),
        label: format!("key {number}"),
        tail: "abcd".to_owned(),
        scopes: vec![Scope::EventsWrite, Scope::WebhooksRead],
        created_at: second(0),
        revoked_at: None,
    }
}

impl Database {
    async fn with_keys(keys: &[StoredKey]) -> Self {
        let mut database = Self::with_tenant().await;
        for key in keys {
            signing_keys::insert(database.conn(), tenant_id(1), key).await.unwrap();
        }
        database
    }

    /// The states of tenant 1's keys, oldest first, and whether their private halves are kept.
    async fn ring(&mut self) -> Vec<(KeyState, bool)> {
        let stored = signing_keys::of_tenant(self.conn(), tenant_id(1)).await.unwrap();
        stored.iter().map(|stored| (stored.key.state, stored.private_half.is_some())).collect()
    }

    /// Tries every transition on key 1 at one instant; answers which of them happened.
    async fn transition(&mut self, name: &str) -> bool {
        let (tenant_id, kid, now) = (tenant_id(1), kid(1), second(9));
        let conn = self.conn();
        let changed = match name {
            "promote" => signing_keys::promote(conn, tenant_id, &kid, &at(now)).await,
            "demote" => signing_keys::demote(conn, tenant_id, &kid, &at(now)).await,
            "archive" => signing_keys::archive(conn, tenant_id, &kid, &at(now)).await,
            _ => signing_keys::revoke(conn, tenant_id, &kid, "leaked", &at(now)).await,
        };
        changed.unwrap()
    }
}

#[tokio::test]
async fn a_signing_key_lives_through_its_states_and_its_private_half_ends_at_demotion() {
    let mut database = Database::with_keys(&[signing_key(1, KeyState::Pending)]).await;
    let mut life = database.ring().await;

    for transition in ["promote", "demote", "archive"] {
        assert!(database.transition(transition).await, "{transition}");
        life.extend(database.ring().await);
    }

    let retiring = KeyState::Retiring { retired_at: second(9) };
    let signing = KeyState::Active { activated_at: second(9) };
    assert_eq!(life, [(KeyState::Pending, true), (signing, true), (retiring, false), (KeyState::Archived, false)]);
    assert!(!signing_keys::any_private(database.conn()).await.unwrap());
}

/// From the state that these transitions lead to, only `possible` happen.
async fn check_transitions(past: &[&str], possible: &[&str]) {
    for transition in ["promote", "demote", "archive", "revoke"] {
        let mut database = Database::with_keys(&[signing_key(1, KeyState::Pending)]).await;
        for step in past {
            assert!(database.transition(step).await, "{step}");
        }
        let before = database.ring().await;

        let changed = database.transition(transition).await;

        assert_eq!(changed, possible.contains(&transition), "{transition} after {past:?}");
        assert_eq!(changed, database.ring().await != before, "{transition} after {past:?}");
    }
}

#[tokio::test]
async fn a_signing_key_changes_only_to_states_that_follow_its_own() {
    check_transitions(&[], &["promote", "archive", "revoke"]).await;
    check_transitions(&["promote"], &["demote", "revoke"]).await;
    check_transitions(&["promote", "demote"], &["archive", "revoke"]).await;
    check_transitions(&["promote", "demote", "archive"], &[]).await;
    check_transitions(&["revoke"], &[]).await;
}

#[tokio::test]
async fn revoking_destroys_the_private_half() {
    let mut database = Database::with_keys(&[signing_key(1, active())]).await;

    database.transition("revoke").await;

    assert_eq!(database.ring().await, [(KeyState::Revoked { revoked_at: second(9) }, false)]);
}

#[tokio::test]
async fn no_second_key_that_signs_is_added() {
    let mut database = Database::with_keys(&[signing_key(1, active())]).await;

    let inserted = signing_keys::insert(database.conn(), tenant_id(1), &signing_key(2, active())).await;

    assert!(matches!(inserted, Err(StoreError::Conflict(_))), "{inserted:?}");
}

#[tokio::test]
async fn no_key_is_promoted_beside_one_that_signs() {
    let mut database = Database::with_keys(&[signing_key(1, active()), signing_key(2, KeyState::Pending)]).await;

    let promoted = signing_keys::promote(database.conn(), tenant_id(1), &kid(2), &at(second(9))).await;

    assert!(matches!(promoted, Err(StoreError::Conflict(_))), "{promoted:?}");
}

#[tokio::test]
async fn the_key_of_another_tenant_does_not_change() {
    let mut database = Database::with_keys(&[signing_key(1, KeyState::Pending)]).await;

    let changed = signing_keys::promote(database.conn(), tenant_id(2), &kid(1), &at(second(9))).await.unwrap();

    assert!(!changed);
    assert_eq!(database.ring().await, [(KeyState::Pending, true)]);
}

#[tokio::test]
async fn a_signing_key_is_read_as_it_was_published() {
    let mut database = Database::with_keys(&[signing_key(2, KeyState::Pending), signing_key(1, active())]).await;

    let stored = signing_keys::of_tenant(database.conn(), tenant_id(1)).await.unwrap();

    assert_eq!(stored[0].key, signing_key(1, active()).key);
    assert_eq!((stored[0].public_jwk.as_str(), stored[0].private_half.as_deref()), ("jwk 1", Some("jwe 1")));
    assert_eq!(stored[1].key, signing_key(2, KeyState::Pending).key);
}

#[tokio::test]
async fn tenants_whose_keys_changed_are_listed_in_the_order_of_their_changes() {
    let mut database = Database::open().await;
    for number in 1..=4 {
        tenants::insert(database.conn(), &tenant(number)).await.unwrap();
    }

    for number in [1, 2, 3, 1] {
        tenants::touch_keys(database.conn(), tenant_id(number)).await.unwrap();
    }

    let changed = tenants::changed_since(database.conn(), 0, 2).await.unwrap();
    let known = changed[1].0;
    let rest = tenants::changed_since(database.conn(), known, 2).await.unwrap();
    let newest = rest[0].0;
    let names = |changed: &[(i64, signet::store::Result<Tenant>)]| {
        changed.iter().map(|(_, tenant)| tenant.as_ref().unwrap().id).collect::<Vec<_>>()
    };
    assert_eq!(names(&changed), [2, 3].map(tenant_id));
    assert_eq!(names(&rest), [tenant_id(1)]);
    assert!(tenants::changed_since(database.conn(), newest, 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_tenant_is_the_default() {
    let mut database = Database::with_tenant().await;
    assert!(tenants::default(database.conn()).await.unwrap().is_none());
    tenants::insert(database.conn(), &Tenant { is_default: true, ..tenant(2) }).await.unwrap();
    assert_eq!(tenants::default(database.conn()).await.unwrap().unwrap().id, tenant_id(2));

    let second_default = tenants::insert(database.conn(), &Tenant { is_default: true, ..tenant(3) }).await;

    assert!(matches!(second_default, Err(StoreError::Conflict(_))), "{second_default:?}");
}

#[tokio::test]
async fn tenants_are_listed_in_pages() {
    let mut database = Database::open().await;
    for number in 1..=3 {
        tenants::insert(database.conn(), &tenant(number)).await.unwrap();
    }

    let first = tenants::list(database.conn(), None, 2).await.unwrap();
    let rest = tenants::list(database.conn(), Some(first[1].id), 2).await.unwrap();

    let names = |page: &[Tenant]| page.iter().map(|tenant| tenant.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["tenant 1", "tenant 2"]);
    assert_eq!(names(&rest), ["tenant 3"]);
}

#[tokio::test]
async fn an_api_key_is_found_by_its_digest_until_it_is_revoked() {
    let mut database = Database::with_tenant().await;
    let key = api_key(1, Some(1));
    api_keys::insert(database.conn(), &key, &[7; 32]).await.unwrap();

    let found = api_keys::find(database.conn(), &[7; 32]).await.unwrap().unwrap();
    let unknown = api_keys::find(database.conn(), &[8; 32]).await.unwrap();
    let revoked = api_keys::revoke(database.conn(), key.id, None, second(5)).await.unwrap();

    assert_eq!((found.id, found.tenant_id, found.scopes), (key.id, key.tenant_id, key.scopes));
    assert_eq!((found.label, found.tail, found.created_at), (key.label, key.tail, key.created_at));
    assert!(unknown.is_none());
    assert!(revoked);
    assert!(api_keys::find(database.conn(), &[7; 32]).await.unwrap().is_none());
}

#[tokio::test]
async fn an_api_key_is_revoked_once_and_only_by_its_own_tenant() {
    let mut database = Database::with_tenant().await;
    let id = api_key(1, Some(1)).id;
    api_keys::insert(database.conn(), &api_key(1, Some(1)), &[1; 32]).await.unwrap();

    let by_another = api_keys::revoke(database.conn(), id, Some(tenant_id(2)), second(5)).await.unwrap();
    let by_its_own = api_keys::revoke(database.conn(), id, Some(tenant_id(1)), second(6)).await.unwrap();
    let again = api_keys::revoke(database.conn(), id, Some(tenant_id(1)), second(7)).await.unwrap();

    let listed = api_keys::list(database.conn(), None, None, 9).await.unwrap();
    assert_eq!((by_another, by_its_own, again), (false, true, false));
    assert_eq!(listed[0].revoked_at, Some(second(6)));
}

#[tokio::test]
async fn api_keys_are_listed_in_pages_of_one_tenant_or_of_all() {
    let mut database = Database::with_tenant().await;
    for (number, tenant) in [(1, Some(1)), (2, None), (3, Some(1))] {
        api_keys::insert(database.conn(), &api_key(number, tenant), &[number; 32]).await.unwrap();
    }

    let all = api_keys::list(database.conn(), None, None, 2).await.unwrap();
    let rest = api_keys::list(database.conn(), None, Some(all[1].id), 2).await.unwrap();
    let of_one = api_keys::list(database.conn(), Some(tenant_id(1)), None, 9).await.unwrap();

    let labels = |page: &[ApiKey]| page.iter().map(|key| key.label.clone()).collect::<Vec<_>>();
    assert_eq!(labels(&all), ["key 1", "key 2"]);
    assert_eq!(labels(&rest), ["key 3"]);
    assert_eq!(labels(&of_one), ["key 1", "key 3"]);
}
