//! The two changes that are made all day: events that come in, and deliveries that end. Each goes in sets, and in as few
//! journeys as its database allows: PostgreSQL does either in one statement, SQLite in one for each table.

use std::collections::HashSet;
use std::sync::Arc;

use super::bulk::Set;
use super::deliveries::Ended;
use super::idempotency::Named;
use super::queue::Entry;
use super::record::Record;
use super::{Conn, Result, deliveries, events, idempotency, queue};
use crate::domain::delivery::{Attempt, DeliveryKey};
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;

/// Events with whom they concern, and the names under which they were told.
pub struct Accepted<'a> {
    pub events: &'a [Arc<Event>],
    pub entries: &'a [Entry],
    pub names: &'a [(Named, Vec<EventId>)],
    pub at: Timestamp,
}

/// Writes a batch of events.
pub async fn accept(conn: &mut Conn, accepted: &Accepted<'_>) -> Result<()> {
    let Conn::Postgres(tx) = conn else {
        events::insert(conn, accepted.events).await?;
        queue::insert(conn, accepted.entries).await?;
        return idempotency::insert(conn, accepted.names, accepted.at).await;
    };
    let names = idempotency::Rows::of(accepted.names);
    let sets = [events::rows(accepted.events), queue::rows(accepted.entries), names.set(accepted.at)];
    let insert = "with told as (
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
    Set::together(&sets, tx, insert).await.map(drop)
}

/// Ends deliveries whose claims, given by their fences, still hold, and logs attempts; answers which claims held.
pub async fn end(
    conn: &mut Conn,
    ended: &[(Ended, u32)],
    attempts: &[(DeliveryKey, &Attempt)],
) -> Result<HashSet<(DeliveryKey, u32)>> {
    let Conn::Postgres(tx) = conn else {
        let claims: Vec<(DeliveryKey, u32)> = ended.iter().map(|(ended, fence)| (ended.key, *fence)).collect();
        let held = queue::remove(conn, &claims).await?;
        let ended: Vec<Ended> = ended
            .iter()
            .filter(|(ended, fence)| held.contains(&(ended.key, *fence)))
            .map(|(ended, _)| *ended)
            .collect();
        deliveries::append(conn, &ended).await?;
        deliveries::append_attempts(conn, attempts).await?;
        return Ok(held);
    };
    let outcomes: Vec<Ended> = ended.iter().map(|(ended, _)| *ended).collect();
    let claims = deliveries::rows(&outcomes).ints(ended.iter().map(|(_, fence)| i64::from(*fence)));
    let remove = "with logged as (
             insert into attempts
                 (webhook_id, event_id, number, started_at, took_for, status_code, failure, excerpt, kid)
             select column1, column2, column3, column4, column5, column6, column7, column8, column9
             from {1}
             on conflict do nothing
         ),
         removed as (
             delete from queue
             using {0}
             where queue.webhook_id = given.column1
               and queue.event_id = given.column2
               and queue.claims = given.column6
             returning given.column1, given.column2, given.column3, given.column4, given.column5, given.column6
         ),
         ended as (
             insert into deliveries (webhook_id, event_id, ending, attempts, ended_at)
             select column1, column2, column3, column4, column5
             from removed
         )
         select column1 as webhook_id, column2 as event_id, column6 as claims
         from removed";
    let removed = Set::together(&[claims, deliveries::attempt_rows(attempts)], tx, remove).await?;
    let held = removed.iter().map(|row| {
        let record = Record::new("queue", row);
        Ok((queue::key(&record)?, record.count("claims")?))
    });
    held.collect()
}
