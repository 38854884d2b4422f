//! Trying a delivery again because somebody asks.

use super::Engine;
use crate::domain::delivery::DeliveryKey;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryMethod, Webhook, WebhookState};
use crate::store::mailbox::Mail;
use crate::store::queue::Entry;
use crate::store::{Conn, StoreError, deliveries, mailbox, queue, webhooks};

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
        hasten(tx.conn(), &webhook, &[key], now).await?;
        let waits = match webhook.method {
            DeliveryMethod::Push => queue::holds(tx.conn(), key).await?,
            DeliveryMethod::Pull => mailbox::holds(tx.conn(), key).await?,
        };
        if !waits {
            let attempts = deliveries::reopen(tx.conn(), key).await?.ok_or(RetryError::NoDelivery)?;
            put_back(tx.conn(), &webhook, &[(key, attempts)], now).await?;
        }
        tx.commit().await?;
        self.note_waiting(&webhook);
        Ok(())
    }

    /// Has those look who would send it, or wait for it. Only after the commit.
    pub(super) fn note_waiting(&self, webhook: &Webhook) {
        match webhook.method {
            DeliveryMethod::Push => {
                self.lanes().note_due(webhook.tenant_id, webhook.id, self.clock.now());
                self.due.notify_one();
            }
            DeliveryMethod::Pull => self.mailroom.ring([webhook.id]),
        }
    }
}

/// Has waiting deliveries sent, or handed over, as soon as may be.
pub(super) async fn hasten(
    conn: &mut Conn,
    webhook: &Webhook,
    keys: &[DeliveryKey],
    now: Timestamp,
) -> Result<(), StoreError> {
    match webhook.method {
        DeliveryMethod::Push => queue::hasten(conn, keys, now).await,
        DeliveryMethod::Pull => mailbox::hasten(conn, keys, now).await,
    }
}

/// Has deliveries made, or made again, that were tried so often.
pub(super) async fn put_back(
    conn: &mut Conn,
    webhook: &Webhook,
    tried: &[(DeliveryKey, u32)],
    now: Timestamp,
) -> Result<(), StoreError> {
    match webhook.method {
        DeliveryMethod::Push => {
            let entry = |(key, attempts): &(DeliveryKey, u32)| Entry {
                key: *key,
                due_at: now,
                attempts: *attempts,
                node_id: None,
            };
            queue::insert_missing(conn, &tried.iter().map(entry).collect::<Vec<_>>()).await
        }
        DeliveryMethod::Pull => {
            let mail = |(key, attempts): &(DeliveryKey, u32)| Mail {
                key: *key,
                entered_at: now,
                available_at: now,
                attempts: *attempts,
            };
            mailbox::insert_missing(conn, &tried.iter().map(mail).collect::<Vec<_>>()).await
        }
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
