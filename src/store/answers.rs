//! What requests were answered that came under an idempotency key, and who is about to answer them.

use super::query::{FIRST, query};
use super::record::Record;
use super::{Conn, Result};
use crate::domain::id::{AnswerId, TenantId};
use crate::domain::time::Timestamp;

/// A request under a name, and who is about to answer it.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    pub id: AnswerId,
    pub tenant_id: TenantId,
    /// The digest of what the caller calls it, and where.
    pub name: [u8; 32],
    /// The digest of what it asks.
    pub fingerprint: [u8; 32],
}

/// What stands under a name.
pub struct Known {
    pub id: AnswerId,
    pub fingerprint: [u8; 32],
    /// `None` while somebody is about to answer.
    pub answer: Option<Sealed>,
}

/// An answer: its status, and its body as a JWE.
pub struct Sealed {
    pub status: u16,
    pub body_jwe: String,
}

/// Claims a name that is free, that was given `before` this instant, or whose claim has run out; answers whether it was.
pub async fn claim(
    conn: &mut Conn,
    claim: &Claim,
    until: Timestamp,
    now: Timestamp,
    before: Timestamp,
) -> Result<bool> {
    let claimed = query(
        "insert into idempotent_answers (tenant_id, name, fingerprint, claim_id, claimed_until, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, name) do update
         set fingerprint = excluded.fingerprint, claim_id = excluded.claim_id, claimed_until = excluded.claimed_until,
             status = null, body_jwe = null, created_at = excluded.created_at
         where idempotent_answers.created_at < $7
            or idempotent_answers.claimed_until < $6",
    )
    .bind(claim.tenant_id.as_bytes())
    .bind(&claim.name)
    .bind(&claim.fingerprint)
    .bind(claim.id.as_bytes())
    .bind(until.as_micros())
    .bind(now.as_micros())
    .bind(before.as_micros())
    .execute(conn)
    .await?;
    Ok(claimed == 1)
}

/// What stands under a name.
pub async fn find(conn: &mut Conn, tenant_id: TenantId, name: &[u8; 32]) -> Result<Option<Known>> {
    let row = query(
        "select claim_id, fingerprint, status, body_jwe
         from idempotent_answers
         where tenant_id = $1
           and name = $2",
    )
    .bind(tenant_id.as_bytes())
    .bind(name)
    .fetch_optional(conn)
    .await?;
    let Some(row) = &row else { return Ok(None) };
    let record = Record::new("idempotent_answers", row);
    let answer = match (record.int_or_null("status")?, record.text_or_null("body_jwe")?) {
        (Some(status), Some(body_jwe)) => {
            let status = u16::try_from(status).map_err(|_| record.corrupt("status", "out of range"))?;
            Some(Sealed { status, body_jwe })
        }
        _ => None,
    };
    let id = AnswerId::from_bytes(record.id("claim_id")?);
    Ok(Some(Known { id, fingerprint: record.digest("fingerprint")?, answer }))
}

/// Holds a claim for longer; answers whether it still held.
pub async fn renew(conn: &mut Conn, id: AnswerId, until: Timestamp) -> Result<bool> {
    let renewed = query("update idempotent_answers set claimed_until = $2 where claim_id = $1 and status is null")
        .bind(id.as_bytes())
        .bind(until.as_micros())
        .execute(conn)
        .await?;
    Ok(renewed == 1)
}

/// Keeps the answer to what is claimed; answers whether the claim still held.
pub async fn keep(conn: &mut Conn, id: AnswerId, answer: &Sealed) -> Result<bool> {
    let kept = query(
        "update idempotent_answers
         set status = $2, body_jwe = $3, claimed_until = null
         where claim_id = $1
           and status is null",
    )
    .bind(id.as_bytes())
    .bind(i64::from(answer.status))
    .bind(&answer.body_jwe)
    .execute(conn)
    .await?;
    Ok(kept == 1)
}

/// Gives a claim up, so that the name is free again.
pub async fn release(conn: &mut Conn, id: AnswerId) -> Result<()> {
    query("delete from idempotent_answers where claim_id = $1 and status is null")
        .bind(id.as_bytes())
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets at most `limit` names that were given before this instant; answers how many.
pub async fn forget(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64> {
    // PostgreSQL would rather go through the whole index of claims than look up those that were found.
    let text = if conn.is_sqlite() {
        "delete from idempotent_answers
         where claim_id in (
             select claim_id from idempotent_answers where created_at < $1 order by created_at limit $2
         )"
    } else {
        "delete from idempotent_answers
         where ctid = any (
             array(select ctid from idempotent_answers where created_at < $1 order by created_at limit $2)
         )"
    };
    query(text).bind(before.as_micros()).bind(i64::from(limit)).execute(conn).await
}

/// A page of sealed bodies by their ids, after `after`.
pub async fn bodies(conn: &mut Conn, after: Option<AnswerId>, limit: u32) -> Result<Vec<(AnswerId, String)>> {
    let rows = query(
        "select claim_id, body_jwe
         from idempotent_answers
         where claim_id > $1
           and body_jwe is not null
         order by claim_id
         limit $2",
    )
    .bind(after.as_ref().map_or(FIRST, |id| &id.as_bytes()[..]))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    let bodies = rows.iter().map(|row| {
        let record = Record::new("idempotent_answers", row);
        Ok((AnswerId::from_bytes(record.id("claim_id")?), record.text("body_jwe")?))
    });
    bodies.collect()
}

/// Puts another text in the place of a sealed body; answers whether that still was what it had been.
pub async fn exchange_body(conn: &mut Conn, id: AnswerId, was: &str, text: &str) -> Result<bool> {
    let changed = query("update idempotent_answers set body_jwe = $3 where claim_id = $1 and body_jwe = $2")
        .bind(id.as_bytes())
        .bind(was)
        .bind(text)
        .execute(conn)
        .await?;
    Ok(changed == 1)
}
