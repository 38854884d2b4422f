//! Whom the data of a webhook's deliveries is encrypted to, so that nobody on their way can read it.

use super::WebhookUrl;

/// The longest JWK, as JSON text: the largest RSA key that is taken, and room for its other members.
pub const JWK_BYTES_MAX: usize = 4 * 1024;

/// The receiver's own public key, which only the receiver can open what was encrypted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// A JWK (RFC 7517), as JSON text. Whether it can be encrypted to is for `signing` to judge.
    Key(String),
    /// Where the receiver publishes its keys, of which the present one is taken.
    KeySet(WebhookUrl),
}

impl Encryption {
    /// The JWK, if there is one.
    pub fn jwk(&self) -> Option<&str> {
        match self {
            Self::Key(jwk) => Some(jwk),
            Self::KeySet(_) => None,
        }
    }

    pub fn jwks_url(&self) -> Option<&WebhookUrl> {
        match self {
            Self::Key(_) => None,
            Self::KeySet(url) => Some(url),
        }
    }
}
