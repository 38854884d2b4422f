//! Tenants.

use sqlx::sqlite::SqliteRow;

use super::record::Record;
use super::{Conn, Result};
use crate::domain::id::TenantId;
use crate::domain::tenant::Tenant;
use crate::domain::token::{Algorithm, TokenTtl};

pub async fn insert(conn: &mut Conn, tenant: &Tenant) -> Result<()> {
    sqlx::query(
        "insert into tenants
             (id, name, is_default, algorithm, token_subject, token_ttl_seconds, keys_version, created_at)
         values ($1, $2, $3, $4, $5, $6, 0, $7)",
    )
    .bind(&tenant.id.as_bytes()[..])
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
    let row = sqlx::query(
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
    let rows = sqlx::query(
        "select id, name, is_default, algorithm, token_subject, token_ttl_seconds, created_at
         from tenants
         where id > $1
         order by id
         limit $2",
    )
    .bind(after.map_or_else(Vec::new, |id| id.as_bytes().to_vec()))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(tenant).collect()
}

/// Says that a tenant or its keys changed, so that every node loads them again.
pub async fn touch_keys(conn: &mut Conn, id: TenantId) -> Result<()> {
    sqlx::query("update tenants set keys_version = (select max(keys_version) from tenants) + 1 where id = $1")
        .bind(&id.as_bytes()[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// Tenants whose keys changed after `version`, with their versions, oldest change first.
pub async fn changed_since(conn: &mut Conn, version: i64, limit: u32) -> Result<Vec<(i64, Tenant)>> {
    let rows = sqlx::query(
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

fn tenant(row: &SqliteRow) -> Result<Tenant> {
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
