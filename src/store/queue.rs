//! What is still to be delivered, and nothing else.
//!
//! A claim is a postponement: it moves `due_at` to the end of the lease and counts `claims` up. A worker that dies
//! does nothing, and the delivery is simply due again. `claims` is the fencing token: settling names the number that
//! the claim got, and changes nothing when another claim has been made since.

use std::collections::HashSet;

use super::bulk::{Set, Words};
use super::query::{FIRST, query};
use super::record::Record;
use super::{Conn, Result};
use crate::domain::delivery::{Claim, DeliveryKey};
use crate::domain::id::{EventId, NodeId, TenantId, WebhookId};
use crate::domain::time::Timestamp;

/// A delivery as it enters the queue: due, or born claimed by the node that is about to send it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub key: DeliveryKey,
    pub due_at: Timestamp,
    /// How often it was tried before.
    pub attempts: u32,
    /// The node that claims it as it is born, or nobody.
    pub node_id: Option<NodeId>,
}

/// The webhook with work in the queue, whose it is (where it is gone: the zero id), and when the first of it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    pub tenant_id: TenantId,
    pub webhook_id: WebhookId,
    pub due_at: Timestamp,
}

/// Who claims, when, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    pub node_id: NodeId,
    pub now: Timestamp,
    pub until: Timestamp,
}

/// A delivery to be tried again.
#[derive(Debug, Clone, Copy)]
pub struct Postponed {
    pub key: DeliveryKey,
    /// The number of the claim under which it was tried.
    pub fence: u32,
    /// How often it has been tried now.
    pub attempts: u32,
    pub due_at: Timestamp,
}

pub(super) const INSERT: &str = "insert into queue (webhook_id, event_id, due_at, claims, attempts, node_id)
     select column1, column2, column3, column4, column5, column6
     from {rows}";

pub async fn insert(conn: &mut Conn, entries: &[Entry]) -> Result<()> {
    rows(entries).execute(conn, INSERT).await
}

pub(super) fn rows(entries: &[Entry]) -> Set<'_> {
    Set::default()
        .blobs(entries.iter().map(|entry| &entry.key.webhook_id.as_bytes()[..]))
        .blobs(entries.iter().map(|entry| &entry.key.event_id.as_bytes()[..]))
        .ints(entries.iter().map(|entry| entry.due_at.as_micros()))
        .ints(entries.iter().map(|entry| i64::from(entry.node_id.is_some())))
        .ints(entries.iter().map(|entry| i64::from(entry.attempts)))
        .blobs(entries.iter().map(|entry| entry.node_id.as_ref().map(|id| &id.as_bytes()[..])))
}

/// Queues an event, due at once, for every webhook of a tenant that is sent its deliveries and is neither disabled nor deleted; answers how many.
pub async fn insert_for_all(conn: &mut Conn, tenant_id: TenantId, event_id: EventId, due_at: Timestamp) -> Result<u64> {
    query(
        "insert into queue (webhook_id, event_id, due_at, claims, attempts, node_id)
         select id, $2, $3, 0, 0, null
         from webhooks
         where tenant_id = $1
           and delivery_method = 'push'
           and disabled_at is null
           and deleted_at is null",
    )
    .bind(tenant_id.as_bytes())
    .bind(event_id.as_bytes())
    .bind(due_at.as_micros())
    .execute(conn)
    .await
}

/// Claims at most `limit` due deliveries of one webhook, the longest due first.
pub async fn claim(conn: &mut Conn, webhook_id: WebhookId, limit: u32, lease: &Lease) -> Result<Vec<Claim>> {
    let text = if conn.is_sqlite() {
        "update queue
         set due_at = $4, claims = claims + 1, node_id = $5
         where (webhook_id, event_id) in (
             select webhook_id, event_id from queue where webhook_id = $1 and due_at <= $3 order by due_at limit $2
         )
         returning webhook_id, event_id, claims, attempts"
    } else {
        // What another node is claiming at this moment is passed over; without that, it would be waited for and then
        // claimed a second time.
        "with due as materialized (
             select ctid as place
             from queue
             where webhook_id = $1
               and due_at <= $3
             order by due_at
             limit $2
             for update skip locked
         )
         update queue q
         set due_at = $4, claims = q.claims + 1, node_id = $5
         from due
         where q.ctid = due.place
         returning q.webhook_id, q.event_id, q.claims, q.attempts"
    };
    let rows = query(text)
        .bind(webhook_id.as_bytes())
        .bind(i64::from(limit))
        .bind(lease.now.as_micros())
        .bind(lease.until.as_micros())
        .bind(lease.node_id.as_bytes())
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let record = Record::new("queue", row);
            let attempt = record.count("attempts")?.saturating_add(1);
            Ok(Claim { key: key(&record)?, fence: record.count("claims")?, attempt })
        })
        .collect()
}

