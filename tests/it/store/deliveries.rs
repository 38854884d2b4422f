//! History, and the log that joins it with the queue.

use std::sync::Arc;

use std::time::Duration;

use signet::domain::delivery::{Attempt, Delivery, DeliveryKey, DeliveryState, Ending, FailureKind, Outcome};
use signet::domain::event::Event;
use signet::store::StoreError;
use signet::store::batch::{self, Settled};
use signet::store::deliveries::{self, Ended, Filter};
use signet::store::queue::{self, Entry};
use signet::store::{events, tenants, webhooks};

use super::{Database, event, event_id, event_type, node_id, second, tenant, tenant_id, webhook, webhook_id};

/// What the log of webhook 1 shows in every test that lists it, newest first.
const LOG: [(u16, &str); 6] =
    [(6, "pending"), (5, "failed"), (4, "cancelled"), (3, "exhausted"), (2, "delivered"), (1, "pending")];

fn key(webhook: u8, event: u16) -> DeliveryKey {
    DeliveryKey { webhook_id: webhook_id(webhook), event_id: event_id(event) }
}

fn ended(webhook: u8, event: u16, ending: Ending) -> Ended {
    Ended { key: key(webhook, event), ending, attempts: 1, at: second(9) }
}

fn attempt(number: u32, outcome: Outcome) -> Attempt {
    Attempt {
        number,
        started_at: second(i64::from(number)),
        took_for: Duration::from_micros(1_500),
        outcome,
        excerpt: format!("answer {number}"),
        kid: Some("a-key".to_owned()),
    }
}

fn answered(status_code: u16) -> Outcome {
    Outcome::Answered { status_code, retry_after: None }
}

fn everything() -> Filter {
    Filter { before: None, from: None, states: Vec::new(), event_type: None }
}

impl Database {
    /// Six deliveries of webhook 1 in every state, as [`LOG`] says, and one of webhook 2.
    async fn with_log() -> Self {
        let mut database = Self::open().await;
        let names = ["user.created", "user.deleted"];
        let told = |number| Arc::new(event(number, names[usize::from(number) % 2]));
        let told: Vec<Arc<Event>> = (1..=6).map(told).collect();
        events::insert(database.conn(), &told).await.unwrap();
        let waiting =
            |webhook, event| Entry { key: key(webhook, event), due_at: second(7), attempts: 0, node_id: None };
        let under_way = Entry { node_id: Some(node_id(1)), ..waiting(1, 6) };
        let failed = Entry { attempts: 2, ..waiting(1, 5) };
        queue::insert(database.conn(), &[waiting(1, 1), under_way, failed, waiting(2, 1)]).await.unwrap();
        let over = [ended(1, 2, Ending::Delivered), ended(1, 3, Ending::Exhausted), ended(1, 4, Ending::Cancelled)];
        deliveries::append(database.conn(), &over).await.unwrap();
        let [first, last, only] =
            [attempt(1, Outcome::Failed(FailureKind::Dns)), attempt(2, answered(503)), attempt(1, answered(204))];
        let attempts = [(key(1, 5), &first), (key(1, 5), &last), (key(1, 2), &only)];
        deliveries::append_attempts(database.conn(), &attempts).await.unwrap();
        database
    }

    async fn listed(&mut self, filter: &Filter, limit: u32) -> Vec<Delivery> {
        deliveries::list(self.conn(), webhook_id(1), filter, limit).await.unwrap()
    }

    /// Which of [`LOG`] a filter lets through.
    async fn shown(&mut self, filter: &Filter) -> Vec<(u16, &'static str)> {
        let listed = self.listed(filter, 100).await;
        let known = |delivery: &Delivery| {
            let of_log = LOG.into_iter().find(|(number, _)| event_id(*number) == delivery.key.event_id).unwrap();
            (of_log.0, delivery.state.as_str())
        };
        listed.iter().map(known).collect()
    }
}

#[tokio::test]
async fn the_log_merges_queue_and_history_newest_event_first() {
    let mut database = Database::with_log().await;

    let shown = database.shown(&everything()).await;

    assert_eq!(shown, LOG);
}

