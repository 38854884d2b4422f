//! What waits to be collected by the receivers of webhooks that pull. A delivery is here or in history, and never in the queue.
//!
//! Being handed over ends nothing: only its receiver's word does, or time. Until then it is handed over again, at once or when
//! the lease of whoever was given it has ended.

use super::bulk::{Set, Words};
use super::query::{FIRST, query};
use super::queue::key;
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::delivery::DeliveryKey;
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::time::Timestamp;

/// A delivery as it comes in.
#[derive(Debug, Clone, Copy)]
pub struct Mail {
    pub key: DeliveryKey,
    pub entered_at: Timestamp,
    /// From when on it may be collected.
    pub available_at: Timestamp,
    /// How often it was handed over before.
    pub attempts: u32,
}

/// A delivery that may be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub event_id: EventId,
    pub attempts: u32,
    /// How large its event's data is.
    pub payload_bytes: u32,
}

/// A delivery that is being handed over, and the key that signs it, if its format carries a token.
#[derive(Debug, Clone, Copy)]
pub struct HandOver<'a> {
    pub event_id: EventId,
    pub kid: Option<&'a str>,
}

/// A delivery that was taken out, and what is known of its being handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub key: DeliveryKey,
    pub attempts: u32,
    pub handed_over_at: Option<Timestamp>,
    pub kid: Option<String>,
}

/// A webhook for which something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pile {
    pub webhook_id: WebhookId,
    pub oldest: EventId,
    pub is_deleted: bool,
}

pub(super) const INSERT: &str = "insert into mailbox (webhook_id, event_id, entered_at, available_at, attempts)
     select column1, column2, column3, column4, column5
     from {rows}";

pub async fn insert(conn: &mut Conn, mail: &[Mail]) -> Result<()> {
    rows(mail).execute(conn, INSERT).await
}

pub(super) fn rows(mail: &[Mail]) -> Set<'_> {
    Set::default()
        .blobs(mail.iter().map(|mail| &mail.key.webhook_id.as_bytes()[..]))
        .blobs(mail.iter().map(|mail| &mail.key.event_id.as_bytes()[..]))
        .ints(mail.iter().map(|mail| mail.entered_at.as_micros()))
        .ints(mail.iter().map(|mail| mail.available_at.as_micros()))
        .ints(mail.iter().map(|mail| i64::from(mail.attempts)))
}

/// Puts in what is neither here nor in history, and passes over the rest.
pub async fn insert_missing(conn: &mut Conn, mail: &[Mail]) -> Result<()> {
    let insert = "insert into mailbox (webhook_id, event_id, entered_at, available_at, attempts)
         select column1, column2, column3, column4, column5
         from {rows}
         where not exists (
             select 1 from deliveries d where d.webhook_id = given.column1 and d.event_id = given.column2
         )
         on conflict do nothing";
    rows(mail).execute(conn, insert).await
}

/// Puts an event in for every webhook of a tenant that pulls and is neither disabled nor deleted; answers how many.
pub async fn insert_for_all(
    conn: &mut Conn,
    tenant_id: TenantId,
    event_id: EventId,
    (entered_at, available_at): (Timestamp, Timestamp),
) -> Result<u64> {
    query(
        "insert into mailbox (webhook_id, event_id, entered_at, available_at, attempts)
         select id, $2, $3, $4, 0
         from webhooks
         where tenant_id = $1
           and delivery_method = 'pull'
           and disabled_at is null
           and deleted_at is null",
    )
    .bind(tenant_id.as_bytes())
    .bind(event_id.as_bytes())
    .bind(entered_at.as_micros())
    .bind(available_at.as_micros())
    .execute(conn)
    .await
}

/// Which of these webhooks have something that may be handed over.
pub async fn with_available(conn: &mut Conn, ids: &[WebhookId], now: Timestamp) -> Result<Vec<WebhookId>> {
    let rows = Set::default().blobs(ids.iter().map(|id| &id.as_bytes()[..])).ints(ids.iter().map(|_| now.as_micros()));
    let words = Words {
        sqlite: "select column1 as webhook_id
             from {rows}
             where exists (
                 select 1 from mailbox m where m.webhook_id = given.column1 and m.available_at <= given.column2
             )",
        postgres: "select given.column1 as webhook_id
             from {rows}
             cross join lateral (
                 select 1
                 from mailbox m
                 where m.webhook_id = given.column1
                   and m.available_at <= given.column2
                 order by m.webhook_id, m.event_id
                 limit 1
             ) found",
    };
    let found = rows.fetch_all(conn, words).await?;
    found.iter().map(|row| Ok(WebhookId::from_bytes(Record::new("mailbox", row).id("webhook_id")?))).collect()
}

