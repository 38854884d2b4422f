//! A key that seals all others at rest.
//!
//! A record is sealed as a JWE (`dir`, A256GCM) whose protected header names the master key and what the record is for.
//! GCM authenticates that header, so a record moved to another tenant, key or webhook does not open.

use std::fmt;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::{self, Dir, JweHeader};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::SigningError;
use super::digest::{base64url, code_of_parts, sha256_of_parts};
use crate::domain::id::{AnswerId, TenantId, WebhookId};
use crate::domain::key_ring::Kid;

pub(super) const KEY_BYTES: usize = 32;
/// The protected header's member that says what a record is for.
const PURPOSE: &str = "sgn";

/// What a record is sealed for. It opens for nothing else.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    SigningKey {
        tenant_id: TenantId,
        kid: &'a Kid,
    },
    WebhookSecret {
        webhook_id: WebhookId,
    },
    /// What signs the questions to a tenant's authentication hooks.
    HookSecret {
        tenant_id: TenantId,
    },
    /// What a request was answered, which may hold what is shown once.
    Answer {
        id: AnswerId,
    },
    /// The known text by which the right master key is recognised.
    Check,
}

impl fmt::Display for Purpose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SigningKey { tenant_id, kid } => write!(f, "signing-key {tenant_id} {kid}"),
            Self::WebhookSecret { webhook_id } => write!(f, "webhook-secret {webhook_id}"),
            Self::HookSecret { tenant_id } => write!(f, "hook-secret {tenant_id}"),
            Self::Answer { id } => write!(f, "answer {id}"),
            Self::Check => f.write_str("check"),
        }
    }
}

/// 256 bits that seal private keys and webhook secrets.
pub(super) struct MasterKey {
    id: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// The members of a record's header that say how to open it.
#[derive(Deserialize)]
struct Header {
    kid: String,
}

impl MasterKey {
    pub(super) fn generate() -> Result<Self, SigningError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        SystemRandom::new().fill(key.as_mut_slice()).map_err(|_| SigningError::Generation("master"))?;
        Ok(Self::of(key))
    }

    pub(super) fn of(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let id = base64url(&sha256_of_parts(&[b"signet master key id", key.as_slice()])[..9]);
        Self { id, key }
    }

    /// Tells master keys apart; reveals nothing of the key.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The key as a JWK (RFC 7518 6.4), for its file.
    pub(super) fn jwk(&self) -> Zeroizing<String> {
        let k = Zeroizing::new(base64url(self.key.as_slice()));
        Zeroizing::new(format!(r#"{{"kty":"oct","kid":"{}","k":"{}"}}"#, self.id, k.as_str()))
    }

    /// Seals a record for one purpose.
    pub(super) fn seal(&self, purpose: &Purpose<'_>, plain: &[u8]) -> Result<String, SigningError> {
        let mut header = JweHeader::new();
        header.set_content_encryption("A256GCM");
        header.set_key_id(&self.id);
        header.set_claim(PURPOSE, Some(Value::String(purpose.to_string()))).map_err(|_| SigningError::Sealing)?;
        let encrypter = Dir.encrypter_from_bytes(self.key.as_slice()).map_err(|_| SigningError::Sealing)?;
        jwe::serialize_compact(plain, &header, &encrypter).map_err(|_| SigningError::Sealing)
    }

    /// A code that only its holders can make. What it is made with is derived from the key, and seals nothing.
    pub(super) fn code(&self, parts: &[&[u8]]) -> [u8; 32] {
        code_of_parts(self.key.as_slice(), b"signet codes 1", parts)
    }

    /// Opens a record that was sealed for exactly this purpose.
    pub(super) fn open(&self, purpose: &Purpose<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        let decrypter = Dir.decrypter_from_bytes(self.key.as_slice()).map_err(|_| SigningError::Unopenable)?;
        let (plain, header) = jwe::deserialize_compact(sealed, &decrypter).map_err(|_| SigningError::Unopenable)?;
        let plain = Zeroizing::new(plain);
        let sealed_for = header.claim(PURPOSE).and_then(Value::as_str);
        if sealed_for == Some(purpose.to_string().as_str()) { Ok(plain) } else { Err(SigningError::Unopenable) }
    }
}

/// The id of the master key that a record says it was sealed under; `None` when it is no such record.
pub fn master_key_of(sealed: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(sealed.split('.').next()?).ok()?;
    serde_json::from_slice::<Header>(&header).ok().map(|header| header.kid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master_key(fill: u8) -> MasterKey {
        MasterKey::of(Zeroizing::new([fill; KEY_BYTES]))
    }

    #[test]
    fn a_record_opens_for_its_purpose_and_master_key_alone() {
        let ours = Purpose::WebhookSecret { webhook_id: WebhookId::from_bytes([1; 16]) };
        let theirs = Purpose::WebhookSecret { webhook_id: WebhookId::from_bytes([2; 16]) };
        let sealed = master_key(1).seal(&ours, b"whsec_x").unwrap();

        assert_eq!(master_key(1).open(&ours, &sealed).unwrap().as_slice(), b"whsec_x");
        assert!(master_key(1).open(&theirs, &sealed).is_err());
        assert!(master_key(2).open(&ours, &sealed).is_err());
    }

    #[test]
    fn a_record_names_its_master_key() {
        let sealed = master_key(1).seal(&Purpose::Check, b"signet").unwrap();

        assert_eq!(master_key_of(&sealed).as_deref(), Some(master_key(1).id()));
        assert_eq!(master_key_of("pkcs11:token=signet"), None);
    }
}
