//! History: how deliveries ended and every attempt that was made; and the log that joins it with the queue.

use std::cmp::Reverse;
use std::time::Duration;

use super::bulk::{Set, Words};
use super::query::{FIRST, LAST, Query, query};
use super::record::{Record, Row};
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

pub(super) const INSERT: &str = "insert into deliveries (webhook_id, event_id, ending, attempts, ended_at)
     select column1, column2, column3, column4, column5
     from {rows}";

/// The same for a delivery that was made. Should history hold another word about it, the later one counts: a delivery
/// whose end cannot be written would be made again and again.
pub(super) const INSERT_MADE: &str = "insert into deliveries (webhook_id, event_id, ending, attempts, ended_at)
     select column1, column2, column3, column4, column5
     from {rows}
     where true
     on conflict (webhook_id, event_id) do update
         set ending = excluded.ending, attempts = excluded.attempts, ended_at = excluded.ended_at";

pub async fn append(conn: &mut Conn, ended: &[Ended]) -> Result<()> {
    rows(ended).execute(conn, INSERT).await
}

/// The same for deliveries that were made.
pub async fn append_made(conn: &mut Conn, ended: &[Ended]) -> Result<()> {
    rows(ended).execute(conn, INSERT_MADE).await
}

pub(super) fn rows(ended: &[Ended]) -> Set<'_> {
    Set::default()
        .blobs(ended.iter().map(|ended| &ended.key.webhook_id.as_bytes()[..]))
        .blobs(ended.iter().map(|ended| &ended.key.event_id.as_bytes()[..]))
        .texts(ended.iter().map(|ended| ended.ending.as_str()))
        .ints(ended.iter().map(|ended| i64::from(ended.attempts)))
        .ints(ended.iter().map(|ended| ended.at.as_micros()))
}

pub(super) const INSERT_ATTEMPTS: &str = "insert into attempts
         (webhook_id, event_id, number, started_at, took_for, status_code, failure, excerpt, kid)
     select column1, column2, column3, column4, column5, column6, column7, column8, column9
     from {rows}
     where true
     on conflict do nothing";

/// Logs attempts. One that is in the log already, because its batch was written twice, stays as it is.
pub async fn append_attempts(conn: &mut Conn, attempts: &[(DeliveryKey, &Attempt)]) -> Result<()> {
    let attempts: Vec<_> = attempts.iter().map(|(key, attempt)| (*key, Some(*attempt))).collect();
    attempt_rows(&attempts).execute(conn, INSERT_ATTEMPTS).await
}

/// Deliveries with the attempts that were made of them, or nulls where none was.
pub(super) fn attempt_rows<'a>(attempts: &'a [(DeliveryKey, Option<&'a Attempt>)]) -> Set<'a> {
    let made = || attempts.iter().map(|(_, attempt)| *attempt);
    let outcomes = || made().map(|attempt| attempt.map(|attempt| &attempt.outcome));
    let status_code = |outcome: &Outcome| match outcome {
        Outcome::Answered { status_code, .. } => Some(i64::from(*status_code)),
        Outcome::Failed(_) => None,
    };
    let failure = |outcome: &Outcome| match outcome {
        Outcome::Answered { .. } => None,
        Outcome::Failed(kind) => Some(kind.record()),
    };
    let took_for = |attempt: &Attempt| i64::try_from(attempt.took_for.as_micros()).unwrap_or(i64::MAX);
    Set::default()
        .blobs(attempts.iter().map(|(key, _)| &key.webhook_id.as_bytes()[..]))
        .blobs(attempts.iter().map(|(key, _)| &key.event_id.as_bytes()[..]))
        .ints(made().map(|attempt| attempt.map(|attempt| i64::from(attempt.number))))
        .ints(made().map(|attempt| attempt.map(|attempt| attempt.started_at.as_micros())))
        .ints(made().map(|attempt| attempt.map(took_for)))
        .ints(outcomes().map(|outcome| outcome.and_then(status_code)))
        .texts(outcomes().map(|outcome| outcome.and_then(failure)))
        .texts(made().map(|attempt| attempt.map(|attempt| attempt.excerpt.as_str())))
        .texts(made().map(|attempt| attempt.and_then(|attempt| attempt.kid.as_deref())))
}

/// Takes a delivery out of history, so that it can be queued again; answers how often it had been tried.
pub async fn reopen(conn: &mut Conn, key: DeliveryKey) -> Result<Option<u32>> {
    let row = query("delete from deliveries where webhook_id = $1 and event_id = $2 returning attempts")
        .bind(key.webhook_id.as_bytes())
        .bind(key.event_id.as_bytes())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| Record::new("deliveries", row).count("attempts")).transpose()
}

/// Deliveries as they are shown, of one of the tables that hold them, each with its event's type and its last attempt.
///
/// The type is asked for row by row and not joined: a database that begins with the events, because they too are in the
/// order of the page, reads those of everybody.
macro_rules! select_deliveries {
    ([$ending:literal, $at:literal, $handed_over:literal], $from:literal, $rest:literal) => {
        select_deliveries!([$ending, $at, $handed_over], [$from, $from], $rest)
    };
    (
        [$ending:literal, $at:literal, $handed_over:literal],
        [$from_on_sqlite:literal, $from_on_postgres:literal],
        $rest:literal
    ) => {
        Words {
            sqlite: select_deliveries!(
                @ [$ending, $at, $handed_over],
                $from_on_sqlite,
                "left join attempts a
                        on a.webhook_id = d.webhook_id
                       and a.event_id = d.event_id
                       and a.number = (
                           select max(l.number)
                           from attempts l
                           where l.webhook_id = d.webhook_id
                             and l.event_id = d.event_id
                       )",
                $rest
            ),
            postgres: select_deliveries!(
                @ [$ending, $at, $handed_over],
                $from_on_postgres,
                "left join lateral (
                     select l.number, l.started_at, l.status_code, l.failure
                     from attempts l
                     where l.webhook_id = d.webhook_id
                       and l.event_id = d.event_id
                     order by l.number desc
                     limit 1
                 ) a on true",
                $rest
            ),
        }
    };
    (@ [$ending:literal, $at:literal, $handed_over:literal], $from:literal, $join:literal, $rest:literal) => {
        concat!(
            "select d.webhook_id, d.event_id, ",
            $ending,
            " as ending, d.attempts, ",
            $at,
            " as at, ",
            $handed_over,
            " as handed_over_at,
                (select e.type from events e where e.id = d.event_id) as type,
                a.number, a.started_at, a.status_code, a.failure ",
            $from,
            " ",
            $join,
            " ",
            $rest
        )
    };
}

