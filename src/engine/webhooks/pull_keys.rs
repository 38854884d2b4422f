//! The keys with which receivers collect: one is made with each webhook that pulls, and another takes its place without a gap.

use std::time::Duration;

use super::{WebhookError, registered};
use crate::domain::access::{PULL_KEYS_MAX, PullKey};
use crate::domain::audit::{Action, Actor};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryMethod, Webhook};
use crate::engine::{Engine, audit};
use crate::signing::digest;
use crate::store::{Conn, pull_keys};

/// A webhook that was registered, and what is shown of it this once.
pub struct Registered {
    pub webhook: Webhook,
    pub secret: Secret<String>,
    /// Where its receiver collects.
    pub pull_key: Option<PullKey>,
}

/// Another pull key, shown once.
pub struct RotatedPullKey {
    pub key: PullKey,
    /// Until when those before are taken too.
    pub previous_expires_at: Timestamp,
}

impl Engine {
    /// Puts another pull key in the place of a webhook's; all are taken until the overlap is over. `None` when the tenant has no
    /// such webhook.
    pub async fn rotate_pull_key(
        &self,
        actor: Actor,
        (tenant_id, id): (TenantId, WebhookId),
        overlap: Duration,
    ) -> Result<Option<RotatedPullKey>, WebhookError> {
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        let Some(webhook) = registered(tx.conn(), tenant_id, id).await? else { return Ok(None) };
        if webhook.method != DeliveryMethod::Pull {
            return Err(WebhookError::IsSentTo);
        }
        let now = self.clock.now();
        let action = Action::WebhookChanged { id: id.to_string(), members: vec!["pull_key"], seen: Vec::new() };
        audit::record(tx.conn(), tenant_id, (actor, now), &[action]).await?;
        let until = now.plus(overlap);
        if pull_keys::end(tx.conn(), id, until, now).await? >= PULL_KEYS_MAX {
            return Err(WebhookError::TooManyPullKeys);
        }
        let key = self.make_pull_key(tx.conn(), id, now).await?;
        tx.commit().await?;
        Ok(Some(RotatedPullKey { key, previous_expires_at: until }))
    }

    pub(super) async fn make_pull_key(
        &self,
        conn: &mut Conn,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<PullKey, WebhookError> {
        let key = PullKey::from_random(&self.clock.secret_bytes()?);
        pull_keys::insert(conn, id, &digest::sha256(key.reveal().as_bytes()), now).await?;
        Ok(key)
    }
}
