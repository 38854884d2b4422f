//! Every record that is sealed under a master key, page by page, and putting it back sealed under another.
//!
//! A record is exchanged only if it still is what was read: whoever changed or destroyed it meanwhile was right.

use super::query::{FIRST, query};
use super::record::Record;
use super::{Conn, Result};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::key_ring::Kid;

/// A signing key's private half.
pub struct PrivateHalf {
    pub tenant_id: TenantId,
    pub kid: Kid,
    pub text: String,
}

/// A webhook's signing secret.
pub struct WebhookSecret {
    pub webhook_id: WebhookId,
    pub text: String,
}

/// A page of private halves by tenant and kid, after `after`.
pub async fn private_halves(conn: &mut Conn, after: Option<&(TenantId, Kid)>, limit: u32) -> Result<Vec<PrivateHalf>> {
    let (tenant_id, kid) = match after {
        Some((tenant_id, kid)) => (&tenant_id.as_bytes()[..], kid.as_str()),
        None => (FIRST, ""),
    };
    let rows = query(
        "select tenant_id, kid, private_half
         from signing_keys
         where (tenant_id, kid) > ($1, $2)
           and private_half is not null
         order by tenant_id, kid
         limit $3",
    )
    .bind(tenant_id)
    .bind(kid)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    let halves = rows.iter().map(|row| {
        let record = Record::new("signing_keys", row);
        Ok(PrivateHalf {
            tenant_id: TenantId::from_bytes(record.id("tenant_id")?),
            kid: Kid::from_text(record.text("kid")?),
            text: record.text("private_half")?,
        })
    });
    halves.collect()
}

/// A page of webhooks' secrets by webhook, after `after`. Deleted webhooks are among them.
pub async fn webhook_secrets(conn: &mut Conn, after: Option<WebhookId>, limit: u32) -> Result<Vec<WebhookSecret>> {
    let rows = query("select id, secret_jwe from webhooks where id > $1 order by id limit $2")
        .bind(after.as_ref().map_or(FIRST, |id| &id.as_bytes()[..]))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    let secrets = rows.iter().map(|row| {
        let record = Record::new("webhooks", row);
        Ok(WebhookSecret { webhook_id: WebhookId::from_bytes(record.id("id")?), text: record.text("secret_jwe")? })
    });
    secrets.collect()
}

/// Puts another text in the place of a private half; answers whether that still was what it had been.
pub async fn exchange_private_half(conn: &mut Conn, was: &PrivateHalf, text: &str) -> Result<bool> {
    let changed = query(
        "update signing_keys
         set private_half = $4
         where tenant_id = $1
           and kid = $2
           and private_half = $3",
    )
    .bind(was.tenant_id.as_bytes())
    .bind(was.kid.as_str())
    .bind(&was.text)
    .bind(text)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// The same for a webhook's secret. Its version stays: to whoever knows the secret, nothing has changed.
pub async fn exchange_webhook_secret(conn: &mut Conn, was: &WebhookSecret, text: &str) -> Result<bool> {
    let changed = query("update webhooks set secret_jwe = $3 where id = $1 and secret_jwe = $2")
        .bind(was.webhook_id.as_bytes())
        .bind(&was.text)
        .bind(text)
        .execute(conn)
        .await?;
    Ok(changed == 1)
}
