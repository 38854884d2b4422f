//! Webhooks, and the index that finds who wants to hear of an event.

mod challenges;
mod heard;
mod listening;
mod rows;

use super::bulk::{Set, Words};
use super::query::{LAST, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::event_type::Subscription;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryMethod, Webhook};
use rows::{WebhookRow, webhook};

pub use challenges::take_due_challenges;
pub use heard::acknowledged;
pub use listening::listeners;

/// A webhook that an event concerns, and the version of it that was current then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    pub webhook_id: WebhookId,
    pub version: i64,
}

/// A listener, and how deliveries come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    pub listener: Listener,
    pub method: DeliveryMethod,
}

/// A webhook with its secret, as the one who delivers needs it. Deleted ones are listed too, so that what is still
/// queued for them can end.
pub struct Addressee {
    pub webhook: Webhook,
    pub secret_jwe: String,
    pub is_deleted: bool,
}

pub async fn insert(conn: &mut Conn, webhook: &Webhook, secret_jwe: &str) -> Result<()> {
    let row = WebhookRow::of(webhook);
    query(
        "insert into webhooks
             (id, tenant_id, url, events, description, format, audience, secret_jwe,
              disabled_at, disabled_reason, version, created_at, updated_at,
              header_names, retry_waits, timeout_seconds, rate_limit, failing_since, warned_at,
              activation, challenge_every_seconds, challenge_due_at, unproven_since, is_declared, token_type,
              public_key, encryption_jwk, encryption_jwks_url, client_chain, client_subject, client_expires_at,
              delivery_method)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
             $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)",
    )
    .bind(webhook.id.as_bytes())
    .bind(webhook.tenant_id.as_bytes())
    .bind(webhook.url.as_str())
    .bind(&row.events)
    .bind(&webhook.description)
    .bind(webhook.format.as_str())
    .bind(&webhook.audience)
    .bind(secret_jwe)
    .bind(row.disabled_at)
    .bind(row.disabled_reason)
    .bind(webhook.version)
    .bind(webhook.created_at.as_micros())
    .bind(webhook.updated_at.as_micros())
    .bind(&row.header_names)
    .bind(&row.retry_waits)
    .bind(row.timeout_seconds)
    .bind(row.rate_limit)
    .bind(row.failing_since)
    .bind(row.warned_at)
    .bind(row.activation)
    .bind(row.challenge_every)
    .bind(row.challenge_due_at)
    .bind(row.unproven_since)
    .bind(row.is_declared)
    .bind(webhook.token_type.as_str())
    .bind(&webhook.public_key)
    .bind(row.encryption_jwk)
    .bind(row.encryption_jwks_url)
    .bind(&row.client_chain)
    .bind(&row.client_subject)
    .bind(row.client_expires_at)
    .bind(webhook.method.as_str())
    .execute(&mut *conn)
    .await?;
    index(conn, webhook).await
}

/// A webhook as it is shown, with the rest of the statement.
macro_rules! select_webhooks {
    ($rest:literal) => {
        concat!(
            "select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason, version,
                last_delivery_at, created_at, updated_at, header_names, retry_waits, timeout_seconds, rate_limit,
                failing_since, warned_at, activation, challenge_every_seconds, challenge_due_at, unproven_since, is_declared,
                token_type, public_key, encryption_jwk, encryption_jwks_url, client_chain, client_subject, client_expires_at,
                delivery_method
         from webhooks ",
            $rest
        )
    };
}

/// The webhook, if it is this tenant's and was not deleted.
pub async fn get(conn: &mut Conn, tenant_id: TenantId, id: WebhookId) -> Result<Option<Webhook>> {
    let row = query(select_webhooks!("where id = $1 and tenant_id = $2 and deleted_at is null"))
        .bind(id.as_bytes())
        .bind(tenant_id.as_bytes())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(webhook).transpose()
}

/// The same, kept for this transaction alone: whoever changes it, or sends its deliveries again, does so one after the
/// other. Who also holds the tenant's log holds that first.
pub async fn hold(conn: &mut Conn, tenant_id: TenantId, id: WebhookId) -> Result<Option<Webhook>> {
    let text = if conn.is_sqlite() {
        select_webhooks!("where id = $1 and tenant_id = $2 and deleted_at is null")
    } else {
        select_webhooks!("where id = $1 and tenant_id = $2 and deleted_at is null for no key update")
    };
    let row = query(text).bind(id.as_bytes()).bind(tenant_id.as_bytes()).fetch_optional(conn).await?;
    row.as_ref().map(webhook).transpose()
}

/// Whether a tenant has this many webhooks, or more.
pub async fn are_as_many(conn: &mut Conn, tenant_id: TenantId, count: u32) -> Result<bool> {
    let last = query("select id from webhooks where tenant_id = $1 and deleted_at is null limit 1 offset $2")
        .bind(tenant_id.as_bytes())
        .bind(i64::from(count.saturating_sub(1)))
        .fetch_optional(conn)
        .await?;
    Ok(last.is_some())
}

