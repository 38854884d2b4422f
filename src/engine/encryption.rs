//! Encrypting what webhooks are sent whose owner wishes it. Where there is no key to encrypt to, nothing is sent: there is no way
//! from here back to the data as it is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::addressees::Addressee;
use super::key_sets::FETCH_WITHIN;
use super::webhooks::WebhookError;
use crate::domain::delivery::ATTEMPT_WITHIN;
use crate::domain::event::Event;
use crate::domain::webhook::{Encryption, Format, WebhookUrl};
use crate::signing::{self, JwkFault, Recipient, SigningError};
use crate::wire;

pub use super::key_sets::NoKey;

/// Whom an addressee's data is encrypted to.
pub(super) enum EncryptTo {
    Key(Result<Arc<Recipient>, NoKey>),
    KeySet(WebhookUrl),
}

/// A delivery could not be written.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unwritten {
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    NoKey(#[from] NoKey),
}

/// What speaks against a key that somebody wishes to have data encrypted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the webhook.
    pub pointer: String,
    pub detail: String,
}

/// What may be registered: a key that can be encrypted to, with its public members alone. What stands at a URL is looked at
/// when it is needed.
pub fn judged(wish: Encryption) -> Result<Encryption, Vec<Fault>> {
    let Encryption::Key(jwk) = wish else { return Ok(wish) };
    let fault = |JwkFault { member, detail }: JwkFault| {
        let separator = if member.is_empty() { "" } else { "/" };
        Fault { pointer: format!("/encryption/jwk{separator}{member}"), detail }
    };
    match Recipient::read(&jwk) {
        Ok(recipient) => Ok(Encryption::Key(recipient.jwk().to_owned())),
        Err(faults) => Err(faults.into_iter().map(fault).collect()),
    }
}

/// How it is told to somebody who asks later when and to whom data was encrypted. A query may hold a secret.
pub(super) fn told(encryption: Option<&Encryption>) -> String {
    match encryption {
        None => "none".to_owned(),
        Some(Encryption::Key(jwk)) => format!("jwk {}", signing::thumbprint(jwk).unwrap_or_default()),
        Some(Encryption::KeySet(url)) => format!("jwks_url {}", url.audience()),
    }
}

/// Receivers of some formats do not know data that is encrypted.
pub(super) fn check_format(format: Format, encryption: Option<&Encryption>) -> Result<(), WebhookError> {
    if encryption.is_none() || wire::carries_jwe(format) { Ok(()) } else { Err(WebhookError::NotEncrypted) }
}

impl EncryptTo {
    pub(super) fn of(encryption: Encryption) -> Self {
        match encryption {
            Encryption::Key(jwk) => Self::Key(Recipient::read(&jwk).map(Arc::new).map_err(|_| NoKey::Unreadable)),
            Encryption::KeySet(url) => Self::KeySet(url),
        }
    }
}

impl Engine {
    /// Whether deliveries may be sent there, and keys fetched.
    pub(super) fn check_reach(
        &self,
        url: Option<&WebhookUrl>,
        encryption: Option<&Encryption>,
    ) -> Result<(), WebhookError> {
        let is_blocked = |url: &WebhookUrl| !self.egress.may_reach(url.as_url());
        if url.is_some_and(is_blocked) {
            return Err(WebhookError::Blocked);
        }
        if encryption.and_then(Encryption::jwks_url).is_some_and(is_blocked) {
            return Err(WebhookError::KeySetBlocked);
        }
        Ok(())
    }

    /// The event as this addressee may be sent it: as it is, or with a JWE in the place of its data.
    pub(super) async fn for_addressee<'e>(
        &self,
        event: &'e Event,
        addressee: &Addressee,
    ) -> Result<Cow<'e, Event>, Unwritten> {
        let recipient = match &addressee.encrypt_to {
            None => return Ok(Cow::Borrowed(event)),
            Some(EncryptTo::Key(key)) => key.clone()?,
            Some(EncryptTo::KeySet(url)) => {
                let key = self.key_of_set(addressee.tenant_id, url, patience(addressee)).await?;
                // The keys that sign may have changed while this one was waited for.
                if !self.regain_leave_to_sign().await {
                    return Err(SigningError::Signature.into());
                }
                key
            }
        };
        let jwe = recipient.encrypt(&event.payload)?;
        let payload = wire::in_place_of_data(addressee.format, &jwe).ok_or(SigningError::Encryption)?;
        Ok(Cow::Owned(Event { payload, ..event.clone() }))
    }
}

/// How long an attempt may wait for a key: most of its time belongs to the receiver.
fn patience(addressee: &Addressee) -> Duration {
    FETCH_WITHIN.min(addressee.handling.timeout.unwrap_or(ATTEMPT_WITHIN) / 2)
}
