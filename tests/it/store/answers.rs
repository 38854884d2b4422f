//! Names of requests: one claim at a time, and an answer that stays.

use signet::domain::id::AnswerId;
use signet::domain::time::Timestamp;
use signet::store::answers::{self, Claim, Sealed};

use super::{Database, second, tenant_id};

fn claim(number: u8) -> Claim {
    Claim { id: AnswerId::from_bytes([number; 16]), tenant_id: tenant_id(1), name: [1; 32], fingerprint: [number; 32] }
}

/// Claims until the tenth second after `now`; what is older than the first second is forgotten.
async fn claimed(database: &mut Database, number: u8, now: Timestamp) -> bool {
    let until = now.plus(std::time::Duration::from_secs(10));
    answers::claim(database.conn(), &claim(number), until, now, second(1)).await.unwrap()
}

async fn known(database: &mut Database) -> Option<(u8, Option<u16>)> {
    let known = answers::find(database.conn(), tenant_id(1), &[1; 32]).await.unwrap()?;
    assert_eq!(known.fingerprint, [known.id.as_bytes()[0]; 32]);
    Some((known.id.as_bytes()[0], known.answer.map(|answer| answer.status)))
}

fn sealed() -> Sealed {
    Sealed { status: 201, body_jwe: "jwe".to_owned() }
}

#[tokio::test]
async fn a_name_is_claimed_once_until_the_claim_runs_out() {
    let mut database = Database::open().await;

    assert!(claimed(&mut database, 1, second(5)).await);
    assert!(!claimed(&mut database, 2, second(15)).await);
    assert_eq!(known(&mut database).await, Some((1, None)));
    assert!(claimed(&mut database, 3, second(16)).await);

    assert_eq!(known(&mut database).await, Some((3, None)));
    let late = claim(1).id;
    assert!(!answers::renew(database.conn(), late, second(99)).await.unwrap());
    assert!(!answers::keep(database.conn(), late, &sealed()).await.unwrap());
    answers::release(database.conn(), late).await.unwrap();
    assert_eq!(known(&mut database).await, Some((3, None)));
}

#[tokio::test]
async fn a_claim_that_is_renewed_holds_and_one_that_is_given_up_is_gone() {
    let mut database = Database::open().await;
    claimed(&mut database, 1, second(5)).await;

    assert!(answers::renew(database.conn(), claim(1).id, second(30)).await.unwrap());
    assert!(!claimed(&mut database, 2, second(30)).await);
    answers::release(database.conn(), claim(1).id).await.unwrap();

    assert_eq!(known(&mut database).await, None);
    assert!(claimed(&mut database, 2, second(30)).await);
}

#[tokio::test]
async fn an_answer_stays_until_it_is_old() {
    let mut database = Database::open().await;
    claimed(&mut database, 1, second(5)).await;
    assert!(answers::keep(database.conn(), claim(1).id, &sealed()).await.unwrap());

    assert!(!claimed(&mut database, 2, second(99)).await);
    answers::release(database.conn(), claim(1).id).await.unwrap();
    assert_eq!(known(&mut database).await, Some((1, Some(201))));
    assert_eq!(answers::forget(database.conn(), second(5), 9).await.unwrap(), 0);

    let until = second(200);
    assert!(answers::claim(database.conn(), &claim(3), until, second(100), second(6)).await.unwrap());
    assert_eq!(known(&mut database).await, Some((3, None)));
    assert_eq!(answers::forget(database.conn(), second(101), 9).await.unwrap(), 1);
    assert_eq!(known(&mut database).await, None);
}

#[tokio::test]
async fn a_sealed_body_is_exchanged_only_if_it_still_is_what_was_read() {
    let mut database = Database::open().await;
    claimed(&mut database, 1, second(5)).await;
    assert_eq!(answers::bodies(database.conn(), None, 9).await.unwrap(), []);
    answers::keep(database.conn(), claim(1).id, &sealed()).await.unwrap();
    let id = claim(1).id;

    assert!(!answers::exchange_body(database.conn(), id, "another", "again").await.unwrap());
    assert!(answers::exchange_body(database.conn(), id, "jwe", "again").await.unwrap());

    assert_eq!(answers::bodies(database.conn(), None, 9).await.unwrap(), [(id, "again".to_owned())]);
    assert_eq!(answers::bodies(database.conn(), Some(id), 9).await.unwrap(), []);
}
