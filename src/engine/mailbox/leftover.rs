//! What nobody collects any more: of webhooks that were deleted, and what has waited for almost as long as it is remembered.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::delivery::Ending;
use crate::domain::id::{EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::job::{self, Woken};
use crate::store::mailbox::Pile;
use crate::store::{StoreError, mailbox};

/// How long before it is forgotten something is given up, so that the log tells of it; and for how long it waits at least, should it be
/// asked for again shortly before.
const TOLD_FOR: Duration = Duration::from_hours(24);
/// Deliveries that are ended in one transaction.
const BATCH: u32 = 500;
/// How long to leave the database to others between two batches.
const BREATHE: Duration = Duration::from_millis(20);
/// Batches that whoever deletes a webhook waits for; the rest is swept.
const AT_ONCE: u32 = 10;
/// What comes after everything.
const EVERYTHING: (EventId, Timestamp) = (EventId::from_bytes([0xff; 16]), Timestamp::from_micros(i64::MAX));

impl Engine {
    /// Ends what nobody will collect; answers the oldest event that still waits for anybody.
    pub(in crate::engine) async fn sweep_mail(&self, end: &CancellationToken) -> Result<Option<EventId>, StoreError> {
        let now = self.clock.now();
        let before = EventId::first_at(now.minus(self.terms.retention.saturating_sub(TOLD_FOR)));
        let is_left = |pile: &&Pile| pile.is_deleted || pile.oldest < before;
        for pile in self.piles().await?.iter().filter(is_left) {
            loop {
                let more = match pile.is_deleted {
                    true => self.cancel_batch(pile.webhook_id).await?,
                    false => self.give_up_batch(pile.webhook_id, (before, now.minus(TOLD_FOR))).await?,
                };
                if !more || job::pause(BREATHE, end).await == Woken::ToEnd {
                    break;
                }
            }
        }
        Ok(self.piles().await?.iter().map(|pile| pile.oldest).min())
    }

    /// Ends what waits for a webhook that was deleted: a good deal at once, and what is more than that later.
    pub(in crate::engine) async fn cancel_mail(&self, webhook_id: WebhookId) -> Result<(), StoreError> {
        for _ in 0..AT_ONCE {
            if !self.cancel_batch(webhook_id).await? {
                break;
            }
        }
        Ok(())
    }

    async fn cancel_batch(&self, webhook_id: WebhookId) -> Result<bool, StoreError> {
        self.end_batch(webhook_id, EVERYTHING, Ending::Cancelled).await
    }

    async fn give_up_batch(&self, webhook_id: WebhookId, left: (EventId, Timestamp)) -> Result<bool, StoreError> {
        let more = self.end_batch(webhook_id, left, Ending::Exhausted).await?;
        self.look_again();
        Ok(more)
    }

    /// Ends one batch; answers whether there may be more.
    async fn end_batch(
        &self,
        webhook_id: WebhookId,
        left: (EventId, Timestamp),
        ending: Ending,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.write().await?;
        let keys = mailbox::left_since(tx.conn(), webhook_id, left, BATCH).await?;
        self.end_mail(tx.conn(), &keys, (ending, self.clock.now())).await?;
        tx.commit().await?;
        Ok(keys.len() == usize::try_from(BATCH).unwrap_or(usize::MAX))
    }

    async fn piles(&self) -> Result<Vec<Pile>, StoreError> {
        mailbox::piles(self.store.read().await?.conn()).await
    }
}
