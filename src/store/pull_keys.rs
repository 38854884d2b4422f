//! The keys with which receivers collect the deliveries of one webhook each, by their digests.

use super::query::query;
use super::record::Record;
use super::{Conn, Result};
use crate::domain::id::WebhookId;
use crate::domain::time::Timestamp;

pub async fn insert(conn: &mut Conn, webhook_id: WebhookId, digest: &[u8; 32], now: Timestamp) -> Result<()> {
    query("insert into pull_keys (digest, webhook_id, expires_at, created_at) values ($1, $2, null, $3)")
        .bind(digest)
        .bind(webhook_id.as_bytes())
        .bind(now.as_micros())
        .execute(conn)
        .await?;
    Ok(())
}

/// The webhook whose deliveries this key collects.
pub async fn find(conn: &mut Conn, digest: &[u8; 32], now: Timestamp) -> Result<Option<WebhookId>> {
    let row = query(
        "select webhook_id
         from pull_keys
         where digest = $1
           and (expires_at is null or expires_at > $2)",
    )
    .bind(digest)
    .bind(now.as_micros())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(|row| Ok(WebhookId::from_bytes(Record::new("pull_keys", row).id("webhook_id")?))).transpose()
}

/// Has a webhook's keys end at an instant, or where that was said before, earlier; forgets those that have ended. Answers how many
/// are left.
pub async fn end(conn: &mut Conn, webhook_id: WebhookId, until: Timestamp, now: Timestamp) -> Result<usize> {
    query(
        "update pull_keys
         set expires_at = $2
         where webhook_id = $1
           and (expires_at is null or expires_at > $2)",
    )
    .bind(webhook_id.as_bytes())
    .bind(until.as_micros())
    .execute(&mut *conn)
    .await?;
    query("delete from pull_keys where webhook_id = $1 and expires_at <= $2")
        .bind(webhook_id.as_bytes())
        .bind(now.as_micros())
        .execute(&mut *conn)
        .await?;
    let left =
        query("select digest from pull_keys where webhook_id = $1").bind(webhook_id.as_bytes()).fetch_all(conn).await?;
    Ok(left.len())
}
