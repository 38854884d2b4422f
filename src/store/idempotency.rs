//! Idempotency keys: what was asked under a name, and which events came of it.

use std::collections::HashMap;

use super::bulk::{Set, Words};
use super::query::query;
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
    let rows = Set::default()
        .blobs(named.iter().map(|named| &named.tenant_id.as_bytes()[..]))
        .texts(named.iter().map(|named| named.key.as_str()));
    let found = rows.fetch_all(
        conn,
        Words {
            sqlite: "select tenant_id, key, fingerprint, event_ids
                 from idempotency_keys
                 where (tenant_id, key) in (select column1, column2 from {rows})",
            postgres: "select tenant_id, key, fingerprint, event_ids
                 from {rows}
                 cross join lateral (
                     select tenant_id, key, fingerprint, event_ids
                     from idempotency_keys
                     where tenant_id = given.column1
                       and key = given.column2
                     offset 0
                 ) found",
        },
    );
    let found = found.await?;
    let found = found.iter().map(|row| {
        let record = Record::new("idempotency_keys", row);
        let name = (TenantId::from_bytes(record.id("tenant_id")?), record.text("key")?);
        Ok((name, remembered(&record)?))
    });
    found.collect()
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

pub(super) const INSERT: &str = "insert into idempotency_keys (tenant_id, key, fingerprint, event_ids, created_at)
     select column1, column2, column3, column4, column5
     from {rows}";

/// Remembers what came of these names, in the order of the names, so that two nodes with the same ones do not block each
/// other.
pub async fn insert(conn: &mut Conn, rows: &[(Named, Vec<EventId>)], now: Timestamp) -> Result<()> {
    Rows::of(rows).set(now).execute(conn, INSERT).await
}

/// Names with the ids of their events as they are written.
pub(super) struct Rows<'a>(Vec<(&'a Named, Vec<u8>)>);

impl<'a> Rows<'a> {
    pub(super) fn of(rows: &'a [(Named, Vec<EventId>)]) -> Self {
        let written = |(named, ids): &'a (Named, Vec<EventId>)| {
            (named, ids.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>())
        };
        let mut rows: Vec<_> = rows.iter().map(written).collect();
        rows.sort_unstable_by_key(|(named, _)| (named.tenant_id, &named.key));
        Self(rows)
    }

    pub(super) fn set(&self, now: Timestamp) -> Set<'_> {
        Set::default()
            .blobs(self.0.iter().map(|(named, _)| &named.tenant_id.as_bytes()[..]))
            .texts(self.0.iter().map(|(named, _)| named.key.as_str()))
            .blobs(self.0.iter().map(|(named, _)| &named.fingerprint[..]))
            .blobs(self.0.iter().map(|(_, ids)| ids.as_slice()))
            .ints(self.0.iter().map(|_| now.as_micros()))
    }
}

/// Forgets at most `limit` names older than `before`; answers how many.
pub async fn forget(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64> {
    let text = if conn.is_sqlite() {
        "delete from idempotency_keys
         where (tenant_id, key) in (
             select tenant_id, key from idempotency_keys where created_at < $1 order by created_at limit $2
         )"
    } else {
        "delete from idempotency_keys
         where ctid = any (
             array(select ctid from idempotency_keys where created_at < $1 order by created_at limit $2)
         )"
    };
    let forgotten = query(text).bind(before.as_micros()).bind(i64::from(limit)).execute(conn).await?;
    Ok(forgotten)
}
