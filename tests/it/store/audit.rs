//! The audit log, which is added to and read.

use signet::domain::audit::{Entry, Head, INSTALLATION};
use signet::store::{StoreError, audit};

use super::{Database, second, tenant_id};

fn entry(number: u32) -> Entry {
    Entry {
        number,
        at: second(i64::from(number)),
        actor: "signet".to_owned(),
        action: "key.published".to_owned(),
        subject: format!("kid {number}"),
        detail: "{ \"as\": \"it came\" }".to_owned(),
        hash: [7; 32],
    }
}

#[tokio::test]
async fn entries_are_read_as_they_were_written_in_pages() {
    let mut database = Database::open().await;
    for number in 1..=3 {
        audit::append(database.conn(), tenant_id(1), &entry(number)).await.unwrap();
    }

    let first = audit::list(database.conn(), tenant_id(1), 0, 2).await.unwrap();
    let rest = audit::list(database.conn(), tenant_id(1), 2, 2).await.unwrap();

    assert_eq!((first, rest), (vec![entry(1), entry(2)], vec![entry(3)]));
}

#[tokio::test]
async fn every_log_has_numbers_of_its_own_and_none_of_them_twice() {
    let mut database = Database::open().await;
    for id in [INSTALLATION, tenant_id(1), tenant_id(2)] {
        audit::append(database.conn(), id, &entry(1)).await.unwrap();
    }
    audit::append(database.conn(), tenant_id(1), &entry(2)).await.unwrap();

    let mut numbers = Vec::new();
    for id in [INSTALLATION, tenant_id(1), tenant_id(2), tenant_id(3)] {
        numbers.push(audit::head(database.conn(), id).await.unwrap());
    }
    let again = audit::append(database.conn(), tenant_id(1), &entry(2)).await;

    let head = |number| Head { number, hash: [7; 32] };
    assert_eq!(numbers, [head(1), head(2), head(1), Head::NONE]);
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
}
