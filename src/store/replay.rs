//! What of a span of events went to a webhook, and what did not.

use super::query::{LAST, query};
use super::record::Record;
use super::{Conn, Result};
use crate::domain::delivery::Ending;
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId, WebhookId};

/// An event, and how its delivery to the webhook stands, if there is one.
#[derive(Debug)]
pub struct Candidate {
    pub event_id: EventId,
    pub event_type: EventType,
    /// Whether it waits in the queue, or in the mailbox.
    pub is_queued: bool,
    pub ending: Option<Ending>,
}

/// The first events of a tenant from an id on and below another, oldest first. What was made for one webhook alone was told
/// at once to whoever asked for it, and is not among them.
pub async fn candidates(
    conn: &mut Conn,
    (tenant_id, webhook_id): (TenantId, WebhookId),
    (from, before): (EventId, Option<EventId>),
    limit: u32,
) -> Result<Vec<Candidate>> {
    let rows = query(
        "select e.id, e.type,
             (select d.ending from deliveries d where d.webhook_id = $2 and d.event_id = e.id) as ending,
             coalesce(
                 (select q.due_at from queue q where q.webhook_id = $2 and q.event_id = e.id),
                 (select m.available_at from mailbox m where m.webhook_id = $2 and m.event_id = e.id)
             ) as due_at
         from events e
         where e.tenant_id = $1
           and e.id >= $3
           and e.id < $4
           and e.probed_webhook_id is null
         order by e.id
         limit $5",
    )
    .bind(tenant_id.as_bytes())
    .bind(webhook_id.as_bytes())
    .bind(from.as_bytes())
    .bind(before.as_ref().map_or(LAST, |id| &id.as_bytes()[..]))
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    let candidates = rows.iter().map(|row| {
        let record = Record::new("events", row);
        let has_ended = record.text_or_null("ending")?.is_some();
        Ok(Candidate {
            event_id: EventId::from_bytes(record.id("id")?),
            event_type: record.word("type", |text| text.parse::<EventType>().ok())?,
            is_queued: record.int_or_null("due_at")?.is_some(),
            ending: if has_ended { Some(record.word("ending", Ending::parse)?) } else { None },
        })
    });
    candidates.collect()
}