/// A page of a webhook's deliveries, newest event first.
pub async fn list(conn: &mut Conn, webhook_id: WebhookId, filter: &Filter, limit: u32) -> Result<Vec<Delivery>> {
    let queued = select_deliveries!(
        ["cast(null as text)", "case when d.node_id is null then d.due_at end", "cast(null as bigint)"],
        "from queue d",
        "where d.webhook_id = $1
           and d.event_id < $2
           and d.event_id >= $3
           and (substr((select e.type || '.' from events e where e.id = d.event_id), 1, length(cast($4 as text)) + 1)
                = cast($4 as text) || '.' or cast($4 as text) is null)
           and case when a.failure is not null or a.status_code not between 200 and 299 then $6 = 1 else $7 = 1 end
         order by d.event_id desc
         limit $5"
    );
    let mailed = select_deliveries!(
        ["cast(null as text)", "d.available_at", "d.handed_over_at"],
        "from mailbox d",
        "where d.webhook_id = $1
           and d.event_id < $2
           and d.event_id >= $3
           and (substr((select e.type || '.' from events e where e.id = d.event_id), 1, length(cast($4 as text)) + 1)
                = cast($4 as text) || '.' or cast($4 as text) is null)
           and case when a.failure is not null or a.status_code not between 200 and 299 then $6 = 1 else $7 = 1 end
         order by d.event_id desc
         limit $5"
    );
    let ended = select_deliveries!(
        ["d.ending", "d.ended_at", "cast(null as bigint)"],
        "from deliveries d",
        "where d.webhook_id = $1
           and d.event_id < $2
           and d.event_id >= $3
           and (substr((select e.type || '.' from events e where e.id = d.event_id), 1, length(cast($4 as text)) + 1)
                = cast($4 as text) || '.' or cast($4 as text) is null)
           and case d.ending when 'delivered' then $6 = 1 when 'exhausted' then $7 = 1 else $8 = 1 end
         order by d.event_id desc
         limit $5"
    );
    let mut rows = Vec::new();
    for (words, states) in [
        (queued, &["failed", "pending"][..]),
        (mailed, &["failed", "pending"]),
        (ended, &["delivered", "exhausted", "cancelled"]),
    ] {
        let wants = |state: &&str| i64::from(filter.states.is_empty() || filter.states.contains(state));
        let page = query(words.of(conn))
            .bind(webhook_id.as_bytes())
            .bind(filter.before.as_ref().map_or(LAST, |id| &id.as_bytes()[..]))
            .bind(filter.from.as_ref().map_or(FIRST, |id| &id.as_bytes()[..]))
            .bind(filter.event_type.as_ref().map(EventType::as_str))
            .bind(i64::from(limit));
        if states.iter().any(|state| wants(state) == 1) {
            rows.extend(states.iter().map(wants).fold(page, Query::bind).fetch_all(conn).await?);
        }
    }
    let mut page = rows.iter().filter(|row| has_event(row)).map(delivery).collect::<Result<Vec<_>>>()?;
    page.sort_by_key(|delivery| Reverse(delivery.key.event_id));
    page.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(page)
}