/// When the first delivery of this webhook is due, leases included.
pub async fn next_due_at(conn: &mut Conn, webhook_id: WebhookId) -> Result<Option<Timestamp>> {
    let row = query("select due_at from queue where webhook_id = $1 order by due_at limit 1")
        .bind(webhook_id.as_bytes())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| Record::new("queue", row).instant("due_at")).transpose()
}

/// Every webhook with work in the queue. Jumps from webhook to webhook in the index, whatever the backlog's size.
pub async fn backlogs(conn: &mut Conn) -> Result<Vec<Backlog>> {
    let rows = query(
        "with recursive lane (webhook_id) as (
             select (select q.webhook_id from queue q where q.webhook_id > $1 order by q.webhook_id limit 1)
             union all
             select (
                 select q.webhook_id from queue q where q.webhook_id > lane.webhook_id order by q.webhook_id limit 1
             )
             from lane
             where lane.webhook_id is not null
         )
         select lane.webhook_id, w.tenant_id, (
                select q.due_at from queue q where q.webhook_id = lane.webhook_id order by q.due_at limit 1
             ) as due_at
         from lane
         left join webhooks w on w.id = lane.webhook_id
         where lane.webhook_id is not null",
    )
    .bind(FIRST)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let record = Record::new("queue", row);
            Ok(Backlog {
                tenant_id: TenantId::from_bytes(record.id_or_null("tenant_id")?.unwrap_or_default()),
                webhook_id: WebhookId::from_bytes(record.id("webhook_id")?),
                due_at: record.instant("due_at")?,
            })
        })
        .collect()
}

/// Takes deliveries out whose claims, given with their fences, still hold; answers which did.
pub async fn remove(conn: &mut Conn, claims: &[(DeliveryKey, u32)]) -> Result<HashSet<(DeliveryKey, u32)>> {
    let rows = Set::default()
        .blobs(claims.iter().map(|(key, _)| &key.webhook_id.as_bytes()[..]))
        .blobs(claims.iter().map(|(key, _)| &key.event_id.as_bytes()[..]))
        .ints(claims.iter().map(|(_, fence)| i64::from(*fence)));
    let removed = rows.fetch_all(
        conn,
        Words {
            sqlite: "delete from queue
                 where (webhook_id, event_id, claims) in (select column1, column2, column3 from {rows})
                 returning webhook_id, event_id, claims",
            postgres: "delete from queue
                 using (
                     select column3, held.place
                     from {rows}
                     cross join lateral (
                         select q.ctid as place
                         from queue q
                         where q.webhook_id = given.column1
                           and q.event_id = given.column2
                           and q.claims = given.column3
                         offset 0
                     ) held
                 ) settled
                 where queue.ctid = settled.place
                   and queue.claims = settled.column3
                 returning queue.webhook_id, queue.event_id, queue.claims",
        },
    );
    let removed = removed.await?;
    let removed = removed.iter().map(|row| {
        let record = Record::new("queue", row);
        Ok((key(&record)?, record.count("claims")?))
    });
    removed.collect()
}

