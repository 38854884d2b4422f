//! The authentication hooks of tenants, and what signs their questions.

use super::query::{FIRST, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::hook::{Hook, HookKind, OnFailure};
use crate::domain::id::TenantId;
use crate::domain::webhook::WebhookUrl;

/// What signs the questions to a tenant's hooks.
pub struct HookSecret {
    pub tenant_id: TenantId,
    pub text: String,
}

/// A tenant's hooks.
pub async fn of_tenant(conn: &mut Conn, tenant_id: TenantId) -> Result<Vec<(HookKind, Hook)>> {
    let rows = query("select kind, url, on_failure, answer_keys from hooks where tenant_id = $1 order by kind")
        .bind(tenant_id.as_bytes())
        .fetch_all(conn)
        .await?;
    rows.iter().map(hook).collect()
}

/// Puts a hook in the place of another one of its kind, or where there was none.
pub async fn put(conn: &mut Conn, tenant_id: TenantId, kind: HookKind, hook: &Hook) -> Result<()> {
    query(
        "insert into hooks (tenant_id, kind, url, on_failure, answer_keys)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, kind) do update
         set url = excluded.url, on_failure = excluded.on_failure, answer_keys = excluded.answer_keys",
    )
    .bind(tenant_id.as_bytes())
    .bind(kind.as_str())
    .bind(hook.url.as_str())
    .bind(hook.on_failure.as_str())
    .bind(&hook.answer_keys)
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn remove(conn: &mut Conn, tenant_id: TenantId, kind: HookKind) -> Result<()> {
    query("delete from hooks where tenant_id = $1 and kind = $2")
        .bind(tenant_id.as_bytes())
        .bind(kind.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// What signs a tenant's questions, as a JWE.
pub async fn secret(conn: &mut Conn, tenant_id: TenantId) -> Result<Option<String>> {
    let row = query("select secret_jwe from hook_secrets where tenant_id = $1").bind(tenant_id.as_bytes());
    let row = row.fetch_optional(conn).await?;
    row.map(|row| Record::new("hook_secrets", &row).text("secret_jwe")).transpose()
}

pub async fn put_secret(conn: &mut Conn, tenant_id: TenantId, secret_jwe: &str) -> Result<()> {
    query(
        "insert into hook_secrets (tenant_id, secret_jwe)
         values ($1, $2)
         on conflict (tenant_id) do update set secret_jwe = excluded.secret_jwe",
    )
    .bind(tenant_id.as_bytes())
    .bind(secret_jwe)
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of secrets by tenant, after `after`.
pub async fn secrets(conn: &mut Conn, after: Option<TenantId>, limit: u32) -> Result<Vec<HookSecret>> {
    let rows = query(
        "select tenant_id, secret_jwe
         from hook_secrets
         where tenant_id > $1
         order by tenant_id
         limit $2",
    )
    .bind(after.as_ref().map_or(FIRST, |id| &id.as_bytes()[..]))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    let secrets = rows.iter().map(|row| {
        let record = Record::new("hook_secrets", row);
        Ok(HookSecret { tenant_id: TenantId::from_bytes(record.id("tenant_id")?), text: record.text("secret_jwe")? })
    });
    secrets.collect()
}

/// Puts another text in the place of a secret; answers whether that still was what it had been.
pub async fn exchange_secret(conn: &mut Conn, was: &HookSecret, text: &str) -> Result<bool> {
    let changed = query("update hook_secrets set secret_jwe = $3 where tenant_id = $1 and secret_jwe = $2")
        .bind(was.tenant_id.as_bytes())
        .bind(&was.text)
        .bind(text)
        .execute(conn)
        .await?;
    Ok(changed == 1)
}

fn hook(row: &Row) -> Result<(HookKind, Hook)> {
    let record = Record::new("hooks", row);
    let hook = Hook {
        url: record.word("url", WebhookUrl::from_record)?,
        on_failure: record.word("on_failure", OnFailure::parse)?,
        answer_keys: record.text_or_null("answer_keys")?,
    };
    Ok((record.word("kind", HookKind::parse)?, hook))
}
