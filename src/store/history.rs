//! Forgetting history: events, deliveries and attempts, all of a day's events together.
//!
//! On PostgreSQL each day has a partition of each table, which is dropped whole: nothing is left to clean up. What lies in
//! no day's partition, and everything on SQLite, is deleted in bounded batches; SQLite uses the room again.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::query::{FIRST, in_time, query};
use super::record::Record;
use super::{Conn, Result, StoreError, settings};
use crate::domain::id::{EventId, WebhookId};
use crate::domain::time::Timestamp;

/// The tables that are cut by days; the one that others refer to comes last.
const TABLES: [&str; 3] = ["attempts", "deliveries", "events"];
const DAY: Duration = Duration::from_hours(24);
/// Webhooks whose history is shortened in one transaction.
const WEBHOOKS_MAX: u32 = 16;

/// Lets one node sweep at a time, and keeps it from waiting long for tables that others read.
pub async fn hold(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(tx) = conn {
        in_time(sqlx::raw_sql("set local lock_timeout = '1s'").execute(&mut **tx)).await?;
    }
    settings::put(conn, settings::SWEEP, "").await
}

/// Makes room in one table for one of the days from this instant's on, where days have rooms of their own; answers whether
/// any lacked one. A transaction makes one: tables that are locked together are locked in an order, and this is not the
/// order of those who write.
pub async fn open_day(conn: &mut Conn, now: Timestamp, ahead: u32) -> Result<bool> {
    let Conn::Postgres(tx) = conn else { return Ok(false) };
    let there = partitions(tx).await?;
    for day in (0..=ahead).map(|number| now.start_of_day().plus(DAY * number)) {
        for table in TABLES {
            let name = partition_of(table, day);
            if !there.contains(&name) {
                let (from, to) = (bound(day), bound(day.plus(DAY)));
                let create = format!("create table {name} partition of {table} for values from ({from}) to ({to})");
                in_time(sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut **tx)).await?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Drops the room in one table of one day that ended by this instant; answers whether there was any. One in a transaction,
/// for the same reason.
pub async fn drop_day(conn: &mut Conn, before: Timestamp) -> Result<bool> {
    let Conn::Postgres(tx) = conn else { return Ok(false) };
    for name in partitions(tx).await? {
        // Names of one table sort by their days.
        let is_over = |table: &str| {
            let is_day = name.strip_prefix(table).is_some_and(|rest| rest.starts_with("_2"));
            is_day && name < partition_of(table, before)
        };
        if TABLES.into_iter().any(is_over) {
            in_time(sqlx::raw_sql(AssertSqlSafe(format!("drop table {name}"))).execute(&mut **tx)).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The oldest event that still waits to be delivered to anybody.
pub async fn oldest_queued(conn: &mut Conn) -> Result<Option<EventId>> {
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
         select (
                select q.event_id from queue q where q.webhook_id = lane.webhook_id order by q.event_id limit 1
             ) as event_id
         from lane
         where lane.webhook_id is not null",
    )
    .bind(FIRST)
    .fetch_all(conn)
    .await?;
    let ids = rows.iter().map(|row| Record::new("queue", row).id_or_null("event_id"));
    let ids: Vec<Option<[u8; 16]>> = ids.collect::<Result<_>>()?;
    Ok(ids.into_iter().flatten().min().map(EventId::from_bytes))
}

/// Deletes a batch of what belongs to events before this one: at most `limit` deliveries of some webhooks with their
/// attempts or, when none are left, as many events. Answers whether there may be more.
pub async fn forget(conn: &mut Conn, before: EventId, limit: u32) -> Result<bool> {
    let webhooks = with_deliveries_before(conn, before).await?;
    for webhook_id in &webhooks {
        for text in [
            "delete from attempts
             where webhook_id = $1
               and event_id in (
                   select event_id from deliveries where webhook_id = $1 and event_id < $2 order by event_id limit $3
               )",
            "delete from deliveries
             where webhook_id = $1
               and event_id in (
                   select event_id from deliveries where webhook_id = $1 and event_id < $2 order by event_id limit $3
               )",
        ] {
            let delete = query(text).bind(webhook_id.as_bytes()).bind(before.as_bytes()).bind(i64::from(limit));
            delete.execute(conn).await?;
        }
    }
    if !webhooks.is_empty() {
        return Ok(true);
    }
    let events = query("delete from events where id in (select id from events where id < $1 order by id limit $2)")
        .bind(before.as_bytes())
        .bind(i64::from(limit))
        .execute(conn)
        .await?;
    Ok(events == u64::from(limit))
}

/// Some of the webhooks with deliveries of events before this one. Jumps from webhook to webhook in the index.
async fn with_deliveries_before(conn: &mut Conn, before: EventId) -> Result<Vec<WebhookId>> {
    let rows = query(
        "with recursive log (webhook_id) as (
             select (select d.webhook_id from deliveries d where d.webhook_id > $1 order by d.webhook_id limit 1)
             union all
             select (
                 select d.webhook_id
                 from deliveries d
                 where d.webhook_id > log.webhook_id
                 order by d.webhook_id
                 limit 1
             )
             from log
             where log.webhook_id is not null
         )
         select log.webhook_id
         from log
         where log.webhook_id is not null
           and exists (select 1 from deliveries d where d.webhook_id = log.webhook_id and d.event_id < $2)
         limit $3",
    )
    .bind(FIRST)
    .bind(before.as_bytes())
    .bind(i64::from(WEBHOOKS_MAX))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(WebhookId::from_bytes(Record::new("deliveries", row).id("webhook_id")?))).collect()
}

/// The partitions of all tables that are cut by days.
async fn partitions(conn: &mut sqlx::PgConnection) -> Result<Vec<String>> {
    let names = TABLES.map(|table| format!("'{table}'::regclass")).join(", ");
    let list = format!(
        "select c.relname::text as name
         from pg_inherits i
         join pg_class c on c.oid = i.inhrelid
         where i.inhparent in ({names})
         order by c.relname"
    );
    let rows = in_time(sqlx::query(AssertSqlSafe(list)).fetch_all(conn)).await?;
    rows.iter().map(|row| row.try_get("name").map_err(StoreError::from)).collect()
}

/// `events_20260301` for a day in March.
fn partition_of(table: &str, day: Timestamp) -> String {
    let date: String = day.to_string().chars().take(10).filter(|c| *c != '-').collect();
    format!("{table}_{date}")
}

/// The least id of a day's events, as PostgreSQL writes bytes.
fn bound(day: Timestamp) -> String {
    format!("'\\x{:032x}'", u128::from_be_bytes(*EventId::first_at(day).as_bytes()))
}
