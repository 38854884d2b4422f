//! Idempotency keys: what was asked under a name, and which events came of it.

use std::collections::HashMap;

use super::bulk;
use super::record::Record;
use super::{Conn, Result};
use crate::domain::id::{EventId, TenantId};
use crate::domain::time::Timestamp;

/// A name that a caller gave to a request, and the digest of what it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub tenant_id: TenantId,
    pub key: String,
    pub fingerprint: [u8; 32],
}

/// What came of a request the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub fingerprint: Vec<u8>,
    pub event_ids: Vec<EventId>,
}

/// What is remembered under these names, by tenant and key.
pub async fn find(conn: &mut Conn, named: &[&Named]) -> Result<HashMap<(TenantId, String), Remembered>> {
    let select = "select tenant_id, key, fingerprint, event_ids
         from idempotency_keys
         where (tenant_id, key) in (";
    let statements = bulk::lookups(select, named, |row, named| {
        row.push_bind(&named.tenant_id.as_bytes()[..]).push_bind(named.key.as_str());
    });
    let mut found = HashMap::new();
    for mut statement in statements {
        statement.push(")");
        for row in statement.build().fetch_all(&mut *conn).await? {
            let record = Record::new("idempotency_keys", &row);
            let name = (TenantId::from_bytes(record.id("tenant_id")?), record.text("key")?);
            found.insert(name, remembered(&record)?);
        }
    }
    Ok(found)
}

fn remembered(record: &Record<'_>) -> Result<Remembered> {
    let ids = record.bytes("event_ids")?;
    let (ids, rest) = ids.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(record.corrupt("event_ids", "not whole ids"));
    }
    Ok(Remembered {
        fingerprint: record.bytes("fingerprint")?.to_vec(),
        event_ids: ids.iter().copied().map(EventId::from_bytes).collect(),
    })
}

pub async fn insert(conn: &mut Conn, rows: &[(Named, Vec<EventId>)], now: Timestamp) -> Result<()> {
    let insert = "insert into idempotency_keys (tenant_id, key, fingerprint, event_ids, created_at)";
    let statements = bulk::inserts(insert, 5, rows, |row, named| {
        row.push_bind(named.map(|(named, _)| &named.tenant_id.as_bytes()[..]))
            .push_bind(named.map(|(named, _)| named.key.as_str()))
            .push_bind(named.map(|(named, _)| &named.fingerprint[..]))
            .push_bind(named.map(|(_, ids)| ids.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>()))
            .push_bind(named.map(|_| now.as_micros()));
    });
    for mut statement in statements {
        statement.build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// Forgets at most `limit` names older than `before`; answers how many.
pub async fn forget(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64> {
    let forgotten = sqlx::query(
        "delete from idempotency_keys
         where (tenant_id, key) in (
             select tenant_id, key from idempotency_keys where created_at < $1 order by created_at limit $2
         )",
    )
    .bind(before.as_micros())
    .bind(i64::from(limit))
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}
