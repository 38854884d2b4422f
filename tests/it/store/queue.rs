//! The queue: claims, leases, and the number that fences off whoever lost its claim.

use signet::domain::delivery::{DeliveryKey, Ending};
use signet::domain::id::TenantId;
use signet::domain::time::Timestamp;
use signet::store::StoreError;
use signet::store::deliveries::{self, Ended};
use signet::store::queue::{self, Backlog, Entry, Lease, Postponed};

use super::{Database, event_id, node_id, second, webhook_id};

fn key(webhook: u8, event: u16) -> DeliveryKey {
    DeliveryKey { webhook_id: webhook_id(webhook), event_id: event_id(event) }
}

fn due(webhook: u8, event: u16, at: Timestamp) -> Entry {
    Entry { key: key(webhook, event), due_at: at, attempts: 0, node_id: None }
}

fn born_claimed(webhook: u8, event: u16, until: Timestamp) -> Entry {
    Entry { key: key(webhook, event), due_at: until, attempts: 0, node_id: Some(node_id(1)) }
}

impl Database {
    async fn queued(entries: &[Entry]) -> Self {
        let mut database = Self::open().await;
        queue::insert(database.conn(), entries).await.unwrap();
        database
    }

    /// Claims for node 1, for forty seconds; answers deliveries with the numbers of their claims.
    async fn claim(&mut self, webhook: u8, limit: u32, now: Timestamp) -> Vec<(DeliveryKey, u32)> {
        let lease = Lease { node_id: node_id(1), now, until: second(now.as_seconds() - second(0).as_seconds() + 40) };
        let claims = queue::claim(self.conn(), webhook_id(webhook), limit, &lease).await.unwrap();
        let mut claims: Vec<_> = claims.iter().map(|claim| (claim.key, claim.fence)).collect();
        claims.sort_unstable();
        claims
    }

    async fn next_due_at(&mut self, webhook: u8) -> Option<Timestamp> {
        queue::next_due_at(self.conn(), webhook_id(webhook)).await.unwrap()
    }
}

#[tokio::test]
async fn a_delivery_is_claimable_from_the_instant_at_which_it_is_due() {
    let mut database = Database::queued(&[due(1, 1, second(10))]).await;

    let before = database.claim(1, 9, Timestamp::from_micros(second(10).as_micros() - 1)).await;
    let then = database.claim(1, 9, second(10)).await;

    assert_eq!(before, []);
    assert_eq!(then, [(key(1, 1), 1)]);
}

#[tokio::test]
async fn a_claim_is_due_again_when_its_lease_ends() {
    let mut database = Database::queued(&[due(1, 1, second(0))]).await;

    database.claim(1, 9, second(0)).await;
    let during = database.claim(1, 9, second(39)).await;
    let after = database.claim(1, 9, second(40)).await;

    assert_eq!(during, []);
    assert_eq!(after, [(key(1, 1), 2)]);
}

#[tokio::test]
async fn a_delivery_born_claimed_is_not_claimable_before_its_lease_ends() {
    let mut database = Database::queued(&[born_claimed(1, 1, second(40))]).await;

    let during = database.claim(1, 9, second(39)).await;
    let after = database.claim(1, 9, second(40)).await;

    assert_eq!(during, []);
    assert_eq!(after, [(key(1, 1), 2)]);
}

#[tokio::test]
async fn the_longest_due_are_claimed_first_and_no_more_than_the_limit() {
    let entries = [due(1, 1, second(3)), due(1, 2, second(1)), due(1, 3, second(2)), due(1, 4, second(9))];
    let mut database = Database::queued(&entries).await;

    let first = database.claim(1, 2, second(5)).await;
    let rest = database.claim(1, 2, second(5)).await;

    assert_eq!(first, [(key(1, 2), 1), (key(1, 3), 1)]);
    assert_eq!(rest, [(key(1, 1), 1)]);
}

#[tokio::test]
async fn claiming_for_one_webhook_leaves_the_others_alone() {
    let mut database = Database::queued(&[due(1, 1, second(0)), due(2, 1, second(0))]).await;

    let claims = database.claim(1, 9, second(0)).await;

    assert_eq!(claims, [(key(1, 1), 1)]);
    assert_eq!(database.next_due_at(2).await, Some(second(0)));
}

#[tokio::test]
async fn an_event_is_queued_for_a_webhook_once() {
    let mut database = Database::queued(&[due(1, 1, second(0))]).await;

    let again = queue::insert(database.conn(), &[due(1, 1, second(5))]).await;

    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}

#[tokio::test]
async fn settling_under_a_number_that_a_later_claim_replaced_changes_nothing() {
    let mut database = Database::queued(&[due(1, 1, second(0))]).await;
    database.claim(1, 9, second(0)).await;
    database.claim(1, 9, second(40)).await;

    let late = queue::remove(database.conn(), &[(key(1, 1), 1)]).await.unwrap();
    let late_retry = Postponed { key: key(1, 1), fence: 1, attempts: 1, due_at: second(50) };
    queue::postpone(database.conn(), &[late_retry]).await.unwrap();

    assert!(late.is_empty(), "{late:?}");
    assert_eq!(database.next_due_at(1).await, Some(second(80)));
}

#[tokio::test]
async fn settling_the_claim_that_holds_takes_the_delivery_out() {
    let mut database = Database::queued(&[due(1, 1, second(0)), due(1, 2, second(7))]).await;
    database.claim(1, 1, second(0)).await;

    let removed = queue::remove(database.conn(), &[(key(1, 1), 1)]).await.unwrap();

    assert_eq!(Vec::from_iter(removed), [(key(1, 1), 1)]);
    assert_eq!(database.next_due_at(1).await, Some(second(7)));
}

