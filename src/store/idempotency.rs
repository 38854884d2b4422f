//! Idempotency keys: what was asked under a name, and which events came of it.

use std::collections::HashMap;

use sqlx::{QueryBuilder, Sqlite};

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
    let mut found = HashMap::new();
    for run in bulk::runs(named) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "select tenant_id, key, fingerprint, event_ids
             from idempotency_keys
             where (tenant_id, key) in (",
        );
        query.push_values(run, |mut row, named| {
            row.push_bind(named.tenant_id.as_bytes().to_vec()).push_bind(named.key.clone());
        });
        query.push(")");
        for row in query.build().fetch_all(&mut *conn).await? {
            let record = Record::new("idempotency_keys", &row);
            let ids = record.bytes("event_ids")?;
            let (ids, rest) = ids.as_chunks::<16>();
            if !rest.is_empty() {
                return Err(record.corrupt("event_ids", "not whole ids"));
            }
            let remembered = Remembered {
                fingerprint: record.bytes("fingerprint")?.to_vec(),
                event_ids: ids.iter().copied().map(EventId::from_bytes).collect(),
            };
            found.insert((TenantId::from_bytes(record.id("tenant_id")?), record.text("key")?), remembered);
        }
    }
    Ok(found)
}

pub async fn insert(conn: &mut Conn, rows: &[(&Named, Vec<EventId>)], now: Timestamp) -> Result<()> {
    for run in bulk::runs(rows) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "insert into idempotency_keys (tenant_id, key, fingerprint, event_ids, created_at) ",
        );
        query.push_values(run, |mut row, (named, event_ids)| {
            let ids: Vec<u8> = event_ids.iter().flat_map(|id| *id.as_bytes()).collect();
            row.push_bind(named.tenant_id.as_bytes().to_vec())
                .push_bind(named.key.clone())
                .push_bind(named.fingerprint.to_vec())
                .push_bind(ids)
                .push_bind(now.as_micros());
        });
        query.build().execute(&mut *conn).await?;
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
