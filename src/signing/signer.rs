//! Signing tokens with a key that was opened once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{JwsHeader, JwsSigner};
use tokio::sync::Semaphore;

use super::SigningError;
use super::digest::base64url;
use crate::domain::key_ring::Kid;
use crate::domain::token::{Algorithm, TokenType};

/// How long a signature waits for its turn at a device, and for the device. A delivery that waits longer is tried again
/// later: its claim must not end while it is under way.
const TURN_WITHIN: Duration = Duration::from_secs(2);
const SIGNED_WITHIN: Duration = Duration::from_secs(2);

/// A key that signs elsewhere, where one has to wait for it.
pub(super) trait Elsewhere: Send + Sync {
    /// Signs, and waits for that: not to be called where others would have to wait too.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;

    /// As many turns as the device signs at a time.
    fn turns(&self) -> &Arc<Semaphore>;
}

/// An active key, ready to sign. Opening it takes half a millisecond, so it is opened once per rotation.
pub struct Signer {
    kid: Kid,
    /// The JOSE header of every token as its first part: `alg`, `kid` and `typ`, nothing else. One for each type.
    headers: [String; TokenType::ALL.len()],
    signature_len: usize,
    key: Key,
}

enum Key {
    /// In this process: it signs on the spot.
    Here(Box<dyn JwsSigner>),
    Elsewhere(Arc<dyn Elsewhere>),
}

impl Signer {
    pub(super) fn here(kid: Kid, algorithm: Algorithm, jws: Box<dyn JwsSigner>) -> Self {
        Self::new(kid, algorithm, jws.signature_len(), Key::Here(jws))
    }

    pub(super) fn elsewhere(kid: Kid, algorithm: Algorithm, signature_len: usize, key: Arc<dyn Elsewhere>) -> Self {
        Self::new(kid, algorithm, signature_len, Key::Elsewhere(key))
    }

    fn new(kid: Kid, algorithm: Algorithm, signature_len: usize, key: Key) -> Self {
        let headers = TokenType::ALL.map(|token_type| {
            let mut header = JwsHeader::new();
            header.set_algorithm(algorithm.as_str());
            header.set_key_id(kid.as_str());
            header.set_token_type(token_type.as_str());
            base64url(header.to_string().as_bytes())
        });
        Self { kid, headers, signature_len, key }
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    fn header(&self, token_type: TokenType) -> &str {
        match token_type {
            TokenType::Jwt => &self.headers[0],
            TokenType::Webhook => &self.headers[1],
            TokenType::SecurityEvent => &self.headers[2],
            TokenType::Hook => &self.headers[3],
        }
    }

    /// Signs claims, given as the JSON that the token shall hold byte for byte, and appends the compact JWS (RFC 7515 7.1).
    /// What is signed here is the text that is sent, where it stands: it is never copied, and there is no wait.
    pub async fn sign_onto(&self, text: &mut String, token_type: TokenType, claims: &[u8]) -> Result<(), SigningError> {
        let start = text.len();
        text.push_str(self.header(token_type));
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, text);
        let signature = match &self.key {
            Key::Here(jws) => jws.sign(&text.as_bytes()[start..]).map_err(|_| SigningError::Signature)?,
            Key::Elsewhere(key) => {
                let message = text.as_bytes()[start..].to_vec();
                // In a box of its own, so that whoever signs here does not carry room for it.
                Box::pin(signed_elsewhere(key.clone(), message)).await?
            }
        };
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, text);
        Ok(())
    }

    /// How long the token of so many bytes of claims is.
    pub fn token_len(&self, token_type: TokenType, claims_len: usize) -> usize {
        let base64_len = |bytes: usize| (bytes * 4).div_ceil(3);
        self.header(token_type).len() + 1 + base64_len(claims_len) + 1 + base64_len(self.signature_len)
    }
}

/// On a thread that may wait, and on no more of them than the device signs at a time.
async fn signed_elsewhere(key: Arc<dyn Elsewhere>, message: Vec<u8>) -> Result<Vec<u8>, SigningError> {
    let turn = tokio::time::timeout(TURN_WITHIN, key.turns().clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else { return Err(SigningError::Busy) };
    let signing = tokio::task::spawn_blocking(move || {
        // Given back when the device has answered, even when nobody waits for that any more.
        let _turn = turn;
        key.sign(&message)
    });
    match tokio::time::timeout(SIGNED_WITHIN, signing).await {
        Ok(signed) => signed.map_err(|_| SigningError::Signature)?,
        Err(_) => Err(SigningError::Busy),
    }
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
