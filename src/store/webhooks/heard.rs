//! What is heard of receivers and changes nothing for their webhooks.

use crate::domain::id::WebhookId;
use crate::domain::time::Timestamp;
use crate::store::bulk::{Set, Words};
use crate::store::{Conn, Result};

/// Writes down that receivers acknowledged something. A webhook that somebody is changing at this moment is passed over, so
/// that nobody waits: it is written down again before long.
pub async fn acknowledged(conn: &mut Conn, ids: &[WebhookId], at: Timestamp) -> Result<()> {
    let rows = Set::default().blobs(ids.iter().map(|id| &id.as_bytes()[..])).ints(ids.iter().map(|_| at.as_micros()));
    let sqlite = "update webhooks
         set last_delivery_at = given.column2
         from {rows}
         where webhooks.id = given.column1
           and (last_delivery_at is null or last_delivery_at < given.column2)";
    let postgres = "update webhooks
         set last_delivery_at = heard.column2
         from (
             select column2, held.place
             from {rows}
             cross join lateral (
                 select w.ctid as place
                 from webhooks w
                 where w.id = given.column1
                   and (w.last_delivery_at is null or w.last_delivery_at < given.column2)
                 for no key update skip locked
             ) held
         ) heard
         where webhooks.ctid = heard.place";
    match conn {
        Conn::Sqlite(hold) => rows.defer(hold, sqlite).await,
        Conn::Postgres(_) => rows.execute(conn, Words { sqlite, postgres }).await,
    }
}
