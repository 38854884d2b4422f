//! A receiver's public key that data is encrypted to: JWE (RFC 7516) in its compact form, `ECDH-ES` or `RSA-OAEP-256` as the key
//! is, and always `A256GCM`. What is judged here is public; a private half that somebody sends by mistake is neither kept nor
//! repeated.

use josekit::jwe::{self, JweEncrypter, JweHeader};
use josekit::jwk::Jwk;
use serde_json::{Map, Value};

use super::SigningError;
use super::jwk_rules::{self, Kind};
use crate::domain::webhook::JWK_BYTES_MAX;

pub use super::jwk_rules::JwkFault;

/// How content is encrypted.
const CONTENT_ENCRYPTION: &str = "A256GCM";
/// `application/json`, as RFC 7516 4.1.12 recommends to write it.
const CONTENT_TYPE: &str = "json";
/// Keys of a set that are looked at: whoever publishes more hides those that follow.
const SET_KEYS_MAX: usize = 100;

/// A key, ready to be encrypted to.
pub struct Recipient {
    encrypter: Box<dyn JweEncrypter>,
    header: JweHeader,
    jwk: String,
}

/// What was published is no JWK Set (RFC 7517 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKeySet;

impl Recipient {
    /// A JWK that can be encrypted to, or all that speaks against it.
    pub fn read(text: &str) -> Result<Self, Vec<JwkFault>> {
        if text.len() > JWK_BYTES_MAX {
            let words =
                format!("is longer than {JWK_BYTES_MAX} bytes; leave out what is no part of the key, such as x5c");
            return Err(vec![JwkFault::of_all(words)]);
        }
        let members = serde_json::from_str::<Map<String, Value>>(text).map_err(|_| {
            vec![JwkFault::of_all("is no JWK (RFC 7517): an object with kty, and crv, x and y, or n and e")]
        })?;
        Self::of(&members)
    }

    /// The first key of a set that is meant for encryption, or else the first one that does not say what it is meant for; `None`
    /// when none can be encrypted to. Keys of other kinds are passed over.
    pub fn of_set(body: &[u8]) -> Result<Option<Self>, NoKeySet> {
        let set: Value = serde_json::from_slice(body).map_err(|_| NoKeySet)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(NoKeySet)?;
        let keys = || keys.iter().take(SET_KEYS_MAX).filter_map(Value::as_object);
        let is_meant = |key: &&Map<String, Value>| key.contains_key("use");
        let usable = |key: &Map<String, Value>| Self::of(key).ok();
        Ok(keys().filter(is_meant).find_map(usable).or_else(|| keys().filter(|key| !is_meant(key)).find_map(usable)))
    }

    fn of(members: &Map<String, Value>) -> Result<Self, Vec<JwkFault>> {
        let (kind, members) = jwk_rules::public_members(members)?;
        let unusable = || vec![kind.unusable()];
        let jwk = Value::Object(members.clone()).to_string();
        let key = Jwk::from_map(members).map_err(|_| unusable())?;
        let encrypter: Box<dyn JweEncrypter> = match kind {
            Kind::Ec(_) | Kind::X25519 => Box::new(jwe::ECDH_ES.encrypter_from_jwk(&key).map_err(|_| unusable())?),
            Kind::Rsa => Box::new(jwe::RSA_OAEP_256.encrypter_from_jwk(&key).map_err(|_| unusable())?),
        };
        let mut header = JweHeader::new();
        header.set_content_encryption(CONTENT_ENCRYPTION);
        header.set_content_type(CONTENT_TYPE);
        let recipient = Self { encrypter, header, jwk };
        // There are points with which nothing secret can be agreed on, and only the attempt shows them.
        recipient.encrypt(b"{}").map_err(|_| unusable())?;
        Ok(recipient)
    }

    /// The public members of the key, always in one order.
    pub fn jwk(&self) -> &str {
        &self.jwk
    }

    /// These bytes, for the receiver alone. Every time under another key, so no two results are alike.
    pub fn encrypt(&self, plain: &[u8]) -> Result<String, SigningError> {
        // The cause may speak of the content.
        jwe::serialize_compact(plain, &self.header, &*self.encrypter).map_err(|_| SigningError::Encryption)
    }
}

#[cfg(test)]
#[path = "recipient_tests.rs"]
mod tests;
