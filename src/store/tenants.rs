//! Tenants.

use super::query::{FIRST, query};
use super::record::{Record, Row};
use super::{Conn, Result, settings};
use crate::domain::id::TenantId;
use crate::domain::tenant::Tenant;
use crate::domain::token::{Algorithm, TokenTtl};

pub async fn insert(conn: &mut Conn, tenant: &Tenant) -> Result<()> {
    query(
        "insert into tenants
             (id, name, is_default, algorithm, token_subject, token_ttl_seconds, keys_version, created_at)
         values ($1, $2, $3, $4, $5, $6, 0, $7)",
    )
    .bind(tenant.id.as_bytes())
    .bind(&tenant.name)
    .bind(i64::from(tenant.is_default))
    .bind(tenant.algorithm.as_str())
    .bind(&tenant.token_subject)
    .bind(i64::from(tenant.token_ttl.as_seconds()))
    .bind(tenant.created_at.as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn default(conn: &mut Conn) -> Result<Option<Tenant>> {
    let row = query(
        "select id, name, is_default, algorithm, token_subject, token_ttl_seconds, created_at
         from tenants
         where is_default = 1",
    )
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(tenant).transpose()
}

/// A page of tenants by id, after `after`.
pub async fn list(conn: &mut Conn, after: Option<TenantId>, limit: u32) -> Result<Vec<Tenant>> {
    let rows = query(
        "select id, name, is_default, algorithm, token_subject, token_ttl_seconds, created_at
         from tenants
         where id > $1
         order by id
         limit $2",
    )
    .bind(after.as_ref().map_or(FIRST, |id| &id.as_bytes()[..]))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(tenant).collect()
}

/// Says that a tenant or its keys changed, so that every node loads them again.
///
/// The number comes from one row that is changed first, so of two transactions the one with the smaller number is
/// committed first: whoever has seen a number has seen every smaller one.
pub async fn touch_keys(conn: &mut Conn, id: TenantId) -> Result<()> {
    query(
        "insert into settings (name, value)
         values ($1, '1')
         on conflict (name) do update set value = cast(cast(settings.value as bigint) + 1 as text)",
    )
    .bind(settings::KEYS_VERSION)
    .execute(conn)
    .await?;
    query(
        "update tenants
         set keys_version = (select cast(value as bigint) from settings where name = $2)
         where id = $1",
    )
    .bind(id.as_bytes())
    .bind(settings::KEYS_VERSION)
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a tenant's row for this transaction alone, so that what is decided about its keys is decided by one at a time.
/// On SQLite every transaction that writes is alone already.
pub async fn hold(conn: &mut Conn, id: TenantId) -> Result<()> {
    if !conn.is_sqlite() {
        query("select id from tenants where id = $1 for update").bind(id.as_bytes()).fetch_optional(conn).await?;
    }
    Ok(())
}

/// Tenants whose keys changed after `version`, with their versions, oldest change first.
pub async fn changed_since(conn: &mut Conn, version: i64, limit: u32) -> Result<Vec<(i64, Tenant)>> {
    let rows = query(
        "select id, name, is_default, algorithm, token_subject, token_ttl_seconds, created_at, keys_version
         from tenants
         where keys_version > $1
         order by keys_version
         limit $2",
    )
    .bind(version)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((Record::new("tenants", row).int("keys_version")?, tenant(row)?))).collect()
}

fn tenant(row: &Row) -> Result<Tenant> {
    let record = Record::new("tenants", row);
    Ok(Tenant {
        id: TenantId::from_bytes(record.id("id")?),
        name: record.text("name")?,
        is_default: record.int("is_default")? == 1,
        algorithm: record.word("algorithm", Algorithm::parse)?,
        token_subject: record.text("token_subject")?,
        token_ttl: TokenTtl::from_seconds(record.int("token_ttl_seconds")?)
            .map_err(|_| record.corrupt("token_ttl_seconds", "out of range"))?,
        created_at: record.instant("created_at")?,
    })
}
