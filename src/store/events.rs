//! Events. Written once, in sets, and never changed.

use std::sync::Arc;

use super::bulk::{Set, Words};
use super::query::{LAST, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::event::{Event, Receipt};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId, WebhookId};

pub(super) const INSERT: &str =
    "insert into events (id, tenant_id, type, payload, occurred_at, accepted_at, deliveries)
     select column1, column2, column3, column4, column5, column6, column7
     from {rows}";

pub async fn insert(conn: &mut Conn, events: &[Arc<Event>]) -> Result<()> {
    rows(events).execute(conn, INSERT).await
}

/// Writes an event that was made for one webhook: it is shown like any other, and never meant for another webhook.
pub async fn insert_probe(conn: &mut Conn, event: &Event, webhook_id: WebhookId) -> Result<()> {
    query(
        "insert into events (id, tenant_id, type, payload, occurred_at, accepted_at, deliveries, probed_webhook_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(event.id.as_bytes())
    .bind(event.tenant_id.as_bytes())
    .bind(event.event_type.as_str())
    .bind(&event.payload[..])
    .bind(event.occurred_at.as_micros())
    .bind(event.accepted_at.as_micros())
    .bind(i64::from(event.deliveries))
    .bind(webhook_id.as_bytes())
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) fn rows(events: &[Arc<Event>]) -> Set<'_> {
    Set::default()
        .blobs(events.iter().map(|event| &event.id.as_bytes()[..]))
        .blobs(events.iter().map(|event| &event.tenant_id.as_bytes()[..]))
        .texts(events.iter().map(|event| event.event_type.as_str()))
        .blobs(events.iter().map(|event| &event.payload[..]))
        .ints(events.iter().map(|event| event.occurred_at.as_micros()))
        .ints(events.iter().map(|event| event.accepted_at.as_micros()))
        .ints(events.iter().map(|event| i64::from(event.deliveries)))
}

/// The events with these ids, in no particular order; ids that do not exist are passed over. A damaged record spoils
/// nothing but itself.
pub async fn by_ids(conn: &mut Conn, ids: &[EventId]) -> Result<Vec<Result<Event>>> {
    let rows = Set::default().blobs(ids.iter().map(|id| &id.as_bytes()[..]));
    let found = rows.fetch_all(
        conn,
        Words {
            sqlite: "select id, tenant_id, type, payload, occurred_at, accepted_at, deliveries
                 from events
                 where id in (select column1 from {rows})",
            postgres: "select id, tenant_id, type, payload, occurred_at, accepted_at, deliveries
                 from {rows}
                 cross join lateral (
                     select id, tenant_id, type, payload, occurred_at, accepted_at, deliveries
                     from events
                     where id = given.column1
                     offset 0
                 ) found",
        },
    );
    Ok(found.await?.iter().map(event).collect())
}

/// The event, if it is this tenant's.
pub async fn get(conn: &mut Conn, tenant_id: TenantId, id: EventId) -> Result<Option<Event>> {
    let found = by_ids(conn, &[id]).await?.into_iter().next().transpose()?;
    Ok(found.filter(|event| event.tenant_id == tenant_id))
}

/// A page of a tenant's events, newest first, older than `before`.
pub async fn list(conn: &mut Conn, tenant_id: TenantId, before: Option<EventId>, limit: u32) -> Result<Vec<Event>> {
    let rows = query(
        "select id, tenant_id, type, payload, occurred_at, accepted_at, deliveries
         from events
         where tenant_id = $1
           and id < $2
         order by id desc
         limit $3",
    )
    .bind(tenant_id.as_bytes())
    .bind(before.as_ref().map_or(LAST, |id| &id.as_bytes()[..]))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(event).collect()
}

/// What was answered about these events when they were accepted, in the order of `ids`.
pub async fn receipts(conn: &mut Conn, ids: &[EventId]) -> Result<Vec<Receipt>> {
    let events: Vec<Event> = by_ids(conn, ids).await?.into_iter().collect::<Result<_>>()?;
    let of = |id: &EventId| events.iter().find(|event| event.id == *id);
    Ok(ids
        .iter()
        .filter_map(of)
        .map(|event| Receipt { event_id: event.id, event_type: event.event_type.clone(), deliveries: event.deliveries })
        .collect())
}

fn event(row: &Row) -> Result<Event> {
    let record = Record::new("events", row);
    Ok(Event {
        id: EventId::from_bytes(record.id("id")?),
        tenant_id: TenantId::from_bytes(record.id("tenant_id")?),
        event_type: record.word("type", |text| text.parse::<EventType>().ok())?,
        payload: record.bytes("payload")?,
        occurred_at: record.instant("occurred_at")?,
        accepted_at: record.instant("accepted_at")?,
        deliveries: record.count("deliveries")?,
    })
}
