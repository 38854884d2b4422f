//! Whose receivers must show again that they want deliveries.

use super::Listener;
use crate::domain::id::WebhookId;
use crate::domain::time::Timestamp;
use crate::store::query::query;
use crate::store::record::Record;
use crate::store::{Conn, Result};

/// Webhooks whose receivers must show again that they want deliveries. Each is due again at `until`, so that of several
/// nodes one asks, and another one if that one dies.
pub async fn take_due_challenges(
    conn: &mut Conn,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Listener>> {
    let text = if conn.is_sqlite() {
        "update webhooks
         set challenge_due_at = $2
         where id in (
             select id
             from webhooks
             where challenge_due_at <= $1
               and disabled_at is null
               and deleted_at is null
             order by challenge_due_at
             limit $3
         )
         returning id, version"
    } else {
        "update webhooks
         set challenge_due_at = $2
         where id in (
             select id
             from webhooks
             where challenge_due_at <= $1
               and disabled_at is null
               and deleted_at is null
             order by challenge_due_at
             limit $3
             for update skip locked
         )
         returning id, version"
    };
    let taken =
        query(text).bind(now.as_micros()).bind(until.as_micros()).bind(i64::from(limit)).fetch_all(conn).await?;
    let taken = taken.iter().map(|row| {
        let record = Record::new("webhooks", row);
        Ok(Listener { webhook_id: WebhookId::from_bytes(record.id("id")?), version: record.int("version")? })
    });
    taken.collect()
}
