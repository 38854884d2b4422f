//! What a webhook keeps sealed: signing secrets and key pairs that are made, taken over and changed without a gap, and its own headers.

use std::time::Duration;

use super::{Change, Choice, WebhookError, registered};
use crate::domain::audit::{Action, Actor};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Format, Webhook, secret};
use crate::engine::keys::KeysError;
use crate::engine::{Engine, audit};
use crate::signing::{Confidential, Purpose, SigningError, WebhookKeyPair, client_certificate};
use crate::store::{Conn, webhooks};

/// Another signing secret, shown once.
pub struct RotatedSecret {
    pub secret: Secret<String>,
    /// The public half of another key pair, where the webhook has one.
    pub public_key: Option<String>,
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
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        let Some(mut webhook) = registered(tx.conn(), tenant_id, id).await? else { return Ok(None) };
        let next = self.signing_secret(next, webhook.format)?;
        let now = self.clock.now();
        let action = Action::WebhookChanged { id: id.to_string(), members: vec!["secret"], seen: Vec::new() };
        audit::record(tx.conn(), tenant_id, (actor, now), &[action]).await?;
        let mut confidential = self.confidential(tx.conn(), id).await?;
        let until = now.plus(overlap);
        if overlap.is_zero() {
            // Whoever wants no overlap may have lost them all.
            confidential.end_overlaps();
        }
        confidential.rotate(next.clone(), until, now)?;
        if webhook.public_key.is_some() {
            webhook.public_key = Some(self.add_key_pair(&mut confidential, until, now)?);
        }
        let secret_jwe = self.seal_confidential(tx.conn(), id, &confidential).await?;
        webhook.updated_at = now;
        if !webhooks::update(tx.conn(), &webhook, Some(&secret_jwe)).await? {
            return Err(WebhookError::Contended);
        }
        tx.commit().await?;
        let public_key = webhook.public_key;
        Ok(Some(RotatedSecret { secret: next, public_key, previous_expires_at: until }))
    }

    /// Seals what a change concerns of what a webhook keeps sealed; `None` when that stays as it is.
    pub(super) async fn seal_changed(
        &self,
        conn: &mut Conn,
        webhook: &mut Webhook,
        change: &Change,
    ) -> Result<Option<String>, WebhookError> {
        if change.format.is_some() && change.secret.is_none() {
            self.keeps_suitable_secret(conn, webhook.id, webhook.format).await?;
        }
        let key_pair = change.has_key_pair.filter(|wished| *wished != webhook.public_key.is_some());
        let keeps_certificate = matches!(change.client_certificate, Choice::Unchanged);
        if change.headers.is_empty() && change.secret.is_none() && key_pair.is_none() && keeps_certificate {
            return Ok(None);
        }
        let now = webhook.updated_at;
        let mut confidential = self.confidential(conn, webhook.id).await?;
        for (name, value) in change.headers.clone() {
            match value {
                Some(value) => confidential.headers.set(name, value)?,
                None => confidential.headers.remove(&name),
            }
        }
        webhook.header_names = confidential.headers.names();
        if let Some((secret, overlap)) = &change.secret {
            let until = now.plus(*overlap);
            confidential.rotate(secret.clone(), until, now)?;
            if webhook.public_key.is_some() {
                webhook.public_key = Some(self.add_key_pair(&mut confidential, until, now)?);
            }
        }
        match &change.client_certificate {
            Choice::Unchanged => {}
            Choice::Standard => (webhook.client_certificate, confidential.client) = (None, None),
            Choice::Own(wish) => {
                let (shown, secret) = client_certificate::read(wish, now)?;
                (webhook.client_certificate, confidential.client) = (Some(shown), Some(secret));
            }
        }
        if let Some(is_wished) = key_pair {
            confidential.forget_key_pairs();
            let made = is_wished.then(|| self.add_key_pair(&mut confidential, now, now));
            webhook.public_key = made.transpose()?;
        }
        Ok(Some(self.seal_confidential(conn, webhook.id, &confidential).await?))
    }

    /// Makes a key pair that signs from now on, the one before until an instant; answers the public half.
    pub(super) fn add_key_pair(
        &self,
        confidential: &mut Confidential,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<String, WebhookError> {
        let text = WebhookKeyPair::text(&self.clock.secret_bytes()?);
        let pair = WebhookKeyPair::parse(text.reveal()).ok_or(SigningError::Generation("Ed25519"))?;
        confidential.rotate_key_pair(text, until, now)?;
        Ok(pair.public_text())
    }

    pub(super) fn signing_secret(
        &self,
        supplied: Option<Secret<String>>,
        format: Format,
    ) -> Result<Secret<String>, WebhookError> {
        match supplied {
            None => Ok(Secret::new(secret::written(&self.clock.secret_bytes()?))),
            Some(secret) => {
                secret::suits(secret.reveal(), format)?;
                Ok(secret)
            }
        }
    }

    /// Refuses a format for which the webhook's secret is none.
    pub(super) async fn keeps_suitable_secret(
        &self,
        conn: &mut Conn,
        id: WebhookId,
        format: Format,
    ) -> Result<(), WebhookError> {
        match self.confidential(conn, id).await {
            Ok(confidential) => confidential.suits(format).map_err(|_| WebhookError::UnsuitableSecret),
            // What cannot be opened signs nothing either way.
            Err(WebhookError::Signing(_)) => Ok(()),
            Err(error) => Err(error),
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
