//! History: days of it are forgotten whole, in batches, and never what is still owed.

use std::sync::Arc;
use std::time::Duration;

use signet::domain::delivery::{Attempt, DeliveryKey, Ending, Outcome};
use signet::domain::event::Event;
use signet::domain::id::EventId;
use signet::domain::time::Timestamp;
use signet::store::deliveries::{self, Ended};
use signet::store::queue::{self, Entry};
use signet::store::{events, history, webhooks};

use super::{Database, second, tenant_id, webhook, webhook_id};

const DAY: Duration = Duration::from_hours(24);

/// Noon on a day of the tests.
fn day(number: u32) -> Timestamp {
    second(0).start_of_day().plus(DAY * number).plus(DAY / 2)
}

/// The event with this number among those of a day.
fn event_of(day: Timestamp, number: u8) -> EventId {
    let first = u128::from_be_bytes(*EventId::first_at(day).as_bytes());
    EventId::from_bytes((first + u128::from(number)).to_be_bytes())
}

impl Database {
    /// An event that was delivered to webhook 1 at once.
    async fn delivered(&mut self, id: EventId) {
        self.told(id).await;
        let key = DeliveryKey { webhook_id: webhook_id(1), event_id: id };
        let ended = Ended { key, ending: Ending::Delivered, attempts: 1, at: id.accepted_at() };
        deliveries::append(self.conn(), &[ended]).await.unwrap();
        let attempt = Attempt {
            number: 1,
            started_at: id.accepted_at(),
            took_for: Duration::from_millis(1),
            outcome: Outcome::Answered { status_code: 204, retry_after: None },
            excerpt: String::new(),
            kid: None,
        };
        deliveries::append_attempts(self.conn(), &[(key, &attempt)]).await.unwrap();
    }

    async fn open_days(&mut self, now: Timestamp, ahead: u32) {
        for room in history::missing_days(self.conn(), now, ahead).await.unwrap() {
            history::open_day(self.conn(), room).await.unwrap();
        }
    }

    /// Deletes what lies in no room of its own, in batches.
    async fn forget(&mut self, before: EventId, batch: u32) {
        for webhook_id in history::with_deliveries_before(self.conn(), before).await.unwrap() {
            while history::forget_deliveries(self.conn(), webhook_id, before, batch).await.unwrap() > 0 {}
        }
        while history::forget_events(self.conn(), before, batch).await.unwrap() > 0 {}
    }

    async fn told(&mut self, id: EventId) {
        let event = Event { id, ..super::event(1, "user.created") };
        events::insert(self.conn(), &[Arc::new(event)]).await.unwrap();
    }

    /// How many of these events, their deliveries to webhook 1 and their attempts there are.
    async fn count(&mut self, ids: &[EventId]) -> (usize, usize, usize) {
        let events = events::by_ids(self.conn(), ids).await.unwrap().len();
        let (mut ended, mut attempts) = (0, 0);
        for id in ids {
            ended += deliveries::of_event(self.conn(), tenant_id(1), *id, 9).await.unwrap().len();
            let key = DeliveryKey { webhook_id: webhook_id(1), event_id: *id };
            attempts += deliveries::attempts(self.conn(), key).await.unwrap().len();
        }
        (events, ended, attempts)
    }
}

async fn database_with_days(days: &[u32]) -> (Database, Vec<EventId>) {
    let mut database = Database::with_tenant().await;
    webhooks::insert(database.conn(), &webhook(1, &["user"]), "jwe").await.unwrap();
    let mut ids = Vec::new();
    for number in days {
        database.open_days(day(*number), 1).await;
        for event in [1, 2] {
            let id = event_of(day(*number), event);
            database.delivered(id).await;
            ids.push(id);
        }
    }
    (database, ids)
}

#[tokio::test]
async fn days_that_ended_before_are_forgotten_and_the_others_are_kept() {
    let (mut database, ids) = database_with_days(&[1, 2, 5]).await;
    assert_eq!(database.count(&ids).await, (6, 6, 6));
    let before = day(3).start_of_day();

    while history::drop_day(database.conn(), before).await.unwrap() {}
    database.forget(EventId::first_at(before), 500).await;

    assert_eq!(database.count(&ids).await, (2, 2, 2));
    assert_eq!(database.count(&ids[4..]).await, (2, 2, 2));
}

#[tokio::test]
async fn what_has_no_room_of_its_own_is_forgotten_in_batches() {
    let mut database = Database::with_tenant().await;
    webhooks::insert(database.conn(), &webhook(1, &["user"]), "jwe").await.unwrap();
    let ids: Vec<EventId> = (1..=9).map(|number| event_of(day(1), number)).collect();
    for id in &ids {
        database.delivered(*id).await;
    }
    let before = EventId::first_at(day(2));

    let deleted = history::forget_deliveries(database.conn(), webhook_id(1), before, 4).await.unwrap();
    let after_one = database.count(&ids).await;
    database.forget(before, 4).await;

    assert_eq!((deleted, after_one), (4, (9, 5, 5)));
    assert_eq!(database.count(&ids).await, (0, 0, 0));
}

#[tokio::test]
async fn room_is_made_once() {
    let mut database = Database::open().await;

    database.open_days(day(1), 2).await;
    database.open_days(day(2), 2).await;
    assert_eq!(history::missing_days(database.conn(), day(2), 2).await.unwrap(), []);

    database.told(event_of(day(4), 1)).await;
    assert_eq!(events::by_ids(database.conn(), &[event_of(day(4), 1)]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_oldest_event_that_is_owed_is_known_whoever_waits_for_it() {
    let mut database = Database::open().await;
    assert_eq!(history::oldest_queued(database.conn()).await.unwrap(), None);
    let due = |webhook: u8, id: EventId| Entry {
        key: DeliveryKey { webhook_id: webhook_id(webhook), event_id: id },
        due_at: second(0),
        attempts: 0,
        node_id: None,
    };
    let [older, newer] = [event_of(day(1), 1), event_of(day(9), 1)];

    queue::insert(database.conn(), &[due(1, newer), due(2, older), due(2, newer), due(3, newer)]).await.unwrap();

    assert_eq!(history::oldest_queued(database.conn()).await.unwrap(), Some(older));
}

#[tokio::test]
async fn a_deleted_webhook_is_forgotten_once_its_log_is() {
    let (mut database, ids) = database_with_days(&[1]).await;
    webhooks::delete(database.conn(), tenant_id(1), webhook_id(1), day(1)).await.unwrap();

    let with_log = webhooks::forget(database.conn(), day(9), 9).await.unwrap();
    while history::drop_day(database.conn(), day(9)).await.unwrap() {}
    database.forget(EventId::first_at(day(9)), 500).await;
    let too_soon = webhooks::forget(database.conn(), day(1), 9).await.unwrap();
    let in_time = webhooks::forget(database.conn(), day(9), 9).await.unwrap();

    assert_eq!((with_log, too_soon, in_time), (0, 0, 1));
    assert_eq!(database.count(&ids).await, (0, 0, 0));
}
