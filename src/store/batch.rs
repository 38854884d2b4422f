//! The two changes that are made all day: events that come in, and deliveries that end. Each goes in sets, and in as few
//! journeys as its database allows: PostgreSQL does either in one statement, SQLite in one for each table.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::PgConnection;

use super::bulk::Set;
use super::deliveries::Ended;
use super::idempotency::Named;
use super::mailbox::Mail;
use super::queue::Entry;
use super::record::Record;
use super::{Conn, Result, deliveries, events, idempotency, mailbox, queue};
use crate::domain::delivery::{Attempt, DeliveryKey};
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;

/// Events with whom they concern, and the names under which they were told.
pub struct Accepted<'a> {
    pub events: &'a [Arc<Event>],
    pub entries: &'a [Entry],
    /// What is not sent but collected.
    pub mail: &'a [Mail],
    pub names: &'a [(Named, Vec<EventId>)],
    pub at: Timestamp,
}

/// Writes a batch of events.
pub async fn accept(conn: &mut Conn, accepted: &Accepted<'_>) -> Result<()> {
    let names = idempotency::Rows::of(accepted.names);
    let mut sets = vec![events::rows(accepted.events), queue::rows(accepted.entries), names.set(accepted.at)];
    if !accepted.mail.is_empty() {
        sets.push(mailbox::rows(accepted.mail));
    }
    let tx = match conn {
        Conn::Sqlite(hold) => {
            let inserts = [events::INSERT, queue::INSERT, idempotency::INSERT, mailbox::INSERT];
            for (set, insert) in sets.iter().zip(inserts) {
                set.defer(hold, insert).await?;
            }
            return Ok(());
        }
        Conn::Postgres(tx) => tx,
    };
    let insert = if accepted.mail.is_empty() { ACCEPT } else { ACCEPT_WITH_MAIL };
    Set::together(&sets, tx, insert).await.map(drop)
}

const ACCEPT: &str = "with told as (
             insert into events (id, tenant_id, type, payload, occurred_at, accepted_at, deliveries)
             select column1, column2, column3, column4, column5, column6, column7
             from {0}
         ),
         named as (
             insert into idempotency_keys (tenant_id, key, fingerprint, event_ids, created_at)
             select column1, column2, column3, column4, column5
             from {2}
         )
         insert into queue (webhook_id, event_id, due_at, claims, attempts, node_id)
         select column1, column2, column3, column4, column5, column6
         from {1}";

/// The same where some webhooks pull: those who send do not even plan for it.
const ACCEPT_WITH_MAIL: &str = "with told as (
             insert into events (id, tenant_id, type, payload, occurred_at, accepted_at, deliveries)
             select column1, column2, column3, column4, column5, column6, column7
             from {0}
         ),
         named as (
             insert into idempotency_keys (tenant_id, key, fingerprint, event_ids, created_at)
             select column1, column2, column3, column4, column5
             from {2}
         ),
         kept as (
             insert into mailbox (webhook_id, event_id, entered_at, available_at, attempts)
             select column1, column2, column3, column4, column5
             from {3}
         )
         insert into queue (webhook_id, event_id, due_at, claims, attempts, node_id)
         select column1, column2, column3, column4, column5, column6
         from {1}";

/// A delivery to be ended, if its claim still holds.
pub struct Settled<'a> {
    pub ended: Ended,
    /// The number of the claim.
    pub fence: u32,
    /// None when no attempt was made.
    pub attempt: Option<&'a Attempt>,
}

/// Ends deliveries whose claims still hold, and logs the attempts that ended them; answers which claims held. An attempt
/// under a claim that was lost is not logged: whoever holds the claim now makes the one of that number.
pub async fn end(conn: &mut Conn, settled: &[Settled<'_>]) -> Result<HashSet<(DeliveryKey, u32)>> {
    match conn {
        Conn::Sqlite(_) => end_on_sqlite(conn, settled).await,
        Conn::Postgres(tx) => end_on_postgres(tx, settled).await,
    }
}

async fn end_on_sqlite(conn: &mut Conn, settled: &[Settled<'_>]) -> Result<HashSet<(DeliveryKey, u32)>> {
    let claims: Vec<(DeliveryKey, u32)> = settled.iter().map(|one| (one.ended.key, one.fence)).collect();
    let held = queue::remove(conn, &claims).await?;
    let holds = |one: &&Settled<'_>| held.contains(&(one.ended.key, one.fence));
    let ended: Vec<Ended> = settled.iter().filter(holds).map(|one| one.ended).collect();
    let made = settled.iter().filter(holds).filter(|one| one.attempt.is_some());
    let made: Vec<_> = made.map(|one| (one.ended.key, one.attempt)).collect();
    if let Conn::Sqlite(hold) = conn {
        deliveries::rows(&ended).defer(hold, deliveries::INSERT_MADE).await?;
        deliveries::attempt_rows(&made).defer(hold, deliveries::INSERT_ATTEMPTS).await?;
    }
    Ok(held)
}

async fn end_on_postgres(tx: &mut PgConnection, settled: &[Settled<'_>]) -> Result<HashSet<(DeliveryKey, u32)>> {
    let ended: Vec<Ended> = settled.iter().map(|one| one.ended).collect();
    let attempts: Vec<_> = settled.iter().map(|one| (one.ended.key, one.attempt)).collect();
    let outcomes = deliveries::attempt_rows(&attempts);
    let fences = settled.iter().map(|one| i64::from(one.fence));
    let set = deliveries::rows(&ended).ints(fences).beside(outcomes);
    // The number of the claim is asked twice. Who waited for another transaction is shown the row as that one left it, and
    // not every release of PostgreSQL then asks about the place again.
    let remove = "with removed as (
             delete from queue
             using (
                 select column1, column2, column3, column4, column5, column6,
                     column9, column10, column11, column12, column13, column14, column15, held.place
                 from {0}
                 cross join lateral (
                     select q.ctid as place
                     from queue q
                     where q.webhook_id = given.column1
                       and q.event_id = given.column2
                       and q.claims = given.column6
                     offset 0
                 ) held
             ) settled
             where queue.ctid = settled.place
               and queue.claims = settled.column6
             returning column1, column2, column3, column4, column5, column6,
                 column9, column10, column11, column12, column13, column14, column15
         ),
         ended as (
             insert into deliveries (webhook_id, event_id, ending, attempts, ended_at)
             select column1, column2, column3, column4, column5
             from removed
             on conflict (webhook_id, event_id) do update
                 set ending = excluded.ending, attempts = excluded.attempts, ended_at = excluded.ended_at
         ),
         logged as (
             insert into attempts
                 (webhook_id, event_id, number, started_at, took_for, status_code, failure, excerpt, kid)
             select column1, column2, column9, column10, column11, column12, column13, column14, column15
             from removed
             where column9 is not null
             on conflict do nothing
         )
         select column1 as webhook_id, column2 as event_id, column6 as claims
         from removed";
    let removed = Set::together(&[set], tx, remove).await?;
    let held = removed.iter().map(|row| {
        let record = Record::new("queue", row);
        Ok((queue::key(&record)?, record.count("claims")?))
    });
    held.collect()
}
