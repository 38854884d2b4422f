//! API keys, by their digests.

use super::query::{FIRST, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::access::{ApiKey, Scope};
use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::time::Timestamp;

pub async fn insert(conn: &mut Conn, key: &ApiKey, digest: &[u8; 32]) -> Result<()> {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    query(
        "insert into api_keys (id, tenant_id, digest, label, tail, scopes, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(key.id.as_bytes())
    .bind(key.tenant_id.as_ref().map(TenantId::as_bytes))
    .bind(digest)
    .bind(&key.label)
    .bind(&key.tail)
    .bind(&scopes.join(" "))
    .bind(key.created_at.as_micros())
    .execute(conn)
    .await?;
    Ok(())
}

/// The key with this digest, unless it was revoked.
pub async fn find(conn: &mut Conn, digest: &[u8; 32]) -> Result<Option<ApiKey>> {
    let row = query(
        "select id, tenant_id, label, tail, scopes, created_at, revoked_at
         from api_keys
         where digest = $1
           and revoked_at is null",
    )
    .bind(digest)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(api_key).transpose()
}

/// The key with this id, also when it was revoked.
pub async fn get(conn: &mut Conn, id: ApiKeyId) -> Result<Option<ApiKey>> {
    let row = query(
        "select id, tenant_id, label, tail, scopes, created_at, revoked_at
         from api_keys
         where id = $1",
    )
    .bind(id.as_bytes())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(api_key).transpose()
}

/// A page of keys by id, after `after`; of one tenant, or of all.
pub async fn list(
    conn: &mut Conn,
    tenant_id: Option<TenantId>,
    after: Option<ApiKeyId>,
    limit: u32,
) -> Result<Vec<ApiKey>> {
    let rows = query(
        "select id, tenant_id, label, tail, scopes, created_at, revoked_at
         from api_keys
         where id > $1
           and ($2 is null or tenant_id = $2)
         order by id
         limit $3",
    )
    .bind(after.as_ref().map_or(FIRST, |id| &id.as_bytes()[..]))
    .bind(tenant_id.as_ref().map(TenantId::as_bytes))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(api_key).collect()
}

/// Revokes a key, of this tenant if one is named; answers whether there was one to revoke.
pub async fn revoke(conn: &mut Conn, id: ApiKeyId, tenant_id: Option<TenantId>, now: Timestamp) -> Result<bool> {
    let revoked = query(
        "update api_keys
         set revoked_at = $3
         where id = $1
           and ($2 is null or tenant_id = $2)
           and revoked_at is null",
    )
    .bind(id.as_bytes())
    .bind(tenant_id.as_ref().map(TenantId::as_bytes))
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(revoked == 1)
}

fn api_key(row: &Row) -> Result<ApiKey> {
    let record = Record::new("api_keys", row);
    let scopes = record.text("scopes")?;
    let scopes: Option<Vec<Scope>> = scopes.split_whitespace().map(Scope::parse).collect();
    Ok(ApiKey {
        id: ApiKeyId::from_bytes(record.id("id")?),
        tenant_id: record.id_or_null("tenant_id")?.map(TenantId::from_bytes),
        label: record.text("label")?,
        tail: record.text("tail")?,
        scopes: scopes.ok_or_else(|| record.corrupt("scopes", "an unknown scope"))?,
        created_at: record.instant("created_at")?,
        revoked_at: record.instant_or_null("revoked_at")?,
    })
}
