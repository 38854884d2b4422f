//! The audit log. Entries are added and read; nothing here changes or removes one.

use super::query::query;
use super::record::{Record, Row};
use super::{Conn, Result, settings, tenants};
use crate::domain::audit::{Entry, Head, INSTALLATION};
use crate::domain::id::TenantId;

/// Keeps a log for this transaction alone, so that its entries are numbered one at a time.
pub async fn hold(conn: &mut Conn, tenant_id: TenantId) -> Result<()> {
    if tenant_id == INSTALLATION {
        settings::put(conn, settings::AUDIT, "").await
    } else {
        tenants::hold(conn, tenant_id).await.map(drop)
    }
}

/// The last entry of a log; [`Head::NONE`] when it has none.
pub async fn head(conn: &mut Conn, tenant_id: TenantId) -> Result<Head> {
    let row = query(
        "select number, hash
         from audit_log
         where tenant_id = $1
         order by number desc
         limit 1",
    )
    .bind(tenant_id.as_bytes())
    .fetch_optional(conn)
    .await?;
    let Some(row) = &row else { return Ok(Head::NONE) };
    let record = Record::new("audit_log", row);
    Ok(Head { number: record.count("number")?, hash: record.digest("hash")? })
}

/// Adds an entry. A number that is there already is a conflict.
pub async fn append(conn: &mut Conn, tenant_id: TenantId, entry: &Entry) -> Result<()> {
    query(
        "insert into audit_log (tenant_id, number, at, actor, action, subject, detail, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant_id.as_bytes())
    .bind(i64::from(entry.number))
    .bind(entry.at.as_micros())
    .bind(&entry.actor)
    .bind(&entry.action)
    .bind(&entry.subject)
    .bind(&entry.detail)
    .bind(&entry.hash)
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of entries by number, after `after`.
pub async fn list(conn: &mut Conn, tenant_id: TenantId, after: u32, limit: u32) -> Result<Vec<Entry>> {
    let rows = query(
        "select number, at, actor, action, subject, detail, hash
         from audit_log
         where tenant_id = $1
           and number > $2
         order by number
         limit $3",
    )
    .bind(tenant_id.as_bytes())
    .bind(i64::from(after))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(entry).collect()
}

/// A page of entries, the latest first, before `before`.
pub async fn latest(conn: &mut Conn, tenant_id: TenantId, before: Option<u32>, limit: u32) -> Result<Vec<Entry>> {
    let rows = query(
        "select number, at, actor, action, subject, detail, hash
         from audit_log
         where tenant_id = $1
           and number < $2
         order by number desc
         limit $3",
    )
    .bind(tenant_id.as_bytes())
    .bind(before.map_or(i64::MAX, i64::from))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<Entry> {
    let record = Record::new("audit_log", row);
    Ok(Entry {
        number: record.count("number")?,
        at: record.instant("at")?,
        actor: record.text("actor")?,
        action: record.text("action")?,
        subject: record.text("subject")?,
        detail: record.text("detail")?,
        hash: record.digest("hash")?,
    })
}
