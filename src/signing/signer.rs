//! Signing tokens with a key that was opened once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{JwsHeader, JwsSigner};

use super::aws_lc::AwsLcSigner;
use super::digest::base64url;
use super::{MasterKey, Purpose, SealedKey, SigningError};
use crate::domain::key_ring::Kid;

/// An active key, ready to sign. Opening it takes half a millisecond, so it is opened once per rotation.
pub struct Signer {
    kid: Kid,
    /// The JOSE header of every token as its first part: `alg`, `kid` and `typ`, nothing else.
    header: String,
    jws: Box<dyn JwsSigner>,
}

impl Signer {
    /// Opens a sealed key.
    pub fn open(sealed: &SealedKey, master_key: &MasterKey) -> Result<Self, SigningError> {
        let purpose = Purpose::SigningKey { tenant_id: sealed.tenant_id, kid: &sealed.kid };
        let plain = master_key.open(&purpose, &sealed.jwe)?;
        let jws = AwsLcSigner::open(&plain, sealed.algorithm);
        let jws = Box::new(jws.ok_or_else(|| SigningError::Unreadable(sealed.kid.to_string()))?);
        let mut header = JwsHeader::new();
        header.set_algorithm(sealed.algorithm.as_str());
        header.set_key_id(sealed.kid.as_str());
        header.set_token_type("JWT");
        Ok(Self { kid: sealed.kid.clone(), header: base64url(header.to_string().as_bytes()), jws })
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Signs claims, given as the JSON that the token shall hold byte for byte, and appends the compact JWS (RFC 7515 7.1).
    /// What is signed is the text that is sent, where it stands: it is never copied.
    pub fn sign_onto(&self, text: &mut String, claims: &[u8]) -> Result<(), SigningError> {
        let start = text.len();
        text.push_str(&self.header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, text);
        let signature = self.jws.sign(&text.as_bytes()[start..]).map_err(|_| SigningError::Signature)?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, text);
        Ok(())
    }

    /// How long the token of so many bytes of claims is.
    pub fn token_len(&self, claims_len: usize) -> usize {
        let base64_len = |bytes: usize| (bytes * 4).div_ceil(3);
        self.header.len() + 1 + base64_len(claims_len) + 1 + base64_len(self.jws.signature_len())
    }
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