/// At most `limit` deliveries of a webhook that may be handed over, the oldest event first. What another node is handing over at
/// this moment is passed over. One whose event is gone has no size, and is none of them.
pub async fn available(conn: &mut Conn, webhook_id: WebhookId, now: Timestamp, limit: u32) -> Result<Vec<Waiting>> {
    let text = if conn.is_sqlite() {
        "select m.event_id, m.attempts,
             coalesce((select length(e.payload) from events e where e.id = m.event_id), 0) as payload_bytes
         from mailbox m
         where m.webhook_id = $1
           and m.available_at <= $2
         order by m.webhook_id, m.event_id
         limit $3"
    } else {
        "select m.event_id, m.attempts,
             coalesce((select length(e.payload) from events e where e.id = m.event_id), 0)::bigint as payload_bytes
         from mailbox m
         where m.webhook_id = $1
           and m.available_at <= $2
         order by m.webhook_id, m.event_id
         limit $3
         for update of m skip locked"
    };
    let rows =
        query(text).bind(webhook_id.as_bytes()).bind(now.as_micros()).bind(i64::from(limit)).fetch_all(conn).await?;
    let waiting = rows.iter().map(|row| {
        let record = Record::new("mailbox", row);
        Ok(Waiting {
            event_id: EventId::from_bytes(record.id("event_id")?),
            attempts: record.count("attempts")?,
            payload_bytes: record.count("payload_bytes")?,
        })
    });
    waiting.collect()
}