/// A page of a tenant's webhooks, newest first, older than `before`.
pub async fn list(conn: &mut Conn, tenant_id: TenantId, before: Option<WebhookId>, limit: u32) -> Result<Vec<Webhook>> {
    let rows = query(select_webhooks!(
        "where tenant_id = $1 and id < $2 and deleted_at is null
         order by id desc
         limit $3"
    ))
    .bind(tenant_id.as_bytes())
    .bind(before.as_ref().map_or(LAST, |id| &id.as_bytes()[..]))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter().map(webhook).collect()
}

/// Every webhook that the configuration declares, of whichever tenant. A damaged record spoils nothing but itself.
pub async fn declared(conn: &mut Conn) -> Result<Vec<Result<Webhook>>> {
    let rows =
        query(select_webhooks!("where is_declared = 1 and deleted_at is null order by id")).fetch_all(conn).await?;
    Ok(rows.iter().map(webhook).collect())
}

/// Writes a changed webhook over the version it was made from, and what it keeps sealed if that changed too; answers
/// whether that was still the current one.
pub async fn update(conn: &mut Conn, webhook: &Webhook, secret_jwe: Option<&str>) -> Result<bool> {
    let row = WebhookRow::of(webhook);
    let changed = query(
        "update webhooks
         set url = $3, events = $4, description = $5, format = $6, audience = $7,
             disabled_at = $8, disabled_reason = $9, version = version + 1, updated_at = $10,
             secret_jwe = coalesce($11, secret_jwe),
             header_names = $12, retry_waits = $13, timeout_seconds = $14, rate_limit = $15,
             failing_since = $16, warned_at = $17,
             activation = $18, challenge_every_seconds = $19, challenge_due_at = $20,
             unproven_since = $21, token_type = $22, public_key = $23,
             encryption_jwk = $24, encryption_jwks_url = $25,
             client_chain = $26, client_subject = $27, client_expires_at = $28
         where id = $1
           and version = $2
           and deleted_at is null",
    )
    .bind(webhook.id.as_bytes())
    .bind(webhook.version)
    .bind(webhook.url.as_str())
    .bind(&row.events)
    .bind(&webhook.description)
    .bind(webhook.format.as_str())
    .bind(&webhook.audience)
    .bind(row.disabled_at)
    .bind(row.disabled_reason)
    .bind(webhook.updated_at.as_micros())
    .bind(secret_jwe)
    .bind(&row.header_names)
    .bind(&row.retry_waits)
    .bind(row.timeout_seconds)
    .bind(row.rate_limit)
    .bind(row.failing_since)
    .bind(row.warned_at)
    .bind(row.activation)
    .bind(row.challenge_every)
    .bind(row.challenge_due_at)
    .bind(row.unproven_since)
    .bind(webhook.token_type.as_str())
    .bind(&webhook.public_key)
    .bind(row.encryption_jwk)
    .bind(row.encryption_jwks_url)
    .bind(&row.client_chain)
    .bind(&row.client_subject)
    .bind(row.client_expires_at)
    .execute(&mut *conn)
    .await?;
    if changed == 0 {
        return Ok(false);
    }
    unindex(conn, webhook.id).await?;
    index(conn, webhook).await?;
    Ok(true)
}

/// Deletes a webhook; answers whether there was one. Its row stays for its log until the log is swept.
pub async fn delete(conn: &mut Conn, tenant_id: TenantId, id: WebhookId, now: Timestamp) -> Result<bool> {
    let deleted = query(
        "update webhooks
         set deleted_at = $3, version = version + 1, updated_at = $3
         where id = $1
           and tenant_id = $2
           and deleted_at is null",
    )
    .bind(id.as_bytes())
    .bind(tenant_id.as_bytes())
    .bind(now.as_micros())
    .execute(&mut *conn)
    .await?;
    if deleted == 0 {
        return Ok(false);
    }
    unindex(conn, id).await?;
    Ok(true)
}

