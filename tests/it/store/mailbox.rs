//! What waits to be collected: handed over again and again until it is taken out, the oldest first, and by one at a time while it is
//! leased.

use std::sync::Arc;

use signet::domain::delivery::{DeliveryKey, DeliveryState, Ending};
use signet::domain::time::Timestamp;
use signet::domain::webhook::{DeliveryMethod, Webhook};
use signet::store::deliveries::{self, Ended, Filter};
use signet::store::mailbox::{self, HandOver, Mail, Pile, Taken};
use signet::store::{events, pull_keys, webhooks};

use super::{Database, event, event_id, second, tenant_id, webhook, webhook_id};

fn key(webhook: u8, event: u16) -> DeliveryKey {
    DeliveryKey { webhook_id: webhook_id(webhook), event_id: event_id(event) }
}

/// What came in at this second.
pub(super) fn mail(webhook: u8, event: u16, at: i64) -> Mail {
    Mail { key: key(webhook, event), entered_at: second(at), available_at: second(at), attempts: 0 }
}

impl Database {
    async fn with_mail(mail: &[Mail]) -> Self {
        let mut database = Self::open().await;
        mailbox::insert(database.conn(), mail).await.unwrap();
        database
    }

    /// The events that may be handed over of webhook 1, and how often they were.
    async fn available(&mut self, now: Timestamp, limit: u32) -> Vec<(u16, u32)> {
        let waiting = mailbox::available(self.conn(), webhook_id(1), now, limit).await.unwrap();
        let number = |id: &signet::domain::id::EventId| u16::from_be_bytes([id.as_bytes()[4], id.as_bytes()[5]]);
        waiting.iter().map(|waiting| (number(&waiting.event_id), waiting.attempts)).collect()
    }

    async fn hand_over(&mut self, events: &[u16], now: Timestamp, until: Timestamp) {
        let given: Vec<_> =
            events.iter().map(|number| HandOver { event_id: event_id(*number), kid: Some("kid") }).collect();
        mailbox::hand_over(self.conn(), webhook_id(1), &given, (now, until)).await.unwrap();
    }
}