#[tokio::test]
async fn the_log_filters_by_any_set_of_states() {
    let mut database = Database::with_log().await;
    let sets = DeliveryState::NAMES.map(|name| vec![name]).into_iter();
    let sets = sets.chain([vec!["pending", "delivered"], vec!["failed", "exhausted", "cancelled"]]);

    for states in sets {
        let shown = database.shown(&Filter { states: states.clone(), ..everything() }).await;

        let wanted: Vec<_> = LOG.into_iter().filter(|(_, state)| states.contains(state)).collect();
        assert_eq!(shown, wanted, "{states:?}");
    }
}

#[tokio::test]
async fn a_delivery_that_was_acknowledged_and_is_asked_for_again_is_pending_in_every_view() {
    let mut database = Database::with_log().await;
    assert_eq!(deliveries::reopen(database.conn(), key(1, 2)).await.unwrap(), Some(1));
    let again = Entry { key: key(1, 2), due_at: second(7), attempts: 1, node_id: None };
    queue::insert(database.conn(), &[again]).await.unwrap();

    for state in DeliveryState::NAMES {
        let listed = database.listed(&Filter { states: vec![state], ..everything() }, 100).await;

        assert!(listed.iter().all(|delivery| delivery.state.as_str() == state), "{state}: {listed:?}");
    }
}

#[tokio::test]
async fn the_log_filters_by_event_type_and_all_beneath_it() {
    let mut database = Database::with_log().await;

    let shown = database.shown(&Filter { event_type: Some(event_type("user.deleted")), ..everything() }).await;
    let beneath = database.shown(&Filter { event_type: Some(event_type("user")), ..everything() }).await;
    let like = database.shown(&Filter { event_type: Some(event_type("user.delete")), ..everything() }).await;

    assert_eq!(shown, [LOG[1], LOG[3], LOG[5]]);
    assert_eq!((beneath.len(), like.len()), (LOG.len(), 0));
}

#[tokio::test]
async fn the_log_begins_with_from_and_ends_before_before() {
    let mut database = Database::with_log().await;

    let filter = Filter { from: Some(event_id(2)), before: Some(event_id(5)), ..everything() };
    let shown = database.shown(&filter).await;

    assert_eq!(shown, LOG[2..5]);
}

#[tokio::test]
async fn paging_through_the_log_shows_every_delivery_once() {
    let mut database = Database::with_log().await;

    let mut pages = Vec::new();
    let mut filter = everything();
    loop {
        let page = database.listed(&filter, 4).await;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.key.event_id);
        pages.push(page.iter().map(|delivery| delivery.key.event_id).collect::<Vec<_>>());
    }

    assert_eq!(pages, [[6, 5, 4, 3].map(event_id).to_vec(), [2, 1].map(event_id).to_vec()]);
}

#[tokio::test]
async fn the_log_shows_the_last_attempt_of_each_delivery() {
    let mut database = Database::with_log().await;

    let listed = database.listed(&everything(), 100).await;

    let attempts: Vec<u32> = listed.iter().map(|delivery| delivery.attempts).collect();
    assert_eq!(attempts, [0, 2, 1, 1, 1, 0]);
    assert_eq!((&listed[1].last_outcome, listed[1].last_attempt_at), (&Some(answered(503)), Some(second(2))));
    assert_eq!(listed[1].state, DeliveryState::Failed { due_at: Some(second(7)) });
    assert_eq!((&listed[4].last_outcome, listed[4].last_attempt_at), (&Some(answered(204)), Some(second(1))));
    assert_eq!(listed[4].state, DeliveryState::Ended { ending: Ending::Delivered, at: second(9) });
    assert_eq!((&listed[0].last_outcome, listed[0].last_attempt_at), (&None, None));
    assert_eq!(listed[0].event_type, event_type("user.created"));
}

