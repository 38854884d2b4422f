//! The certificate by which a webhook's deliveries show receivers who comes (mutual TLS).

use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The longest chain, and the longest key, as PEM.
pub const CHAIN_BYTES_MAX: usize = 32 * 1024;
pub const KEY_BYTES_MAX: usize = 16 * 1024;
/// Certificates in a chain.
pub const CHAIN_MAX: usize = 8;

/// What is shown of a certificate. Its private key is kept sealed, beside the webhook's signing secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whom it names, such as `CN=signet, O=Example`.
    pub subject: String,
    /// When it is good for nothing any more.
    pub expires_at: Timestamp,
    /// The whole chain as PEM, its own certificate first.
    pub chain: String,
}

/// What somebody wishes deliveries to show, as PEM.
#[derive(Debug, Clone)]
pub struct ClientCertificateWish {
    pub chain: String,
    pub private_key: Secret<String>,
}

/// No certificate that deliveries can show. Those of the key name it, the others the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedClientCertificate {
    #[error(
        "is not a chain of 1 to {CHAIN_MAX} certificates as PEM (-----BEGIN CERTIFICATE-----), {CHAIN_BYTES_MAX} bytes at most"
    )]
    Chain,
    #[error("has certificates in another order than its own first, and then each one's issuer")]
    Order,
    #[error("begins with a certificate that has expired")]
    Expired,
    #[error(
        "begins with a certificate whose key is too weak: RSA has 2048 bits at least, and curves are P-256, P-384, P-521 or Ed25519"
    )]
    Weak,
    #[error(
        "is not one private key as PEM, without a password, such as -----BEGIN PRIVATE KEY-----, {KEY_BYTES_MAX} bytes at most"
    )]
    Key,
    #[error("is not the private key of the chain's first certificate")]
    OtherKey,
}

impl MalformedClientCertificate {
    /// Whether the key is at fault, not the chain.
    pub fn is_of_key(self) -> bool {
        matches!(self, Self::Key | Self::OtherKey)
    }
}