#[tokio::test]
async fn of_two_claims_that_are_settled_together_only_the_later_one_counts() {
    let mut database = Database::queued(&[due(1, 1, second(0))]).await;
    database.claim(1, 9, second(0)).await;
    database.claim(1, 9, second(40)).await;

    let removed = queue::remove(database.conn(), &[(key(1, 1), 1), (key(1, 1), 2)]).await.unwrap();

    assert_eq!(Vec::from_iter(removed), [(key(1, 1), 2)]);
}

#[tokio::test]
async fn a_postponed_delivery_belongs_to_nobody_until_it_is_due() {
    let mut database = Database::queued(&[due(1, 1, second(0))]).await;
    database.claim(1, 9, second(0)).await;

    let later = Postponed { key: key(1, 1), fence: 1, attempts: 1, due_at: second(300) };
    queue::postpone(database.conn(), &[later]).await.unwrap();

    assert_eq!(queue::release_all(database.conn(), second(1)).await.unwrap(), 0);
    assert_eq!(database.claim(1, 9, second(299)).await, []);
    assert_eq!(database.claim(1, 9, second(300)).await, [(key(1, 1), 2)]);
}

#[tokio::test]
async fn releasing_all_makes_due_what_anybody_claimed_and_nothing_else() {
    let waiting = due(1, 2, second(300));
    let of_another = Entry { node_id: Some(node_id(2)), ..born_claimed(2, 3, second(40)) };
    let mut database = Database::queued(&[born_claimed(1, 1, second(40)), waiting, of_another]).await;

    let released = queue::release_all(database.conn(), second(5)).await.unwrap();

    assert_eq!(released, 2);
    assert_eq!(database.claim(1, 9, second(5)).await, [(key(1, 1), 2)]);
    assert_eq!(database.claim(2, 9, second(5)).await, [(key(2, 3), 2)]);
}

#[tokio::test]
async fn a_node_gives_back_only_what_it_claimed_itself() {
    let of_another = Entry { node_id: Some(node_id(2)), ..born_claimed(1, 2, second(40)) };
    let mut database = Database::queued(&[born_claimed(1, 1, second(40)), of_another]).await;

    let released = queue::release(database.conn(), node_id(1), second(5)).await.unwrap();

    assert_eq!(released, 1);
    assert_eq!(database.claim(1, 9, second(5)).await, [(key(1, 1), 2)]);
}

#[tokio::test]
async fn every_webhook_with_work_is_listed_once_with_what_is_due_first() {
    let mut entries: Vec<Entry> = (1..=50).map(|number| due(1, number, second(i64::from(number)))).collect();
    entries.extend([due(3, 1, second(9)), due(3, 2, second(8)), born_claimed(9, 1, second(40))]);
    let mut database = Database::queued(&entries).await;

    let backlogs = queue::backlogs(database.conn()).await.unwrap();

    let nobody = TenantId::from_bytes([0; 16]);
    let backlog = |webhook, due_at| Backlog { tenant_id: nobody, webhook_id: webhook_id(webhook), due_at };
    assert_eq!(backlogs, [backlog(1, second(1)), backlog(3, second(8)), backlog(9, second(40))]);
}

#[tokio::test]
async fn an_empty_queue_has_no_backlog_and_nothing_due() {
    let mut database = Database::open().await;

    let backlogs = queue::backlogs(database.conn()).await.unwrap();

    assert_eq!(backlogs, []);
    assert_eq!(database.next_due_at(1).await, None);
    assert_eq!(database.claim(1, 9, second(0)).await, []);
}

#[tokio::test]
async fn what_waits_can_be_hastened_and_what_is_under_way_is_left_alone() {
    let mut database = Database::queued(&[due(1, 1, second(300)), born_claimed(2, 2, second(40))]).await;

    queue::hasten(database.conn(), &[key(1, 1), key(2, 2), key(1, 2)], second(5)).await.unwrap();

    assert_eq!(database.next_due_at(1).await, Some(second(5)));
    assert_eq!(database.next_due_at(2).await, Some(second(40)));
}

#[tokio::test]
async fn only_what_is_neither_queued_nor_over_is_queued_again() {
    let mut database = Database::queued(&[due(1, 1, second(300))]).await;
    let over = Ended { key: key(1, 2), ending: Ending::Delivered, attempts: 1, at: second(1) };
    deliveries::append(database.conn(), &[over]).await.unwrap();

    let again = [due(1, 1, second(5)), due(1, 2, second(5)), due(1, 3, second(5))];
    queue::insert_missing(database.conn(), &again).await.unwrap();

    assert_eq!(database.claim(1, 9, second(5)).await, [(key(1, 3), 1)]);
    assert_eq!(database.claim(1, 9, second(40)).await, [], "what waited waits as it did");
}

#[tokio::test]
async fn sets_larger_than_one_statement_are_written_whole() {
    let entries: Vec<Entry> = (0..600).map(|number| due(1, number, second(0))).collect();
    let mut database = Database::queued(&entries).await;

    let claims = database.claim(1, 1_000, second(0)).await;
    let later: Vec<Postponed> = claims
        .iter()
        .map(|(key, fence)| Postponed { key: *key, fence: *fence, attempts: 1, due_at: second(60) })
        .collect();
    queue::postpone(database.conn(), &later).await.unwrap();
    let claims_again = database.claim(1, 1_000, second(60)).await;
    let removed = queue::remove(database.conn(), &claims_again).await.unwrap();

    assert_eq!(claims.len(), 600);
    assert!(claims_again.iter().all(|(_, attempt)| *attempt == 2));
    assert_eq!(removed.len(), 600);
    assert_eq!(database.next_due_at(1).await, None);
}