#[tokio::test]
async fn attempts_are_read_in_order_as_they_were_logged() {
    let mut database = Database::with_log().await;

    let attempts = deliveries::attempts(database.conn(), key(1, 5)).await.unwrap();

    let outcomes: Vec<_> = attempts.iter().map(|attempt| (attempt.number, &attempt.outcome)).collect();
    assert_eq!(outcomes, [(1, &Outcome::Failed(FailureKind::Dns)), (2, &answered(503))]);
    assert_eq!(attempts[1].started_at, second(2));
    assert_eq!(attempts[1].took_for, Duration::from_micros(1_500));
    assert_eq!((attempts[1].excerpt.as_str(), attempts[1].kid.as_deref()), ("answer 2", Some("a-key")));
}

#[tokio::test]
async fn an_attempt_that_is_logged_twice_stays_as_it_was_first() {
    let mut database = Database::with_log().await;

    let again = attempt(2, answered(200));
    deliveries::append_attempts(database.conn(), &[(key(1, 5), &again)]).await.unwrap();

    let attempts = deliveries::attempts(database.conn(), key(1, 5)).await.unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[1].outcome, answered(503));
}

#[tokio::test]
async fn a_delivery_ends_once() {
    let mut database = Database::with_log().await;

    let again = deliveries::append(database.conn(), &[ended(1, 2, Ending::Exhausted)]).await;

    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

#[tokio::test]
async fn a_verdict_is_written_whatever_history_says_of_its_delivery_already() {
    let mut database = Database::with_log().await;
    // As both the queue and history had it when two had replayed it at the same time.
    let twice = Entry { key: key(1, 2), due_at: second(40), attempts: 0, node_id: Some(node_id(1)) };
    queue::insert(database.conn(), &[twice]).await.unwrap();
    let made = attempt(1, answered(200));

    let settled =
        Settled { ended: Ended { at: second(20), ..ended(1, 2, Ending::Delivered) }, fence: 1, attempt: Some(&made) };
    let held = batch::end(database.conn(), &[settled]).await.unwrap();

    assert_eq!(Vec::from_iter(held), [(key(1, 2), 1)]);
    assert!(!queue::holds(database.conn(), key(1, 2)).await.unwrap());
    let delivery = database.listed(&everything(), 100).await.into_iter().find(|one| one.key == key(1, 2)).unwrap();
    assert_eq!(delivery.state, DeliveryState::Ended { ending: Ending::Delivered, at: second(20) });
    assert_eq!(deliveries::attempts(database.conn(), key(1, 2)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn reopening_takes_a_delivery_out_of_history_and_says_how_often_it_was_tried() {
    let mut database = Database::with_log().await;

    let reopened = deliveries::reopen(database.conn(), key(1, 3)).await.unwrap();
    let again = deliveries::reopen(database.conn(), key(1, 3)).await.unwrap();

    assert_eq!((reopened, again), (Some(1), None));
    assert_eq!(database.shown(&everything()).await.len(), LOG.len() - 1);
}

#[tokio::test]
async fn an_event_shows_its_deliveries_to_the_webhooks_of_its_tenant_deleted_ones_included() {
    let mut database = Database::with_log().await;
    tenants::insert(database.conn(), &tenant(1)).await.unwrap();
    tenants::insert(database.conn(), &tenant(2)).await.unwrap();
    for number in [1, 2, 3] {
        let mut webhook = webhook(number, &["*"]);
        webhook.tenant_id = tenant_id(if number == 3 { 2 } else { 1 });
        webhooks::insert(database.conn(), &webhook, "jwe").await.unwrap();
    }
    webhooks::delete(database.conn(), tenant_id(1), webhook_id(2), second(9)).await.unwrap();
    deliveries::append(database.conn(), &[ended(3, 1, Ending::Delivered)]).await.unwrap();

    let found = deliveries::of_event(database.conn(), tenant_id(1), event_id(1), 9).await.unwrap();
    let first = deliveries::of_event(database.conn(), tenant_id(1), event_id(1), 1).await.unwrap();

    let keys = |found: &[Delivery]| found.iter().map(|delivery| delivery.key).collect::<Vec<_>>();
    assert_eq!(keys(&found), [key(1, 1), key(2, 1)]);
    assert_eq!(keys(&first), [key(1, 1)]);
}
