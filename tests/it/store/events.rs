//! Events, and the names under which they were asked for.

use std::sync::Arc;

use signet::domain::event::{Event, Receipt};
use signet::domain::id::EventId;
use signet::store::idempotency::{self, Named, Remembered};
use signet::store::{StoreError, events};

use super::{Database, event, event_id, event_type, second, tenant_id};

fn named(tenant: u8, key: &str) -> Named {
    Named { tenant_id: tenant_id(tenant), key: key.to_owned(), fingerprint: [tenant; 32] }
}

fn ids(events: &[Event]) -> Vec<EventId> {
    let mut ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    ids
}

impl Database {
    async fn with_events(count: u16) -> Self {
        let mut database = Self::open().await;
        let told: Vec<Arc<Event>> = (1..=count).map(|number| Arc::new(event(number, "user.created"))).collect();
        events::insert(database.conn(), &told).await.unwrap();
        database
    }

    async fn remembered(&mut self, named: &Named) -> Option<Remembered> {
        let mut found = idempotency::find(self.conn(), &[named]).await.unwrap();
        found.remove(&(named.tenant_id, named.key.clone()))
    }
}

#[tokio::test]
async fn an_event_is_read_as_it_was_told() {
    let told = Arc::new(Event {
        payload: r#"{"n":1.0,"big":12345678901234567890123,"s":"\u0000 ä"}"#.into(),
        deliveries: 3,
        ..event(1, "user.created")
    });
    let mut database = Database::open().await;

    events::insert(database.conn(), std::slice::from_ref(&told)).await.unwrap();

    let found = events::get(database.conn(), tenant_id(1), event_id(1)).await.unwrap().unwrap();
    assert_eq!(found.payload, told.payload);
    assert_eq!((found.event_type, found.deliveries), (told.event_type.clone(), 3));
    assert_eq!((found.occurred_at, found.accepted_at), (second(-1), second(0)));
}

#[tokio::test]
async fn an_event_of_another_tenant_is_not_found() {
    let mut database = Database::with_events(1).await;

    let found = events::get(database.conn(), tenant_id(2), event_id(1)).await.unwrap();
    let listed = events::list(database.conn(), tenant_id(2), None, 9).await.unwrap();

    assert!(found.is_none());
    assert!(listed.is_empty());
}

#[tokio::test]
async fn sets_of_events_are_written_and_read_whole() {
    let mut database = Database::with_events(600).await;

    let wanted: Vec<EventId> = (1..=700).map(event_id).collect();
    let found = events::by_ids(database.conn(), &wanted).await.unwrap();
    let found: Vec<Event> = found.into_iter().map(Result::unwrap).collect();
    let none = events::by_ids(database.conn(), &[]).await.unwrap();

    assert_eq!(ids(&found), wanted[..600]);
    assert!(none.is_empty());
}

#[tokio::test]
async fn events_are_listed_newest_first_in_pages() {
    let mut database = Database::with_events(5).await;

    let first = events::list(database.conn(), tenant_id(1), None, 3).await.unwrap();
    let rest = events::list(database.conn(), tenant_id(1), Some(first[2].id), 3).await.unwrap();

    let in_order = |page: &[Event]| page.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(in_order(&first), [5, 4, 3].map(event_id));
    assert_eq!(in_order(&rest), [2, 1].map(event_id));
}

#[tokio::test]
async fn receipts_come_in_the_order_that_was_asked_for() {
    let mut database = Database::with_events(3).await;

    let receipts = events::receipts(database.conn(), &[3, 1].map(event_id)).await.unwrap();

    let receipt =
        |number| Receipt { event_id: event_id(number), event_type: event_type("user.created"), deliveries: 1 };
    assert_eq!(receipts, [receipt(3), receipt(1)]);
}

#[tokio::test]
async fn an_idempotency_key_remembers_what_was_asked_and_every_event_that_came_of_it() {
    let mut database = Database::open().await;

    let made = [2, 1, 3].map(event_id).to_vec();
    idempotency::insert(database.conn(), &[(named(1, "a"), made.clone())], second(0)).await.unwrap();

    let remembered = database.remembered(&named(1, "a")).await;
    assert_eq!(remembered, Some(Remembered { fingerprint: vec![1; 32], event_ids: made }));
}

#[tokio::test]
async fn the_idempotency_keys_of_tenants_are_apart() {
    let mut database = Database::open().await;

    let rows = [(named(1, "a"), vec![event_id(1)]), (named(2, "b"), vec![event_id(2)])];
    idempotency::insert(database.conn(), &rows, second(0)).await.unwrap();

    assert!(database.remembered(&named(2, "a")).await.is_none());
    assert!(database.remembered(&named(1, "b")).await.is_none());
    assert!(database.remembered(&named(2, "b")).await.is_some());
}

#[tokio::test]
async fn an_idempotency_key_is_used_once() {
    let mut database = Database::open().await;
    idempotency::insert(database.conn(), &[(named(1, "a"), vec![event_id(1)])], second(0)).await.unwrap();

    let again = idempotency::insert(database.conn(), &[(named(1, "a"), vec![event_id(2)])], second(1)).await;

    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

#[tokio::test]
async fn the_oldest_idempotency_keys_are_forgotten_first_and_no_more_than_the_limit() {
    let mut database = Database::open().await;
    for (key, at) in [("c", 3), ("a", 1), ("b", 2), ("kept", 10)] {
        idempotency::insert(database.conn(), &[(named(1, key), Vec::new())], second(at)).await.unwrap();
    }

    let first = idempotency::forget(database.conn(), second(10), 2).await.unwrap();
    let (older, newer) = (database.remembered(&named(1, "b")).await, database.remembered(&named(1, "c")).await);
    let rest = idempotency::forget(database.conn(), second(10), 2).await.unwrap();

    assert_eq!((first, rest), (2, 1));
    assert_eq!((older.is_some(), newer.is_some()), (false, true));
    assert!(database.remembered(&named(1, "kept")).await.is_some());
}
