//! Signing keys: public halves in the clear, private halves in texts that only `signing` can open.

use super::query::{Query, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::id::TenantId;
use crate::domain::key_ring::{Key, KeyState, Kid, ServiceTime, Situation};
use crate::domain::token::Algorithm;

/// A key with its material.
#[derive(Clone)]
pub struct StoredKey {
    pub key: Key,
    pub public_jwk: String,
    /// A JWE under a master key, or the URI of a key on a token; gone once the key will not sign again.
    pub private_half: Option<String>,
}

/// Adds a key that is pending or already active.
pub async fn insert(conn: &mut Conn, tenant_id: TenantId, stored: &StoredKey) -> Result<()> {
    let activated_at = match stored.key.state {
        KeyState::Active { activated_at } => Some(activated_at.as_micros()),
        _ => None,
    };
    query(
        "insert into signing_keys
             (tenant_id, kid, algorithm, state, public_jwk, private_half, publication, version, service_time,
              missed_service_time, published_at, activated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(tenant_id.as_bytes())
    .bind(stored.key.kid.as_str())
    .bind(stored.key.algorithm.as_str())
    .bind(stored.key.state.as_str())
    .bind(&stored.public_jwk)
    .bind(&stored.private_half)
    .bind(i64::from(stored.key.publication))
    .bind(stored.key.version)
    .bind(micros(stored.key.since))
    .bind(stored.key.missed_at.map(micros))
    .bind(stored.key.published_at.as_micros())
    .bind(activated_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Every key the tenant ever had, oldest first.
pub async fn of_tenant(conn: &mut Conn, tenant_id: TenantId) -> Result<Vec<StoredKey>> {
    let rows = query(
        "select kid, algorithm, state, public_jwk, private_half, publication, version, service_time,
                missed_service_time, published_at, activated_at, retired_at, revoked_at
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
    let row = query("select 1 from signing_keys where private_half is not null limit 1").fetch_optional(conn);
    Ok(row.await?.is_some())
}

/// What became of a private half, as its row tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Kept,
    Destroyed,
    NoRow,
}

/// What became of this key's private half.
pub async fn half_of(conn: &mut Conn, tenant_id: TenantId, kid: &Kid) -> Result<Half> {
    let row = query("select private_half from signing_keys where tenant_id = $1 and kid = $2")
        .bind(tenant_id.as_bytes())
        .bind(kid.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(match row {
        None => Half::NoRow,
        Some(row) => match Record::new("signing_keys", &row).text_or_null("private_half")? {
            Some(_) => Half::Kept,
            None => Half::Destroyed,
        },
    })
}

/// pending -> active.
pub async fn promote(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, at: &Situation) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'active', activated_at = $3, service_time = $4
         where tenant_id = $1
           and kid = $2
           and state = 'pending'",
    );
    changed.of_key(&tenant_id, kid, at).execute(conn).await.map(|changed| changed == 1)
}

/// active -> retiring; the private half is destroyed.
pub async fn demote(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, at: &Situation) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'retiring', retired_at = $3, service_time = $4, private_half = null
         where tenant_id = $1
           and kid = $2
           and state = 'active'",
    );
    changed.of_key(&tenant_id, kid, at).execute(conn).await.map(|changed| changed == 1)
}

/// retiring -> archived, or pending -> archived when it will never sign.
pub async fn archive(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, at: &Situation) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'archived', archived_at = $3, service_time = $4, private_half = null
         where tenant_id = $1
           and kid = $2
           and state in ('pending', 'retiring')",
    );
    changed.of_key(&tenant_id, kid, at).execute(conn).await.map(|changed| changed == 1)
}

/// Any published state -> revoked; the private half is destroyed.
pub async fn revoke(conn: &mut Conn, tenant_id: TenantId, kid: &Kid, reason: &str, at: &Situation) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set state = 'revoked', revoked_at = $3, service_time = $4, revoked_reason = $5, private_half = null
         where tenant_id = $1
           and kid = $2
           and state in ('pending', 'active', 'retiring')",
    );
    changed.of_key(&tenant_id, kid, at).bind(reason).execute(conn).await.map(|changed| changed == 1)
}

/// A node was lost that may go on serving a set without these keys: what was announced after its version counts anew.
pub async fn miss(conn: &mut Conn, version: i64, at: ServiceTime) -> Result<u64> {
    query(
        "update signing_keys
         set missed_service_time = $2
         where state = 'pending'
           and version > $1",
    )
    .bind(version)
    .bind(micros(at))
    .execute(conn)
    .await
}

/// Whether keys were announced after a version.
pub async fn any_announced_after(conn: &mut Conn, version: i64) -> Result<bool> {
    let newer = query("select 1 from signing_keys where state = 'pending' and version > $1 limit 1");
    Ok(newer.bind(version).fetch_optional(conn).await?.is_some())
}

/// A node served this version until now, and nothing newer: what was announced after it is published only from here on.
pub async fn count_anew(conn: &mut Conn, version: i64, at: ServiceTime) -> Result<u64> {
    query(
        "update signing_keys
         set service_time = $2
         where state = 'pending'
           and version > $1",
    )
    .bind(version)
    .bind(micros(at))
    .execute(conn)
    .await
}

impl<'q> Query<'q> {
    /// Which key, and when.
    fn of_key(self, tenant_id: &'q TenantId, kid: &'q Kid, at: &Situation) -> Self {
        self.bind(tenant_id.as_bytes()).bind(kid.as_str()).bind(at.now.as_micros()).bind(micros(at.service_time))
    }
}

fn micros(at: ServiceTime) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

fn service_time(micros: i64) -> ServiceTime {
    ServiceTime::from_micros(u64::try_from(micros).unwrap_or(0))
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
        version: record.int("version")?,
        since: service_time(record.int("service_time")?),
        missed_at: record.int_or_null("missed_service_time")?.map(service_time),
        state,
    };
    Ok(StoredKey { key, public_jwk: record.text("public_jwk")?, private_half: record.text_or_null("private_half")? })
}