#[tokio::test]
async fn the_oldest_event_comes_first_however_late_it_came_in() {
    let mut database = Database::with_mail(&[mail(1, 3, 0), mail(1, 1, 5), mail(1, 2, 1), mail(2, 9, 0)]).await;

    assert_eq!(database.available(second(1), 9).await, [(2, 0), (3, 0)]);
    assert_eq!(database.available(second(5), 9).await, [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(database.available(second(5), 2).await, [(1, 0), (2, 0)]);
}

#[tokio::test]
async fn what_is_leased_is_available_again_when_the_lease_ends() {
    let mut database = Database::with_mail(&[mail(1, 1, 0), mail(1, 2, 0)]).await;

    database.hand_over(&[1], second(1), second(61)).await;
    let (during, after) = (database.available(second(60), 9).await, database.available(second(61), 9).await);
    mailbox::hasten(database.conn(), &[key(1, 1), key(1, 7)], second(2)).await.unwrap();

    assert_eq!((during, after), (vec![(2, 0)], vec![(1, 1), (2, 0)]));
    assert_eq!(database.available(second(2), 9).await, [(1, 1), (2, 0)]);
}

#[tokio::test]
async fn those_are_found_who_have_something_at_this_moment() {
    let mut database = Database::with_mail(&[mail(1, 1, 0), mail(2, 1, 5)]).await;
    let ids = [1, 2, 3].map(webhook_id);

    let now = mailbox::with_available(database.conn(), &ids, second(4)).await.unwrap();
    let later = mailbox::with_available(database.conn(), &ids, second(5)).await.unwrap();

    assert_eq!((now, later), (vec![webhook_id(1)], vec![webhook_id(1), webhook_id(2)]));
}

#[tokio::test]
async fn what_is_taken_out_is_taken_once_with_what_is_known_of_it() {
    let mut database = Database::with_mail(&[mail(1, 1, 0), mail(1, 2, 0)]).await;
    database.hand_over(&[1], second(1), second(1)).await;
    database.hand_over(&[1], second(2), second(2)).await;

    let asked = [key(1, 2), key(1, 1), key(1, 1), key(1, 9), key(2, 1)];
    let mut taken = mailbox::take(database.conn(), &asked).await.unwrap();
    let again = mailbox::take(database.conn(), &asked).await.unwrap();

    taken.sort_by_key(|taken| taken.key);
    let handed = Taken { key: key(1, 1), attempts: 2, handed_over_at: Some(second(2)), kid: Some("kid".to_owned()) };
    let never = Taken { key: key(1, 2), attempts: 0, handed_over_at: None, kid: None };
    assert_eq!((taken, again), (vec![handed, never], vec![]));
}

#[tokio::test]
async fn what_is_in_history_or_waits_already_is_not_put_in_again() {
    let mut database = Database::with_mail(&[mail(1, 1, 0)]).await;
    let ended = Ended { key: key(1, 2), ending: Ending::Delivered, attempts: 1, at: second(1) };
    deliveries::append_made(database.conn(), &[ended]).await.unwrap();

    let all = [1, 2, 3].map(|event| mail(1, event, 9));
    mailbox::insert_missing(database.conn(), &all).await.unwrap();

    assert_eq!(database.available(second(9), 9).await, [(1, 0), (3, 0)]);
    assert!(mailbox::holds(database.conn(), key(1, 1)).await.unwrap());
    assert!(!mailbox::holds(database.conn(), key(1, 2)).await.unwrap());
}

#[tokio::test]
async fn all_of_a_tenant_who_pull_and_are_enabled_get_what_is_for_all() {
    let mut database = Database::with_tenant().await;
    for (number, method) in [(1, DeliveryMethod::Pull), (2, DeliveryMethod::Push), (3, DeliveryMethod::Pull)] {
        let webhook = Webhook { method, ..webhook(number, &["user"]) };
        webhooks::insert(database.conn(), &webhook, "jwe").await.unwrap();
    }
    webhooks::delete(database.conn(), tenant_id(1), webhook_id(3), second(0)).await.unwrap();

    let told = mailbox::insert_for_all(database.conn(), tenant_id(1), event_id(1), (second(0), second(3))).await;

    assert_eq!(told.unwrap(), 1);
    assert_eq!(
        (database.available(second(2), 9).await, database.available(second(3), 9).await),
        (vec![], vec![(1, 0)])
    );
}

#[tokio::test]
async fn piles_tell_whose_they_are_and_how_old() {
    let mut database = Database::with_tenant().await;
    for number in [1, 2] {
        webhooks::insert(database.conn(), &webhook(number, &["user"]), "jwe").await.unwrap();
    }
    webhooks::delete(database.conn(), tenant_id(1), webhook_id(2), second(0)).await.unwrap();
    let all = [mail(1, 5, 0), mail(1, 4, 3), mail(1, 6, 0), mail(2, 1, 0)];
    mailbox::insert(database.conn(), &all).await.unwrap();

    let piles = mailbox::piles(database.conn()).await.unwrap();
    let left = mailbox::left_since(database.conn(), webhook_id(1), (event_id(6), second(3)), 9).await.unwrap();

    let pile =
        |number, oldest, is_deleted| Pile { webhook_id: webhook_id(number), oldest: event_id(oldest), is_deleted };
    assert_eq!(piles, [pile(1, 4, false), pile(2, 1, true)]);
    assert_eq!(left, [key(1, 5)], "one came in later, and one is younger");
    assert_eq!(webhooks::forget(database.conn(), second(9), 9).await.unwrap(), 0, "something waits for it still");
    mailbox::take(database.conn(), &[key(2, 1)]).await.unwrap();
    assert_eq!(webhooks::forget(database.conn(), second(9), 9).await.unwrap(), 1);
}

#[tokio::test]
async fn the_log_shows_what_waits_and_when_it_was_handed_over() {
    let mut database = Database::with_tenant().await;
    webhooks::insert(database.conn(), &webhook(1, &["user"]), "jwe").await.unwrap();
    let told = [1, 2].map(|number| Arc::new(event(number, "user.created")));
    events::insert(database.conn(), &told).await.unwrap();
    mailbox::insert(database.conn(), &[mail(1, 1, 0), mail(1, 2, 0)]).await.unwrap();
    database.hand_over(&[1], second(7), second(67)).await;

    let of = |states: &[&'static str]| Filter { before: None, from: None, states: states.to_vec(), event_type: None };
    let pending = deliveries::list(database.conn(), webhook_id(1), &of(&["pending"]), 9).await.unwrap();
    let ended = deliveries::list(database.conn(), webhook_id(1), &of(&["delivered", "failed"]), 9).await.unwrap();
    let of_event = deliveries::of_event(database.conn(), tenant_id(1), event_id(1), 9).await.unwrap();

    let shown =
        |delivery: &signet::domain::delivery::Delivery| (delivery.key, delivery.attempts, delivery.last_attempt_at);
    assert_eq!(pending.iter().map(shown).collect::<Vec<_>>(), [(key(1, 2), 0, None), (key(1, 1), 1, Some(second(7)))]);
    assert_eq!(pending[1].state, DeliveryState::Pending { due_at: Some(second(67)) });
    assert_eq!((ended.len(), of_event.iter().map(shown).collect::<Vec<_>>()), (0, vec![shown(&pending[1])]));
}

#[tokio::test]
async fn a_pull_key_is_found_until_it_ends_and_no_rotation_prolongs_it() {
    let mut database = Database::with_tenant().await;
    webhooks::insert(database.conn(), &webhook(1, &["user"]), "jwe").await.unwrap();
    let (one, other) = ([1; 32], [2; 32]);
    pull_keys::insert(database.conn(), webhook_id(1), &one, second(0)).await.unwrap();

    assert_eq!(pull_keys::end(database.conn(), webhook_id(1), second(10), second(0)).await.unwrap(), 1);
    pull_keys::insert(database.conn(), webhook_id(1), &other, second(0)).await.unwrap();
    assert_eq!(pull_keys::end(database.conn(), webhook_id(1), second(99), second(1)).await.unwrap(), 2);

    let mut found = async |digest, now| pull_keys::find(database.conn(), digest, second(now)).await.unwrap();
    assert_eq!([found(&one, 9).await, found(&one, 10).await], [Some(webhook_id(1)), None]);
    assert_eq!([found(&other, 98).await, found(&other, 99).await], [Some(webhook_id(1)), None]);
    assert_eq!(pull_keys::end(database.conn(), webhook_id(1), second(50), second(50)).await.unwrap(), 0);
}
