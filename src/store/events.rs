//! Events. Written once, in sets, and never changed.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;

use super::bulk;
use super::record::Record;
use super::{Conn, Result};
use crate::domain::event::{Event, Receipt};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId};

pub async fn insert(conn: &mut Conn, events: &[Arc<Event>]) -> Result<()> {
    let insert = "insert into events (id, tenant_id, type, payload, occurred_at, accepted_at, deliveries)";
    let statements = bulk::inserts(insert, 7, events, |row, event| {
        row.push_bind(event.map(|event| &event.id.as_bytes()[..]))
            .push_bind(event.map(|event| &event.tenant_id.as_bytes()[..]))
            .push_bind(event.map(|event| event.event_type.as_str()))
            .push_bind(event.map(|event| &event.payload[..]))
            .push_bind(event.map(|event| event.occurred_at.as_micros()))
            .push_bind(event.map(|event| event.accepted_at.as_micros()))
            .push_bind(event.map(|event| i64::from(event.deliveries)));
    });
    for mut statement in statements {
        statement.build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// The events with these ids, in no particular order; ids that do not exist are passed over. A damaged record spoils
/// nothing but itself.
pub async fn by_ids(conn: &mut Conn, ids: &[EventId]) -> Result<Vec<Result<Event>>> {
    let select = "select id, tenant_id, type, payload, occurred_at, accepted_at, deliveries
         from events
         where id in (";
    let statements = bulk::lookups(select, ids, |row, id| {
        row.push_bind(&id.as_bytes()[..]);
    });
    let mut events = Vec::with_capacity(ids.len());
    for mut statement in statements {
        statement.push(")");
        for row in statement.build().fetch_all(&mut *conn).await? {
            events.push(event(&row));
        }
    }
    Ok(events)
}

/// The event, if it is this tenant's.
pub async fn get(conn: &mut Conn, tenant_id: TenantId, id: EventId) -> Result<Option<Event>> {
    let found = by_ids(conn, &[id]).await?.into_iter().next().transpose()?;
    Ok(found.filter(|event| event.tenant_id == tenant_id))
}

/// A page of a tenant's events, newest first, older than `before`.
pub async fn list(conn: &mut Conn, tenant_id: TenantId, before: Option<EventId>, limit: u32) -> Result<Vec<Event>> {
    let rows = sqlx::query(
        "select id, tenant_id, type, payload, occurred_at, accepted_at, deliveries
         from events
         where tenant_id = $1
           and id < $2
         order by id desc
         limit $3",
    )
    .bind(&tenant_id.as_bytes()[..])
    .bind(before.map_or_else(|| vec![0xff; 17], |id| id.as_bytes().to_vec()))
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

fn event(row: &SqliteRow) -> Result<Event> {
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
