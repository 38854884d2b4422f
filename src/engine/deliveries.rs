//! Trying a delivery again because somebody asks.

use super::Engine;
use crate::domain::delivery::DeliveryKey;
use crate::store::queue::Entry;
use crate::store::{StoreError, deliveries, queue};

impl Engine {
    /// Makes a delivery due now, whether it waits for its next attempt or is over. Answers whether there is such a
    /// delivery. Attempts go on being counted; one that had used all of its attempts gets this one more.
    pub async fn retry_delivery(&self, key: DeliveryKey) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let mut known = queue::hasten(tx.conn(), key, now).await?;
        if !known && let Some(attempts) = deliveries::reopen(tx.conn(), key).await? {
            queue::insert(tx.conn(), &[Entry { key, due_at: now, attempts, node_id: None }]).await?;
            known = true;
        }
        tx.commit().await?;
        if known {
            self.lanes().note_due(key.webhook_id, now);
            self.due.notify_one();
        }
        Ok(known)
    }
}
