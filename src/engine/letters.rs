//! Writing deliveries: who signs one, what its receiver has agreed on, and the letter that comes of both.

use std::sync::Arc;

use super::Engine;
use super::addressees::Addressee;
use super::bodies::Shared;
use super::encryption::Unwritten;
use super::keys::TenantKeys;
use crate::domain::event::Event;
use crate::domain::time::Timestamp;
use crate::signing::{Signer, SigningError};
use crate::wire::{self, Envelope, Letter, Occasion};

/// Whose deliveries these are, and which key signs them, if their format carries a token.
pub(super) struct Signing {
    keys: Arc<TenantKeys>,
    signer: Option<Arc<Signer>>,
}

impl Signing {
    pub(super) fn kid(&self) -> Option<&str> {
        self.signer.as_ref().map(|signer| signer.kid().as_str())
    }
}

/// What a tenant and a receiver have agreed on, and who signs.
pub(super) fn envelope<'a>(
    keys: &'a TenantKeys,
    signer: Option<&'a Signer>,
    addressee: &'a Addressee,
    now: Timestamp,
) -> Result<Envelope<'a>, SigningError> {
    let shared = addressee.shared.as_ref().map_err(Clone::clone)?;
    Ok(Envelope {
        webhook_id: addressee.webhook_id,
        format: addressee.format,
        url: addressee.url.as_url(),
        issuer: &keys.issuer,
        subject: &keys.tenant.token_subject,
        audience: &addressee.audience,
        ttl: keys.tenant.token_ttl,
        token_type: addressee.token_type,
        dialect: &keys.tenant.dialect,
        signer,
        secrets: shared.secrets_at(now),
        key_pairs: shared.key_pairs_at(now),
    })
}

impl Engine {
    /// Writes, encrypts and signs an attempt. Waits only for a key that is elsewhere.
    pub(super) async fn letter(
        &self,
        event: &Event,
        addressee: &Addressee,
        occasion: Occasion,
    ) -> Result<Letter, Unwritten> {
        let event = &*self.for_addressee(event, addressee).await?;
        // Chosen last: whoever waited for a key to encrypt to may find another one that signs.
        Ok(self.signed(event, addressee, &self.signing(event, addressee)?, occasion).await?)
    }

    /// The same for who has chosen already who signs.
    pub(super) async fn letter_by(
        &self,
        event: &Event,
        addressee: &Addressee,
        signing: &Signing,
        occasion: Occasion,
    ) -> Result<Letter, Unwritten> {
        let event = &*self.for_addressee(event, addressee).await?;
        Ok(self.signed(event, addressee, signing, occasion).await?)
    }

    /// Who signs an event for a receiver now.
    pub(super) fn signing(&self, event: &Event, addressee: &Addressee) -> Result<Signing, SigningError> {
        if !wire::carries_token(addressee.format) {
            let keys = self.keys_of(addressee.tenant_id).ok_or(SigningError::Signature)?;
            return Ok(Signing { keys, signer: None });
        }
        let (keys, signer) = self.signer_of(addressee.tenant_id)?;
        let signer = self.signer_for(&keys, event).map_or(Ok(signer), |signer| signer.map(Arc::new))?;
        Ok(Signing { keys, signer: Some(signer) })
    }

    async fn signed(
        &self,
        event: &Event,
        addressee: &Addressee,
        Signing { keys, signer }: &Signing,
        Occasion { attempt, now }: Occasion,
    ) -> Result<Letter, SigningError> {
        let envelope = envelope(keys, signer.as_deref(), addressee, now)?;
        let write = wire::body(event, &envelope, now);
        let body = match signer {
            // What is encrypted is for one alone.
            Some(signer) if addressee.shares_audience && addressee.encrypt_to.is_none() => {
                let shared = Shared {
                    event_id: event.id,
                    audience: addressee.audience.clone(),
                    format: addressee.format,
                    token_type: addressee.token_type,
                    attempt,
                    kid: signer.kid().clone(),
                    second: now.as_seconds(),
                };
                self.bodies.get_or(shared, write).await?
            }
            // Written for this one alone, or written so quickly that there is nothing to share.
            _ => write.await?,
        };
        Ok(wire::seal(event, body, &envelope, Occasion { attempt, now }))
    }
}
