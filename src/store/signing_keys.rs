//! Signing keys: public halves in the clear, private halves as JWEs that only `signing` can open.

use super::query::query;
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::id::TenantId;
use crate::domain::key_ring::{Key, KeyState, Kid};
use crate::domain::time::Timestamp;
use crate::domain::token::Algorithm;

/// A key with its material.
#[derive(Clone)]
pub struct StoredKey {
    pub key: Key,
    pub public_jwk: String,
    /// Sealed under the master key; gone once the key will not sign again.
    pub private_jwe: Option<String>,
}

/// Adds a key that is pending or already active.
pub async fn insert(conn: &mut Conn, tenant_id: TenantId, stored: &StoredKey) -> Result<()> {
    let activated_at = match stored.key.state {
        KeyState::Active { activated_at } => Some(activated_at.as_micros()),
        _ => None,
    };
    query(
        "insert into signing_keys
             (tenant_id, kid, algorithm, state, public_jwk, private_jwe, publication, published_at, activated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant_id.as_bytes())
    .bind(stored.key.kid.as_str())
    .bind(stored.key.algorithm.as_str())
    .bind(stored.key.state.as_str())
    .bind(&stored.public_jwk)
    .bind(&stored.private_jwe)
    .bind(i64::from(stored.key.publication))
    .bind(stored.key.published_at.as_micros())
    .bind(activated_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Every key the tenant ever had, oldest first.
pub async fn of_tenant(conn: &mut Conn, tenant_id: TenantId) -> Result<Vec<StoredKey>> {
    let rows = query(
        "select kid, algorithm, state, public_jwk, private_jwe, publication, published_at, activated_at, retired_at, revoked_at
         from signing_keys
         where tenant_id = $1
         order by publication, kid",
    )
    .bind(tenant_id.as_bytes())
    .fetch_all(conn)
    .await?;
    rows.iter().map(stored_key).collect()
}

/// Whether any private half is kept, of whichever tenant.
pub async fn any_private(conn: &mut Conn) -> Result<bool> {
    let row = query("select 1 from signing_keys where private_jwe is not null limit 1").fetch_optional(conn);
    Ok(row.await?.is_some())
}

/// pending -> active.
pub async fn promote(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, now: Timestamp) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'active', activated_at = $3
         where tenant_id = $1
           and kid = $2
           and state = 'pending'",
    )
    .bind(tenant_id.as_bytes())
    .bind(kid.as_str())
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// active -> retiring; the private half is destroyed.
pub async fn demote(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, now: Timestamp) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'retiring', retired_at = $3, private_jwe = null
         where tenant_id = $1
           and kid = $2
           and state = 'active'",
    )
    .bind(tenant_id.as_bytes())
    .bind(kid.as_str())
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// retiring -> archived.
pub async fn archive(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, now: Timestamp) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'archived', archived_at = $3
         where tenant_id = $1
           and kid = $2
           and state = 'retiring'",
    )
    .bind(tenant_id.as_bytes())
    .bind(kid.as_str())
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// Any published state -> revoked; the private half is destroyed.
pub async fn revoke(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, reason: &str, now: Timestamp) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'revoked', revoked_at = $4, revoked_reason = $3, private_jwe = null
         where tenant_id = $1
           and kid = $2
           and state in ('pending', 'active', 'retiring')",
    )
    .bind(tenant_id.as_bytes())
    .bind(kid.as_str())
    .bind(reason)
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

fn stored_key(row: &Row) -> Result<StoredKey> {
    let record = Record::new("signing_keys", row);
    let state = match record.text("state")?.as_str() {
        "pending" => KeyState::Pending,
        "active" => KeyState::Active { activated_at: record.instant("activated_at")? },
        "retiring" => KeyState::Retiring { retired_at: record.instant("retired_at")? },
        "archived" => KeyState::Archived,
        "revoked" => KeyState::Revoked { revoked_at: record.instant("revoked_at")? },
        _ => return Err(record.corrupt("state", "an unknown word")),
    };
    let key = Key {
        kid: Kid::from_text(record.text("kid")?),
        algorithm: record.word("algorithm", Algorithm::parse)?,
        publication: record.count("publication")?,
        published_at: record.instant("published_at")?,
        state,
    };
    Ok(StoredKey { key, public_jwk: record.text("public_jwk")?, private_jwe: record.text_or_null("private_jwe")? })
}
