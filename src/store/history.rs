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

/// Where one table keeps one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    table: &'static str,
    day: Timestamp,
}

impl Room {
    /// `events_20260301` for a day in March.
    fn name(self) -> String {
        let date: String = self.day.to_string().chars().take(10).filter(|c| *c != '-').collect();
        format!("{}_{date}", self.table)
    }
}

/// Lets one node sweep at a time, and keeps it from making others wait for tables that somebody reads.
pub async fn hold(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(tx) = conn {
        let patience = "set local lock_timeout = '1s'; set local statement_timeout = '8s'";
        in_time(sqlx::raw_sql(patience).execute(&mut **tx)).await?;
    }
    settings::put(conn, settings::SWEEP, "").await
}

/// The rooms that are missing, of each table, for the days from this instant's on: the furthest day first, which can hold
/// nothing yet. Nothing where days have no rooms of their own.
pub async fn missing_days(conn: &mut Conn, now: Timestamp, ahead: u32) -> Result<Vec<Room>> {
    let Conn::Postgres(tx) = conn else { return Ok(Vec::new()) };
    let there = partitions(tx).await?;
    let days = (0..=ahead).rev().map(|number| now.start_of_day().plus(DAY * number));
    let rooms = days.flat_map(|day| TABLES.map(|table| Room { table, day }));
    Ok(rooms.filter(|room| !there.contains(&room.name())).collect())
}

/// Makes a room. A transaction makes one: tables that are locked together are locked in an order, and this would not be
/// the order of those who write. A conflict says that some of the day's rows lie in the rest.
pub async fn open_day(conn: &mut Conn, room: Room) -> Result<()> {
    let Conn::Postgres(tx) = conn else { return Ok(()) };
    let (name, from, to) = (room.name(), bound(room.day), bound(room.day.plus(DAY)));
    let create =
        format!("create table if not exists {name} partition of {} for values from ({from}) to ({to})", room.table);
    in_time(sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut **tx)).await?;
    Ok(())
}

/// Drops the room in one table of one day that ended by this instant; answers whether there was any. One in a transaction,
/// for the same reason.
pub async fn drop_day(conn: &mut Conn, before: Timestamp) -> Result<bool> {
    let Conn::Postgres(tx) = conn else { return Ok(false) };
    for name in partitions(tx).await? {
        // Names of one table sort by their days.
        let is_over = |table: &'static str| {
            let is_day = name.strip_prefix(table).is_some_and(|rest| rest.starts_with("_2"));
            is_day && name < Room { table, day: before }.name()
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

/// Webhooks with deliveries of events before this one that lie in no day's room, or all of them where days have none.
pub async fn with_deliveries_before(conn: &mut Conn, before: EventId) -> Result<Vec<WebhookId>> {
    // Jumps from webhook to webhook in the index.
    let walk = "with recursive log (webhook_id) as (
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
           and exists (select 1 from deliveries d where d.webhook_id = log.webhook_id and d.event_id < $2)";
    let text = match conn {
        Conn::Sqlite(_) => AssertSqlSafe(walk.to_owned()),
        Conn::Postgres(_) => AssertSqlSafe(walk.replace("from deliveries d", "from deliveries_rest d")),
    };
    let rows = query(text).bind(FIRST).bind(before.as_bytes()).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(WebhookId::from_bytes(Record::new("deliveries", row).id("webhook_id")?))).collect()
}

/// Deletes at most `limit` of a webhook's deliveries of events before this one, with their attempts; answers how many.
pub async fn forget_deliveries(conn: &mut Conn, webhook_id: WebhookId, before: EventId, limit: u32) -> Result<u64> {
    let mut deleted = 0;
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
        deleted = delete.execute(conn).await?;
    }
    Ok(deleted)
}

/// Deletes at most `limit` events before this one; answers how many. Only when nothing refers to them any more.
pub async fn forget_events(conn: &mut Conn, before: EventId, limit: u32) -> Result<u64> {
    query("delete from events where id in (select id from events where id < $1 order by id limit $2)")
        .bind(before.as_bytes())
        .bind(i64::from(limit))
        .execute(conn)
        .await
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

/// The least id of a day's events, as PostgreSQL writes bytes.
fn bound(day: Timestamp) -> String {
    format!("'\\x{:032x}'", u128::from_be_bytes(*EventId::first_at(day).as_bytes()))
}
