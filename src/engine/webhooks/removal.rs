//! Deleting webhooks, with what waits for them.

use super::{WebhookError, registered};
use crate::domain::audit::{Action, Actor};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::webhook::{DeliveryMethod, Webhook};
use crate::engine::{Engine, audit};
use crate::store::{Conn, StoreError, pull_keys, webhooks};

impl Engine {
    /// Deletes a webhook; answers whether the tenant had it. What is queued for it ends as cancelled when it is due.
    pub async fn delete_webhook(&self, actor: Actor, tenant_id: TenantId, id: WebhookId) -> Result<bool, WebhookError> {
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        let Some(webhook) = registered(tx.conn(), tenant_id, id).await? else { return Ok(false) };
        let deleted = self.remove_webhook(tx.conn(), actor, &webhook).await?;
        if deleted {
            tx.commit().await?;
            // It is gone whatever becomes of this; what is left is swept.
            if webhook.method == DeliveryMethod::Pull
                && let Err(error) = self.cancel_mail(id).await
            {
                tracing::warn!(webhook.id = %id, error = &error as &dyn std::error::Error, "what waits for a deleted webhook is ended later");
            }
        }
        Ok(deleted)
    }

    pub(super) async fn remove_webhook(
        &self,
        conn: &mut Conn,
        actor: Actor,
        webhook: &Webhook,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let action = Action::WebhookDeleted { id: webhook.id.to_string() };
        audit::record(conn, webhook.tenant_id, (actor, now), &[action]).await?;
        pull_keys::end(conn, webhook.id, now, now).await?;
        webhooks::delete(conn, webhook.tenant_id, webhook.id, now).await
    }
}
