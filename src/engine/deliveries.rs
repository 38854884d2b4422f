//! Trying a delivery again because somebody asks.

use super::Engine;
use crate::domain::delivery::DeliveryKey;
use crate::domain::id::TenantId;
use crate::domain::webhook::WebhookState;
use crate::store::queue::Entry;
use crate::store::{StoreError, deliveries, queue, webhooks};

/// A delivery was not made due.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("the tenant has no such webhook")]
    NoWebhook,
    #[error("the webhook has no such delivery")]
    NoDelivery,
    #[error("the webhook is disabled, so a delivery would be cancelled")]
    Disabled,
    #[error("the webhook is pending, so a delivery would be cancelled")]
    Pending,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Makes a delivery due now, whether it waits for its next attempt or is over. Attempts go on being counted; one that
    /// had used all of its attempts gets this one more, and one that is under way is left to its attempt.
    pub async fn retry_delivery(&self, tenant_id: TenantId, key: DeliveryKey) -> Result<(), RetryError> {
        let now = self.clock.now();
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        // Whoever else takes deliveries out of history waits. Settling does not: it only ever puts them there, so one that
        // is in the queue no more is in history by the next statement.
        let webhook = webhooks::hold(tx.conn(), tenant_id, key.webhook_id).await?.ok_or(RetryError::NoWebhook)?;
        must_listen(webhook.state)?;
        queue::hasten(tx.conn(), &[key], now).await?;
        if !queue::holds(tx.conn(), key).await? {
            let attempts = deliveries::reopen(tx.conn(), key).await?.ok_or(RetryError::NoDelivery)?;
            queue::insert_missing(tx.conn(), &[Entry { key, due_at: now, attempts, node_id: None }]).await?;
        }
        tx.commit().await?;
        self.lanes().note_due(key.webhook_id, now);
        self.due.notify_one();
        Ok(())
    }
}

/// Refuses webhooks to which nothing is sent at present.
pub(super) fn must_listen(state: WebhookState) -> Result<(), RetryError> {
    match state {
        WebhookState::Enabled | WebhookState::Failing { .. } | WebhookState::Unproven { .. } => Ok(()),
        WebhookState::Pending { .. } => Err(RetryError::Pending),
        WebhookState::Disabled { .. } => Err(RetryError::Disabled),
    }
}