/// The deliveries of one event, of every webhook that the tenant has or had; at most `limit`.
pub async fn of_event(conn: &mut Conn, tenant_id: TenantId, event_id: EventId, limit: u32) -> Result<Vec<Delivery>> {
    let queued = select_deliveries!(
        ["cast(null as text)", "case when d.node_id is null then d.due_at end", "cast(null as bigint)"],
        [
            "from webhooks w
             join queue d on d.webhook_id = w.id and d.event_id = $2",
            "from webhooks w
             cross join lateral (
                 select q.webhook_id, q.event_id, q.attempts, q.due_at, q.node_id
                 from queue q
                 where q.webhook_id = w.id
                   and q.event_id = $2
                 offset 0
             ) d"
        ],
        "where w.tenant_id = $1
         order by w.id
         limit $3"
    );
    let mailed = select_deliveries!(
        ["cast(null as text)", "d.available_at", "d.handed_over_at"],
        [
            "from webhooks w
             join mailbox d on d.webhook_id = w.id and d.event_id = $2",
            "from webhooks w
             cross join lateral (
                 select m.webhook_id, m.event_id, m.attempts, m.available_at, m.handed_over_at
                 from mailbox m
                 where m.webhook_id = w.id
                   and m.event_id = $2
                 offset 0
             ) d"
        ],
        "where w.tenant_id = $1
         order by w.id
         limit $3"
    );
    let ended = select_deliveries!(
        ["d.ending", "d.ended_at", "cast(null as bigint)"],
        [
            "from webhooks w
             join deliveries d on d.webhook_id = w.id and d.event_id = $2",
            "from webhooks w
             cross join lateral (
                 select h.webhook_id, h.event_id, h.ending, h.attempts, h.ended_at
                 from deliveries h
                 where h.webhook_id = w.id
                   and h.event_id = $2
                 offset 0
             ) d"
        ],
        "where w.tenant_id = $1
         order by w.id
         limit $3"
    );
    let mut rows = Vec::new();
    for words in [queued, mailed, ended] {
        let page = query(words.of(conn)).bind(tenant_id.as_bytes()).bind(event_id.as_bytes()).bind(i64::from(limit));
        rows.extend(page.fetch_all(conn).await?);
    }
    let mut deliveries = rows.iter().filter(|row| has_event(row)).map(delivery).collect::<Result<Vec<_>>>()?;
    deliveries.sort_by_key(|delivery| delivery.key.webhook_id);
    deliveries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(deliveries)
}

/// Every attempt of a delivery, in order.
pub async fn attempts(conn: &mut Conn, key: DeliveryKey) -> Result<Vec<Attempt>> {
    let rows = query(
        "select number, started_at, took_for, status_code, failure, excerpt, kid
         from attempts
         where webhook_id = $1
           and event_id = $2
         order by number",
    )
    .bind(key.webhook_id.as_bytes())
    .bind(key.event_id.as_bytes())
    .fetch_all(conn)
    .await?;
    rows.iter().map(attempt).collect()
}

/// Whether a delivery's event is there still: days are forgotten table by table.
fn has_event(row: &Row) -> bool {
    Record::new("deliveries", row).text_or_null("type").is_ok_and(|name| name.is_some())
}

fn delivery(row: &Row) -> Result<Delivery> {
    let record = Record::new("deliveries", row);
    let tried_at = record.instant_or_null("started_at")?;
    let last_outcome = if tried_at.is_some() { Some(outcome(&record)?) } else { None };
    let state = match (record.text_or_null("ending")?, &last_outcome) {
        (Some(_), _) => {
            DeliveryState::Ended { ending: record.word("ending", Ending::parse)?, at: record.instant("at")? }
        }
        (None, Some(last)) if !last.is_acknowledged() => {
            DeliveryState::Failed { due_at: record.instant_or_null("at")? }
        }
        // Never tried, or acknowledged and asked for again.
        (None, _) => DeliveryState::Pending { due_at: record.instant_or_null("at")? },
    };
    Ok(Delivery {
        key: DeliveryKey {
            webhook_id: WebhookId::from_bytes(record.id("webhook_id")?),
            event_id: EventId::from_bytes(record.id("event_id")?),
        },
        event_type: record.word("type", |text| text.parse::<EventType>().ok())?,
        state,
        attempts: record.count("attempts")?,
        // Being handed over is written into the log when it is known what came of it.
        last_attempt_at: record.instant_or_null("handed_over_at")?.or(tried_at),
        last_outcome,
    })
}

fn attempt(row: &Row) -> Result<Attempt> {
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
        None => Ok(Outcome::Failed(record.word("failure", FailureKind::from_record)?)),
    }
}
