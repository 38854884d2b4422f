//! Records that are sealed under a master key: read page by page, exchanged only if nobody was there before.

use std::time::Duration;

use signet::domain::key_ring::{Key, KeyState, Kid, ServiceTime, Situation};
use signet::domain::token::Algorithm;
use signet::store::sealed::{self, PrivateHalf, WebhookSecret};
use signet::store::signing_keys::{self, Half, StoredKey};
use signet::store::{settings, tenants, webhooks};

use super::{Database, second, tenant, tenant_id, webhook, webhook_id};
use crate::support::within;

fn kid(number: u8) -> Kid {
    Kid::from_text(format!("kid {number}"))
}

impl Database {
    /// Two tenants with two keys each, and three webhooks.
    async fn with_records() -> Self {
        let mut database = Self::with_tenant().await;
        tenants::insert(database.conn(), &tenant(2)).await.unwrap();
        for number in 1..=4 {
            let state = match number % 2 {
                1 => KeyState::Active { activated_at: second(1) },
                _ => KeyState::Pending,
            };
            let key = Key {
                kid: kid(number),
                algorithm: Algorithm::Es256,
                publication: 1,
                published_at: second(0),
                version: 1,
                since: ServiceTime::ZERO,
                missed_at: None,
                state,
            };
            let stored = StoredKey { key, public_jwk: "jwk".to_owned(), private_half: Some(format!("half {number}")) };
            signing_keys::insert(database.conn(), tenant_id(number.div_ceil(2)), &stored).await.unwrap();
        }
        for number in 1..=3 {
            webhooks::insert(database.conn(), &webhook(number, &["*"]), &format!("secret {number}")).await.unwrap();
        }
        database
    }

    async fn halves(&mut self) -> Vec<PrivateHalf> {
        sealed::private_halves(self.conn(), None, 10).await.unwrap()
    }

    async fn secrets(&mut self) -> Vec<WebhookSecret> {
        sealed::webhook_secrets(self.conn(), None, 10).await.unwrap()
    }
}

#[tokio::test]
async fn every_sealed_record_is_on_one_page() {
    let mut database = Database::with_records().await;
    let (mut halves, mut secrets) = (Vec::new(), Vec::new());

    let mut after = None;
    while let Some(half) = sealed::private_halves(database.conn(), after.as_ref(), 1).await.unwrap().pop() {
        halves.push(half.text);
        after = Some((half.tenant_id, half.kid));
    }
    let mut after = None;
    while let Some(secret) = sealed::webhook_secrets(database.conn(), after, 1).await.unwrap().pop() {
        secrets.push(secret.text);
        after = Some(secret.webhook_id);
    }

    assert_eq!(halves, ["half 1", "half 2", "half 3", "half 4"]);
    assert_eq!(secrets, ["secret 1", "secret 2", "secret 3"]);
}

#[tokio::test]
async fn a_private_half_that_was_destroyed_meanwhile_stays_destroyed() {
    let mut database = Database::with_records().await;
    let read = database.halves().await;
    let at = Situation { now: second(2), service_time: ServiceTime::ZERO, served_version: 1 };
    signing_keys::demote(database.conn(), tenant_id(1), &kid(1), &at).await.unwrap();

    let first = sealed::exchange_private_half(database.conn(), &read[0], "again").await.unwrap();
    let second = sealed::exchange_private_half(database.conn(), &read[1], "again").await.unwrap();
    let twice = sealed::exchange_private_half(database.conn(), &read[1], "once more").await.unwrap();

    assert_eq!((first, second, twice), (false, true, false));
    let texts: Vec<String> = database.halves().await.into_iter().map(|half| half.text).collect();
    assert_eq!(texts, ["again", "half 3", "half 4"]);
    let mut halves = Vec::new();
    for number in [1, 2, 9] {
        halves.push(signing_keys::half_of(database.conn(), tenant_id(1), &kid(number)).await.unwrap());
    }
    assert_eq!(halves, [Half::Destroyed, Half::Kept, Half::NoRow]);
}

#[tokio::test]
async fn exchanging_a_secret_leaves_the_webhook_and_its_version_as_they_are() {
    let mut database = Database::with_records().await;
    let read = database.secrets().await;
    let mut changed = webhook(1, &["*"]);
    changed.description = "changed meanwhile".to_owned();
    assert!(webhooks::update(database.conn(), &changed, None).await.unwrap());

    assert!(sealed::exchange_webhook_secret(database.conn(), &read[0], "again").await.unwrap());
    assert!(!sealed::exchange_webhook_secret(database.conn(), &read[0], "once more").await.unwrap());

    let found = webhooks::get(database.conn(), tenant_id(1), webhook_id(1)).await.unwrap().unwrap();
    assert_eq!((found.description.as_str(), found.version), ("changed meanwhile", changed.version + 1));
    assert_eq!(database.secrets().await[0].text, "again");
}

#[tokio::test]
async fn what_is_held_is_not_changed_before_the_transaction_ends() {
    let Database { tx, store, _folder } = Database::open().await;
    tx.commit().await.unwrap();
    let mut tx = store.write().await.unwrap();
    settings::put(tx.conn(), settings::MASTER_KEY_CHECK, "one").await.unwrap();
    tx.commit().await.unwrap();

    let mut holding = store.write().await.unwrap();
    let held = settings::get_held(holding.conn(), settings::MASTER_KEY_CHECK).await.unwrap();
    let other = store.clone();
    let changing = tokio::spawn(async move {
        let mut tx = other.write().await.unwrap();
        settings::put(tx.conn(), settings::MASTER_KEY_CHECK, "another").await.unwrap();
        tx.commit().await.unwrap();
    });

    let early = within(Duration::from_millis(300), async || changing.is_finished().then_some(())).await;
    assert_eq!((held.as_deref(), early), (Some("one"), None));
    holding.commit().await.unwrap();
    changing.await.unwrap();
}
