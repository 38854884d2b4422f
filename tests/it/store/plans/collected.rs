//! The same for what is collected.

use signet::store::mailbox::{self, HandOver};
use signet::store::pull_keys;

use super::{Database, event_id, key, second, webhook_id};
use crate::store::mailbox::mail;

#[tokio::test]
async fn what_is_collected_is_found_by_index() {
    let keys = [1, 2].map(|event| key(1, event));
    let given = [1, 2].map(|event| HandOver { event_id: event_id(event), kid: None });
    let again = [mail(1, 1, 0), mail(1, 2, 0)];

    Database::open()
        .await
        .check(async |database| {
            mailbox::with_available(database.conn(), &[1, 2].map(webhook_id), second(1)).await.unwrap();
            mailbox::available(database.conn(), webhook_id(1), second(1), 9).await.unwrap();
            mailbox::hand_over(database.conn(), webhook_id(1), &given, (second(1), second(9))).await.unwrap();
            mailbox::hasten(database.conn(), &keys, second(5)).await.unwrap();
            mailbox::holds(database.conn(), key(1, 1)).await.unwrap();
            mailbox::insert_missing(database.conn(), &again).await.unwrap();
            mailbox::piles(database.conn()).await.unwrap();
            mailbox::left_since(database.conn(), webhook_id(1), (event_id(9), second(5)), 9).await.unwrap();
            mailbox::take(database.conn(), &keys).await.unwrap();
            pull_keys::find(database.conn(), &[1; 32], second(1)).await.unwrap();
            pull_keys::end(database.conn(), webhook_id(1), second(1), second(1)).await.unwrap();
        })
        .await;
}
