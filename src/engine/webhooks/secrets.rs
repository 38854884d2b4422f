//! What a webhook keeps sealed: signing secrets that are made, taken over and changed without a gap, and its own headers.

use std::time::Duration;

use super::{RACES_MAX, WebhookError, registered};
use crate::domain::audit::{Action, Actor};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::webhook::secret;
use crate::engine::keys::KeysError;
use crate::engine::{Engine, audit};
use crate::signing::{Confidential, Purpose, SigningError};
use crate::store::{Conn, webhooks};

/// Another signing secret, shown once.
pub struct RotatedSecret {
    pub secret: Secret<String>,
    /// Until when the one before signs too.
    pub previous_expires_at: Timestamp,
}

impl Engine {
    /// Puts another signing secret in the place of a webhook's; both sign until the overlap is over. `None` when the tenant
    /// has no such webhook.
    pub async fn rotate_secret(
        &self,
        actor: Actor,
        (tenant_id, id): (TenantId, WebhookId),
        next: Option<Secret<String>>,
        overlap: Duration,
    ) -> Result<Option<RotatedSecret>, WebhookError> {
        let next = self.signing_secret(next)?;
        for _ in 0..RACES_MAX {
            let now = self.clock.now();
            let mut tx = self.store.write().await?;
            let Some(mut webhook) = registered(tx.conn(), tenant_id, id).await? else { return Ok(None) };
            let action = Action::WebhookChanged { id: id.to_string(), members: vec!["secret"] };
            audit::record(tx.conn(), tenant_id, (actor, now), &[action]).await?;
            let mut confidential = self.confidential(tx.conn(), id).await?;
            let until = now.plus(overlap);
            confidential.rotate(next.clone(), until, now)?;
            let secret_jwe = self.seal_confidential(tx.conn(), id, &confidential).await?;
            webhook.updated_at = now;
            if webhooks::update(tx.conn(), &webhook, Some(&secret_jwe)).await? {
                tx.commit().await?;
                return Ok(Some(RotatedSecret { secret: next, previous_expires_at: until }));
            }
        }
        Err(WebhookError::Contended)
    }

    pub(super) fn signing_secret(&self, supplied: Option<Secret<String>>) -> Result<Secret<String>, WebhookError> {
        match supplied {
            None => Ok(Secret::new(secret::written(&self.clock.secret_bytes()?))),
            Some(secret) => {
                secret::read(secret.reveal())?;
                Ok(secret)
            }
        }
    }

    pub(super) async fn confidential(&self, conn: &mut Conn, id: WebhookId) -> Result<Confidential, WebhookError> {
        let unreadable = || SigningError::Unreadable(id.to_string());
        let sealed = webhooks::sealed(conn, id).await?.ok_or_else(unreadable)?;
        let plain = self.master_keys.open(&Purpose::WebhookSecret { webhook_id: id }, &sealed)?;
        Ok(Confidential::read(&plain).ok_or_else(unreadable)?)
    }

    pub(super) async fn seal_confidential(
        &self,
        conn: &mut Conn,
        id: WebhookId,
        confidential: &Confidential,
    ) -> Result<String, KeysError> {
        self.seal(conn, &Purpose::WebhookSecret { webhook_id: id }, &confidential.write()).await
    }
}
