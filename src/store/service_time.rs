//! Time that the nodes have measured together, and when one of them was last lost.

use std::time::Duration;

use super::query::query;
use super::{Conn, Result, StoreError, settings};
use crate::domain::key_ring::ServiceTime;

pub async fn get(conn: &mut Conn) -> Result<ServiceTime> {
    Ok(read(conn, settings::SERVICE_TIME).await?.unwrap_or_default())
}

/// The count for a change of keys, which begins a new one: what any node measured before is not counted on from here, so
/// nothing that passed before the change can be taken for time after it.
pub async fn mark(conn: &mut Conn) -> Result<ServiceTime> {
    let count = get(conn).await?;
    let marked = count.plus(Duration::from_micros(1));
    if advance(conn, count, marked).await? { Ok(marked) } else { get(conn).await }
}

/// Counts it on, unless somebody else has since it was read. Whoever loses has measured the same span as the winner.
pub async fn advance(conn: &mut Conn, from: ServiceTime, to: ServiceTime) -> Result<bool> {
    let (from, to) = (from.as_micros().to_string(), to.as_micros().to_string());
    let changed = query(
        "insert into settings (name, value)
         values ($1, $3)
         on conflict (name) do update set value = excluded.value
         where settings.value = $2",
    )
    .bind(settings::SERVICE_TIME)
    .bind(&from)
    .bind(&to)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// When a node was last lost.
pub async fn node_lost(conn: &mut Conn) -> Result<Option<ServiceTime>> {
    read(conn, settings::NODE_LOST).await
}

pub async fn note_node_lost(conn: &mut Conn, at: ServiceTime) -> Result<()> {
    settings::put(conn, settings::NODE_LOST, &at.as_micros().to_string()).await
}

async fn read(conn: &mut Conn, name: &str) -> Result<Option<ServiceTime>> {
    let corrupt = StoreError::Corrupt { table: "settings", column: "value", why: "not a number" };
    let Some(text) = settings::get(conn, name).await? else { return Ok(None) };
    text.parse().map(|micros| Some(ServiceTime::from_micros(micros))).map_err(|_| corrupt)
}