/// Puts deliveries back for later whose claims still hold; answers which did.
pub async fn postpone(conn: &mut Conn, postponed: &[Postponed]) -> Result<HashSet<DeliveryKey>> {
    let rows = Set::default()
        .blobs(postponed.iter().map(|postponed| &postponed.key.webhook_id.as_bytes()[..]))
        .blobs(postponed.iter().map(|postponed| &postponed.key.event_id.as_bytes()[..]))
        .ints(postponed.iter().map(|postponed| i64::from(postponed.fence)))
        .ints(postponed.iter().map(|postponed| i64::from(postponed.attempts)))
        .ints(postponed.iter().map(|postponed| postponed.due_at.as_micros()));
    let words = Words {
        sqlite: "update queue
             set attempts = given.column4, due_at = given.column5, node_id = null
             from {rows}
             where queue.webhook_id = given.column1
               and queue.event_id = given.column2
               and queue.claims = given.column3
             returning queue.webhook_id, queue.event_id",
        postgres: "update queue
             set attempts = later.column4, due_at = later.column5, node_id = null
             from (
                 select column3, column4, column5, held.place
                 from {rows}
                 cross join lateral (
                     select q.ctid as place
                     from queue q
                     where q.webhook_id = given.column1
                       and q.event_id = given.column2
                       and q.claims = given.column3
                     offset 0
                 ) held
             ) later
             where queue.ctid = later.place
               and queue.claims = later.column3
             returning queue.webhook_id, queue.event_id",
    };
    let held = rows.fetch_all(conn, words);
    held.await?.iter().map(|row| key(&Record::new("queue", row))).collect()
}

/// Makes everything due that is claimed by anybody. Only for whoever has proved that no other node lives.
pub async fn release_all(conn: &mut Conn, now: Timestamp) -> Result<u64> {
    let released = query("update queue set due_at = $1, node_id = null where node_id is not null")
        .bind(now.as_micros())
        .execute(conn)
        .await?;
    Ok(released)
}

/// Gives back what this node claimed and will not settle.
pub async fn release(conn: &mut Conn, node_id: NodeId, now: Timestamp) -> Result<u64> {
    let released = query("update queue set due_at = $2, node_id = null where node_id = $1")
        .bind(node_id.as_bytes())
        .bind(now.as_micros())
        .execute(conn)
        .await?;
    Ok(released)
}

/// Makes waiting deliveries due. Those that somebody has in hand are left alone, and so are those that another
/// transaction is changing at this moment: nothing here is waited for.
pub async fn hasten(conn: &mut Conn, keys: &[DeliveryKey], now: Timestamp) -> Result<()> {
    let rows = Set::default()
        .blobs(keys.iter().map(|key| &key.webhook_id.as_bytes()[..]))
        .blobs(keys.iter().map(|key| &key.event_id.as_bytes()[..]))
        .ints(keys.iter().map(|_| now.as_micros()));
    let words = Words {
        sqlite: "update queue
             set due_at = given.column3
             from {rows}
             where queue.webhook_id = given.column1
               and queue.event_id = given.column2
               and queue.node_id is null",
        postgres: "update queue
             set due_at = waiting.column3
             from (
                 select column3, held.place
                 from {rows}
                 cross join lateral (
                     select q.ctid as place
                     from queue q
                     where q.webhook_id = given.column1
                       and q.event_id = given.column2
                       and q.node_id is null
                     for update skip locked
                 ) held
             ) waiting
             where queue.ctid = waiting.place",
    };
    rows.execute(conn, words).await
}

/// Whether a delivery is still to be made.
pub async fn holds(conn: &mut Conn, key: DeliveryKey) -> Result<bool> {
    let found = query("select due_at from queue where webhook_id = $1 and event_id = $2")
        .bind(key.webhook_id.as_bytes())
        .bind(key.event_id.as_bytes())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// Queues deliveries that are neither in the queue nor in history, and passes over the others.
pub async fn insert_missing(conn: &mut Conn, entries: &[Entry]) -> Result<()> {
    let insert = "insert into queue (webhook_id, event_id, due_at, claims, attempts, node_id)
         select column1, column2, column3, column4, column5, column6
         from {rows}
         where not exists (
             select 1 from deliveries d where d.webhook_id = given.column1 and d.event_id = given.column2
         )
         on conflict do nothing";
    rows(entries).execute(conn, insert).await
}

pub(super) fn key(record: &Record<'_>) -> Result<DeliveryKey> {
    Ok(DeliveryKey {
        webhook_id: WebhookId::from_bytes(record.id("webhook_id")?),
        event_id: EventId::from_bytes(record.id("event_id")?),
    })
}
