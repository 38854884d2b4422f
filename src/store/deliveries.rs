//! History: how deliveries ended and every attempt that was made; and the log that joins it with the queue.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;

use super::bulk;
use super::record::Record;
use super::{Conn, Result};
use crate::domain::delivery::{Attempt, Delivery, DeliveryKey, DeliveryState, Ending, FailureKind, Outcome};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::time::Timestamp;

/// A delivery that is over.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub key: DeliveryKey,
    pub ending: Ending,
    pub attempts: u32,
    pub at: Timestamp,
}

/// Which deliveries of a webhook to show. Ids bound the time, because an id begins with its instant.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Only deliveries of events below this id (exclusive): the cursor, or the end of the time asked for.
    pub before: Option<EventId>,
    /// Only deliveries of events from this id on (inclusive).
    pub from: Option<EventId>,
    /// Words of [`DeliveryState::NAMES`]; empty for all.
    pub states: Vec<&'static str>,
    pub event_type: Option<EventType>,
}

pub async fn append(conn: &mut Conn, ended: &[Ended]) -> Result<()> {
    let insert = "insert into deliveries (webhook_id, event_id, ending, attempts, ended_at)";
    let statements = bulk::inserts(insert, 5, ended, |row, ended| {
        row.push_bind(ended.map(|ended| &ended.key.webhook_id.as_bytes()[..]))
            .push_bind(ended.map(|ended| &ended.key.event_id.as_bytes()[..]))
            .push_bind(ended.map(|ended| ended.ending.as_str()))
            .push_bind(ended.map(|ended| i64::from(ended.attempts)))
            .push_bind(ended.map(|ended| ended.at.as_micros()));
    });
    for mut statement in statements {
        statement.build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// Logs attempts. One that is in the log already, because its batch was written twice, stays as it is.
pub async fn append_attempts(conn: &mut Conn, attempts: &[(DeliveryKey, &Attempt)]) -> Result<()> {
    let insert = "insert into attempts
         (webhook_id, event_id, number, started_at, took_for, status_code, failure, excerpt, kid)";
    let statements = bulk::inserts(insert, 9, attempts, |row, logged| {
        let attempt = logged.map(|(_, attempt)| *attempt);
        let (status_code, failure) = match attempt.map(|attempt| &attempt.outcome) {
            Some(Outcome::Answered { status_code, .. }) => (Some(i64::from(*status_code)), None),
            Some(Outcome::Failed(kind)) => (None, Some(kind.as_str())),
            None => (None, None),
        };
        row.push_bind(logged.map(|(key, _)| &key.webhook_id.as_bytes()[..]))
            .push_bind(logged.map(|(key, _)| &key.event_id.as_bytes()[..]))
            .push_bind(attempt.map(|attempt| i64::from(attempt.number)))
            .push_bind(attempt.map(|attempt| attempt.started_at.as_micros()))
            .push_bind(attempt.map(|attempt| i64::try_from(attempt.took_for.as_micros()).unwrap_or(i64::MAX)))
            .push_bind(status_code)
            .push_bind(failure)
            .push_bind(attempt.map(|attempt| attempt.excerpt.as_str()))
            .push_bind(attempt.and_then(|attempt| attempt.kid.as_deref()));
    });
    for mut statement in statements {
        statement.push(" on conflict do nothing");
        statement.build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// Takes a delivery out of history, so that it can be queued again; answers how often it had been tried.
pub async fn reopen(conn: &mut Conn, key: DeliveryKey) -> Result<Option<u32>> {
    let row = sqlx::query("delete from deliveries where webhook_id = $1 and event_id = $2 returning attempts")
        .bind(&key.webhook_id.as_bytes()[..])
        .bind(&key.event_id.as_bytes()[..])
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| Record::new("deliveries", row).count("attempts")).transpose()
}

/// Deliveries as they are shown, each with its event's type and its last attempt: `$inner` finds them, `$rest` orders them.
macro_rules! select_deliveries {
    ($inner:literal, $rest:literal) => {
        concat!(
            "select d.webhook_id, d.event_id, d.ending, d.attempts, d.at, e.type,
                a.number, a.started_at, a.status_code, a.failure
         from (",
            $inner,
            "         ) d
         join events e on e.id = d.event_id
         left join attempts a
                on a.webhook_id = d.webhook_id
               and a.event_id = d.event_id
               and a.number = (
                   select max(l.number) from attempts l where l.webhook_id = d.webhook_id and l.event_id = d.event_id
               ) ",
            $rest
        )
    };
}

/// A page of a webhook's deliveries, newest event first.
///
/// Queue and history are both in the order of the page, so the database merges them and stops when the page is full.
/// Without the cast, `ending` would have a type in one and none in the other, and SQLite would read and sort them whole.
pub async fn list(conn: &mut Conn, webhook_id: WebhookId, filter: &Filter, limit: u32) -> Result<Vec<Delivery>> {
    let wants = |state: &str| filter.states.is_empty() || filter.states.contains(&state);
    let rows = sqlx::query(select_deliveries!(
        "
             select webhook_id, event_id, cast(null as text) as ending, attempts, due_at as at
             from queue
             where webhook_id = $1 and event_id < $2 and event_id >= $3 and ($4 or $5)
             union all
             select webhook_id, event_id, ending, attempts, ended_at as at
             from deliveries
             where webhook_id = $1 and event_id < $2 and event_id >= $3 and ($6 or $7 or $8)
        ",
        "where case
                   when d.ending is null and (a.failure is not null or a.status_code not between 200 and 299) then $5
                   when d.ending is null then $4
                   when d.ending = 'delivered' then $6
                   when d.ending = 'exhausted' then $7
                   else $8
               end
           and ($9 is null or e.type = $9)
         order by d.event_id desc
         limit $10"
    ))
    .bind(&webhook_id.as_bytes()[..])
    .bind(filter.before.map_or_else(|| vec![0xff; 17], |id| id.as_bytes().to_vec()))
    .bind(filter.from.map_or_else(Vec::new, |id| id.as_bytes().to_vec()))
    .bind(i64::from(wants("pending")))
    .bind(i64::from(wants("failed")))
    .bind(i64::from(wants("delivered")))
    .bind(i64::from(wants("exhausted")))
    .bind(i64::from(wants("cancelled")))
    .bind(filter.event_type.as_ref().map(|name| name.as_str().to_owned()))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(delivery).collect()
}

/// The deliveries of one event, of every webhook that the tenant has or had; at most `limit`.
pub async fn of_event(conn: &mut Conn, tenant_id: TenantId, event_id: EventId, limit: u32) -> Result<Vec<Delivery>> {
    let rows = sqlx::query(select_deliveries!(
        "
             select q.webhook_id, q.event_id, cast(null as text) as ending, q.attempts, q.due_at as at
             from webhooks w
             join queue q on q.webhook_id = w.id and q.event_id = $2
             where w.tenant_id = $1
             union all
             select h.webhook_id, h.event_id, h.ending, h.attempts, h.ended_at as at
             from webhooks w
             join deliveries h on h.webhook_id = w.id and h.event_id = $2
             where w.tenant_id = $1
        ",
        "order by d.webhook_id
         limit $3"
    ))
    .bind(&tenant_id.as_bytes()[..])
    .bind(&event_id.as_bytes()[..])
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(delivery).collect()
}

/// Every attempt of a delivery, in order.
pub async fn attempts(conn: &mut Conn, key: DeliveryKey) -> Result<Vec<Attempt>> {
    let rows = sqlx::query(
        "select number, started_at, took_for, status_code, failure, excerpt, kid
         from attempts
         where webhook_id = $1
           and event_id = $2
         order by number",
    )
    .bind(&key.webhook_id.as_bytes()[..])
    .bind(&key.event_id.as_bytes()[..])
    .fetch_all(conn)
    .await?;
    rows.iter().map(attempt).collect()
}

fn delivery(row: &SqliteRow) -> Result<Delivery> {
    let record = Record::new("deliveries", row);
    let at = record.instant("at")?;
    let last_attempt_at = record.instant_or_null("started_at")?;
    let last_outcome = if last_attempt_at.is_some() { Some(outcome(&record)?) } else { None };
    let state = match (record.text_or_null("ending")?, &last_outcome) {
        (Some(_), _) => DeliveryState::Ended { ending: record.word("ending", Ending::parse)?, at },
        (None, Some(last)) if !last.is_acknowledged() => DeliveryState::Failed { due_at: at },
        // Never tried, or acknowledged and asked for again.
        (None, _) => DeliveryState::Pending { due_at: at },
    };
    Ok(Delivery {
        key: DeliveryKey {
            webhook_id: WebhookId::from_bytes(record.id("webhook_id")?),
            event_id: EventId::from_bytes(record.id("event_id")?),
        },
        event_type: record.word("type", |text| text.parse::<EventType>().ok())?,
        state,
        attempts: record.count("attempts")?,
        last_attempt_at,
        last_outcome,
    })
}

fn attempt(row: &SqliteRow) -> Result<Attempt> {
    let record = Record::new("attempts", row);
    let took_for = u64::try_from(record.int("took_for")?).map_err(|_| record.corrupt("took_for", "negative"))?;
    Ok(Attempt {
        number: record.count("number")?,
        started_at: record.instant("started_at")?,
        took_for: Duration::from_micros(took_for),
        outcome: outcome(&record)?,
        excerpt: record.text("excerpt")?,
        kid: record.text_or_null("kid")?,
    })
}

fn outcome(record: &Record<'_>) -> Result<Outcome> {
    match record.int_or_null("status_code")? {
        Some(code) => {
            let status_code = u16::try_from(code).map_err(|_| record.corrupt("status_code", "out of range"))?;
            Ok(Outcome::Answered { status_code, retry_after: None })
        }
        None => Ok(Outcome::Failed(record.word("failure", FailureKind::parse)?)),
    }
}
