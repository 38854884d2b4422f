//! Webhooks, and the index that finds who wants to hear of an event.

mod rows;

use std::collections::{BTreeSet, HashMap};

use super::bulk::{Set, Words};
use super::query::{LAST, query};
use super::record::{Record, Row};
use super::{Conn, Result};
use crate::domain::event_type::{EventType, Subscription};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::Webhook;
use rows::{WebhookRow, webhook};

/// A webhook that an event concerns, and the version of it that was current then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    pub webhook_id: WebhookId,
    pub version: i64,
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
              header_names, retry_waits, timeout_seconds, rate_limit, failing_since, warned_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
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
    .execute(&mut *conn)
    .await?;
    index(conn, webhook).await
}

/// A webhook as it is shown, with the rest of the statement.
macro_rules! select_webhooks {
    ($rest:literal) => {
        concat!(
            "select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason, version,
                (select max(d.ended_at)
                 from (
                     select ended_at, ending from deliveries where webhook_id = w.id order by event_id desc limit 100
                 ) d
                 where d.ending = 'delivered') as last_delivery_at,
                created_at, updated_at, header_names, retry_waits, timeout_seconds, rate_limit,
                failing_since, warned_at
         from webhooks w ",
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
             failing_since = $16, warned_at = $17
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
             updated_at = $7
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
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// Who wants to hear of events of these types: enabled webhooks subscribed to any name of the type's lineage or to
/// everything, each once.
pub async fn listeners(
    conn: &mut Conn,
    types: &BTreeSet<(TenantId, EventType)>,
) -> Result<HashMap<(TenantId, EventType), Vec<Listener>>> {
    let mut found: HashMap<(TenantId, String), Vec<Listener>> = HashMap::new();
    let names: BTreeSet<(TenantId, &str)> =
        types.iter().flat_map(|(tenant_id, name)| name.subscriptions().map(|name| (*tenant_id, name))).collect();
    let names: Vec<(TenantId, &str)> = names.into_iter().collect();
    let rows = Set::default()
        .blobs(names.iter().map(|(tenant_id, _)| &tenant_id.as_bytes()[..]))
        .texts(names.iter().map(|(_, name)| *name));
    let subscribed = rows.fetch_all(
        conn,
        Words {
            sqlite: "select s.tenant_id, s.name, s.webhook_id, w.version
                 from subscriptions s
                 join webhooks w on w.id = s.webhook_id
                 where w.disabled_at is null
                   and w.deleted_at is null
                   and (s.tenant_id, s.name) in (select column1, column2 from {rows})",
            postgres: "select given.column1 as tenant_id, given.column2 as name, s.webhook_id, w.version
                 from {rows}
                 cross join lateral (
                     select webhook_id from subscriptions where tenant_id = given.column1 and name = given.column2 offset 0
                 ) s
                 cross join lateral (
                     select version
                     from webhooks
                     where id = s.webhook_id
                       and disabled_at is null
                       and deleted_at is null
                     offset 0
                 ) w",
        },
    );
    for row in subscribed.await? {
        let record = Record::new("subscriptions", &row);
        let listener =
            Listener { webhook_id: WebhookId::from_bytes(record.id("webhook_id")?), version: record.int("version")? };
        let name = (TenantId::from_bytes(record.id("tenant_id")?), record.text("name")?);
        found.entry(name).or_default().push(listener);
    }
    Ok(types.iter().map(|of_type| (of_type.clone(), merged(of_type, &found))).collect())
}

fn merged(
    (tenant_id, event_type): &(TenantId, EventType),
    found: &HashMap<(TenantId, String), Vec<Listener>>,
) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = event_type
        .subscriptions()
        .filter_map(|name| found.get(&(*tenant_id, name.to_owned())))
        .flatten()
        .copied()
        .collect();
    listeners.sort_by_key(|listener| listener.webhook_id);
    listeners.dedup_by_key(|listener| listener.webhook_id);
    listeners
}

/// The webhooks with these ids as they are now, deleted ones included. A damaged record spoils nothing but itself.
pub async fn addressees(conn: &mut Conn, ids: &[WebhookId]) -> Result<Vec<Result<Addressee>>> {
    let rows = Set::default().blobs(ids.iter().map(|id| &id.as_bytes()[..]));
    let found = rows.fetch_all(
        conn,
        Words {
            sqlite: "select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason,
                     version, cast(null as bigint) as last_delivery_at, created_at, updated_at, header_names, retry_waits,
                     timeout_seconds, rate_limit, failing_since, warned_at, secret_jwe, deleted_at
                 from webhooks
                 where id in (select column1 from {rows})",
            postgres: "select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason,
                     version, cast(null as bigint) as last_delivery_at, created_at, updated_at, header_names, retry_waits,
                     timeout_seconds, rate_limit, failing_since, warned_at, secret_jwe, deleted_at
                 from {rows}
                 cross join lateral (
                     select id, tenant_id, url, events, description, format, audience, disabled_at, disabled_reason,
                         version, created_at, updated_at, header_names, retry_waits, timeout_seconds, rate_limit,
                         failing_since, warned_at, secret_jwe, deleted_at
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

/// Forgets at most `limit` webhooks that were deleted before this instant and have nothing left in queue or log.
pub async fn forget(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<u64> {
    query(
        "delete from webhooks
         where id in (
             select w.id
             from webhooks w
             where w.deleted_at < $1
               and not exists (select 1 from queue q where q.webhook_id = w.id)
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
