//! What two transactions of PostgreSQL do to each other. SQLite has one that writes at a time.

use signet::domain::delivery::{DeliveryKey, Ending};
use signet::store::batch::{self, Settled};
use signet::store::deliveries::Ended;
use signet::store::queue::{self, Entry, Lease, Postponed};
use signet::store::{Conn, Store, Tx};
use sqlx::{Connection as _, PgConnection};

use super::{event_id, node_id, second, webhook_id};
use crate::support::{database, until};

fn key() -> DeliveryKey {
    DeliveryKey { webhook_id: webhook_id(1), event_id: event_id(1) }
}

/// A database with one delivery that node 1 claimed, under number 1, and whose lease is over.
async fn claimed_once() -> (Store, String) {
    let url = database::fresh_postgres();
    let store = Store::open(&url).await.unwrap();
    let mut tx = store.write().await.unwrap();
    let entry = Entry { key: key(), due_at: second(40), attempts: 0, node_id: Some(node_id(1)) };
    queue::insert(tx.conn(), &[entry]).await.unwrap();
    tx.commit().await.unwrap();
    (store, url)
}

/// Node 2 claims it, under number 2, and has not committed.
async fn claim_again(store: &Store) -> Tx {
    let mut tx = store.write().await.unwrap();
    let lease = Lease { node_id: node_id(2), now: second(50), until: second(90) };
    assert_eq!(queue::claim(tx.conn(), webhook_id(1), 9, &lease).await.unwrap()[0].fence, 2);
    tx
}

/// Runs a change, which must wait for node 2's claim, and lets that be committed meanwhile.
async fn while_it_is_claimed_again<T>(change: impl AsyncFnOnce(&mut Conn) -> T) -> (T, Store) {
    let (store, url) = claimed_once().await;
    let claiming = claim_again(&store).await;
    let mut tx = store.write().await.unwrap();
    let commit = async {
        let mut observer = PgConnection::connect(&url).await.unwrap();
        until(async || {
            let waiting = "select 1
                 from pg_locks l
                 where not l.granted
                   and exists (select 1 from pg_locks q where q.pid = l.pid and q.relation = 'queue'::regclass)";
            sqlx::query(waiting).fetch_optional(&mut observer).await.unwrap()
        })
        .await;
        claiming.commit().await.unwrap();
    };
    let (changed, ()) = tokio::join!(change(tx.conn()), commit);
    tx.commit().await.unwrap();
    (changed, store)
}

async fn is_still_claimed_by_node_2(store: &Store) -> bool {
    let mut tx = store.write().await.unwrap();
    queue::remove(tx.conn(), &[(key(), 2)]).await.unwrap().contains(&(key(), 2))
}

#[tokio::test]
async fn a_claim_that_is_lost_while_it_is_settled_settles_nothing() {
    let ended = Ended { key: key(), ending: Ending::Delivered, attempts: 1, at: second(51) };

    let (held, store) = while_it_is_claimed_again(async |conn| {
        batch::end(conn, &[Settled { ended, fence: 1, attempt: None }]).await.unwrap()
    })
    .await;

    assert!(held.is_empty(), "{held:?}");
    assert!(is_still_claimed_by_node_2(&store).await);
}

#[tokio::test]
async fn a_claim_that_is_lost_while_it_is_postponed_postpones_nothing() {
    let later = Postponed { key: key(), fence: 1, attempts: 1, due_at: second(60) };

    let (held, store) = while_it_is_claimed_again(async |conn| queue::postpone(conn, &[later]).await.unwrap()).await;

    assert!(held.is_empty(), "{held:?}");
    assert!(is_still_claimed_by_node_2(&store).await);
}