/// Writes another state of a webhook, if it is still in this version; answers whether it was.
pub async fn update_state(conn: &mut Conn, webhook: &Webhook) -> Result<bool> {
    let row = WebhookRow::of(webhook);
    let changed = query(
        "update webhooks
         set disabled_at = $3, disabled_reason = $4, failing_since = $5, warned_at = $6, version = version + 1,
             updated_at = $7, challenge_due_at = $8, unproven_since = $9
         where id = $1
           and version = $2
           and deleted_at is null",
    )
    .bind(webhook.id.as_bytes())
    .bind(webhook.version)
    .bind(row.disabled_at)
    .bind(row.disabled_reason)
    .bind(row.failing_since)
    .bind(row.warned_at)
    .bind(webhook.updated_at.as_micros())
    .bind(row.challenge_due_at)
    .bind(row.unproven_since)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// The webhooks with these ids as they are now, deleted ones included. A damaged record spoils nothing but itself.
pub async fn addressees(conn: &mut Conn, ids: &[WebhookId]) -> Result<Vec<Result<Addressee>>> {
    let rows = Set::default().blobs(ids.iter().map(|id| &id.as_bytes()[..]));
    let found = rows.fetch_all(
        conn,
        Words {
            sqlite: "select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason,
                     version, last_delivery_at, created_at, updated_at, header_names, retry_waits,
                     timeout_seconds, rate_limit, failing_since, warned_at, activation,
                     challenge_every_seconds, challenge_due_at, unproven_since, is_declared, token_type, public_key, encryption_jwk,
                     encryption_jwks_url, client_chain, client_subject, client_expires_at, delivery_method, secret_jwe, deleted_at
                 from webhooks
                 where id in (select column1 from {rows})",
            postgres: "select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason,
                     version, last_delivery_at, created_at, updated_at, header_names, retry_waits,
                     timeout_seconds, rate_limit, failing_since, warned_at, activation,
                     challenge_every_seconds, challenge_due_at, unproven_since, is_declared, token_type, public_key, encryption_jwk,
                     encryption_jwks_url, client_chain, client_subject, client_expires_at, delivery_method, secret_jwe, deleted_at
                 from {rows}
                 cross join lateral (
                     select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason,
                         version, last_delivery_at, created_at, updated_at, header_names, retry_waits, timeout_seconds,
                         rate_limit,
                         failing_since, warned_at, activation,
                     challenge_every_seconds, challenge_due_at, unproven_since, is_declared, token_type, public_key, encryption_jwk,
                     encryption_jwks_url, client_chain, client_subject, client_expires_at, delivery_method, secret_jwe, deleted_at
                     from webhooks
                     where id = given.column1
                     offset 0
                 ) found",
        },
    );
    Ok(found.await?.iter().map(addressee).collect())
}

fn addressee(row: &Row) -> Result<Addressee> {
    let record = Record::new("webhooks", row);
    Ok(Addressee {
        webhook: webhook(row)?,
        secret_jwe: record.text("secret_jwe")?,
        is_deleted: record.int_or_null("deleted_at")?.is_some(),
    })
}

/// The current versions of these webhooks.
pub async fn versions(conn: &mut Conn, ids: &[WebhookId]) -> Result<Vec<Listener>> {
    let rows = Set::default().blobs(ids.iter().map(|id| &id.as_bytes()[..]));
    let found = rows.fetch_all(
        conn,
        Words {
            sqlite: "select id, version from webhooks where id in (select column1 from {rows})",
            postgres: "select id, version
                 from {rows}
                 cross join lateral (select id, version from webhooks where id = given.column1 offset 0) found",
        },
    );
    let found = found.await?;
    let versions = found.iter().map(|row| {
        let record = Record::new("webhooks", row);
        Ok(Listener { webhook_id: WebhookId::from_bytes(record.id("id")?), version: record.int("version")? })
    });
    versions.collect()
}

/// Forgets at most `limit` webhooks that were deleted before this instant and have nothing left in queue, mailbox or log.
pub async fn forget(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64> {
    query(
        "delete from webhooks
         where id in (
             select w.id
             from webhooks w
             where w.deleted_at < $1
               and not exists (select 1 from queue q where q.webhook_id = w.id)
               and not exists (select 1 from mailbox m where m.webhook_id = w.id)
               and not exists (select 1 from deliveries d where d.webhook_id = w.id)
             order by w.deleted_at
             limit $2
         )",
    )
    .bind(before.as_micros())
    .bind(i64::from(limit))
    .execute(conn)
    .await
}

async fn index(conn: &mut Conn, webhook: &Webhook) -> Result<()> {
    let rows = Set::default()
        .blobs(webhook.subscriptions.iter().map(|_| &webhook.tenant_id.as_bytes()[..]))
        .texts(webhook.subscriptions.iter().map(Subscription::as_str))
        .blobs(webhook.subscriptions.iter().map(|_| &webhook.id.as_bytes()[..]));
    rows.execute(
        conn,
        "insert into subscriptions (tenant_id, name, webhook_id) select column1, column2, column3 from {rows}",
    )
    .await
}

async fn unindex(conn: &mut Conn, id: WebhookId) -> Result<()> {
    query("delete from subscriptions where webhook_id = $1").bind(id.as_bytes()).execute(conn).await?;
    Ok(())
}

/// What a webhook keeps sealed.
pub async fn sealed(conn: &mut Conn, id: WebhookId) -> Result<Option<String>> {
    let row = query("select secret_jwe from webhooks where id = $1").bind(id.as_bytes()).fetch_optional(conn).await?;
    row.as_ref().map(|row| Record::new("webhooks", row).text("secret_jwe")).transpose()
}