/// Writes down that these are handed over, and when they may be again. In the transaction in which they were found.
pub async fn hand_over(
    conn: &mut Conn,
    webhook_id: WebhookId,
    given: &[HandOver<'_>],
    (now, until): (Timestamp, Timestamp),
) -> Result<()> {
    let rows = Set::default()
        .blobs(given.iter().map(|_| &webhook_id.as_bytes()[..]))
        .blobs(given.iter().map(|given| &given.event_id.as_bytes()[..]))
        .ints(given.iter().map(|_| now.as_micros()))
        .ints(given.iter().map(|_| until.as_micros()))
        .texts(given.iter().map(|given| given.kid));
    let words = Words {
        sqlite: "update mailbox
             set attempts = attempts + 1, handed_over_at = given.column3, available_at = given.column4, kid = given.column5
             from {rows}
             where mailbox.webhook_id = given.column1
               and mailbox.event_id = given.column2",
        postgres: "update mailbox
             set attempts = mailbox.attempts + 1, handed_over_at = held.column3, available_at = held.column4,
                 kid = held.column5
             from (
                 select column3, column4, column5, found.place
                 from {rows}
                 cross join lateral (
                     select m.ctid as place
                     from mailbox m
                     where m.webhook_id = given.column1
                       and m.event_id = given.column2
                     offset 0
                 ) found
             ) held
             where mailbox.ctid = held.place",
    };
    rows.execute(conn, words).await
}

/// Takes deliveries out; answers those that were there.
pub async fn take(conn: &mut Conn, keys: &[DeliveryKey]) -> Result<Vec<Taken>> {
    let mut keys = keys.to_vec();
    // In one order everywhere, so that two who take the same do not wait for each other.
    keys.sort_unstable();
    keys.dedup();
    let rows = Set::default()
        .blobs(keys.iter().map(|key| &key.webhook_id.as_bytes()[..]))
        .blobs(keys.iter().map(|key| &key.event_id.as_bytes()[..]));
    if !conn.is_sqlite() {
        // Held first: a row that somebody is changing has another place afterwards.
        let hold = "select held.event_id
             from {rows}
             cross join lateral (
                 select m.event_id
                 from mailbox m
                 where m.webhook_id = given.column1
                   and m.event_id = given.column2
                 for update
             ) held";
        rows.fetch_all(conn, hold).await?;
    }
    let words = Words {
        sqlite: "delete from mailbox
             where (webhook_id, event_id) in (select column1, column2 from {rows})
             returning webhook_id, event_id, attempts, handed_over_at, kid",
        postgres: "delete from mailbox
             using (
                 select found.place
                 from {rows}
                 cross join lateral (
                     select m.ctid as place
                     from mailbox m
                     where m.webhook_id = given.column1
                       and m.event_id = given.column2
                     offset 0
                 ) found
             ) held
             where mailbox.ctid = held.place
             returning mailbox.webhook_id, mailbox.event_id, mailbox.attempts, mailbox.handed_over_at, mailbox.kid",
    };
    rows.fetch_all(conn, words).await?.iter().map(taken).collect()
}

fn taken(row: &Row) -> Result<Taken> {
    let record = Record::new("mailbox", row);
    Ok(Taken {
        key: key(&record)?,
        attempts: record.count("attempts")?,
        handed_over_at: record.instant_or_null("handed_over_at")?,
        kid: record.text_or_null("kid")?,
    })
}

/// Ends leases, so that these may be handed over now. What another transaction is changing at this moment is left alone: nothing
/// here is waited for.
pub async fn hasten(conn: &mut Conn, keys: &[DeliveryKey], now: Timestamp) -> Result<()> {
    let rows = Set::default()
        .blobs(keys.iter().map(|key| &key.webhook_id.as_bytes()[..]))
        .blobs(keys.iter().map(|key| &key.event_id.as_bytes()[..]))
        .ints(keys.iter().map(|_| now.as_micros()));
    let words = Words {
        sqlite: "update mailbox
             set available_at = given.column3
             from {rows}
             where mailbox.webhook_id = given.column1
               and mailbox.event_id = given.column2
               and mailbox.available_at > given.column3",
        postgres: "update mailbox
             set available_at = waiting.column3
             from (
                 select column3, held.place
                 from {rows}
                 cross join lateral (
                     select m.ctid as place
                     from mailbox m
                     where m.webhook_id = given.column1
                       and m.event_id = given.column2
                       and m.available_at > given.column3
                     for update skip locked
                 ) held
             ) waiting
             where mailbox.ctid = waiting.place",
    };
    rows.execute(conn, words).await
}

/// Whether a delivery still waits to be collected.
pub async fn holds(conn: &mut Conn, key: DeliveryKey) -> Result<bool> {
    let found = query("select available_at from mailbox where webhook_id = $1 and event_id = $2")
        .bind(key.webhook_id.as_bytes())
        .bind(key.event_id.as_bytes())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// Every webhook for which something waits. Jumps from webhook to webhook in the index, however much that is.
pub async fn piles(conn: &mut Conn) -> Result<Vec<Pile>> {
    let rows = query(
        "with recursive lane (webhook_id) as (
             select (select m.webhook_id from mailbox m where m.webhook_id > $1 order by m.webhook_id limit 1)
             union all
             select (
                 select m.webhook_id from mailbox m where m.webhook_id > lane.webhook_id order by m.webhook_id limit 1
             )
             from lane
             where lane.webhook_id is not null
         )
         select lane.webhook_id,
             (
                 select m.event_id from mailbox m where m.webhook_id = lane.webhook_id order by m.event_id limit 1
             ) as event_id,
             (select w.deleted_at from webhooks w where w.id = lane.webhook_id) as deleted_at
         from lane
         where lane.webhook_id is not null",
    )
    .bind(FIRST)
    .fetch_all(conn)
    .await?;
    let piles = rows.iter().map(|row| {
        let record = Record::new("mailbox", row);
        Ok(Pile {
            webhook_id: WebhookId::from_bytes(record.id("webhook_id")?),
            oldest: EventId::from_bytes(record.id("event_id")?),
            is_deleted: record.int_or_null("deleted_at")?.is_some(),
        })
    });
    piles.collect()
}

/// At most `limit` deliveries of a webhook whose events are before this one, and which came in before this instant.
pub async fn left_since(
    conn: &mut Conn,
    webhook_id: WebhookId,
    (before, entered_before): (EventId, Timestamp),
    limit: u32,
) -> Result<Vec<DeliveryKey>> {
    let rows = query(
        "select webhook_id, event_id
         from mailbox
         where webhook_id = $1
           and event_id < $2
           and entered_at < $3
         order by webhook_id, event_id
         limit $4",
    )
    .bind(webhook_id.as_bytes())
    .bind(before.as_bytes())
    .bind(entered_before.as_micros())
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| key(&Record::new("mailbox", row))).collect()
}
