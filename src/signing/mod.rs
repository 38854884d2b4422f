//! What is sealed: the only ring that touches private keys.
//!
//! Keys are made, sealed, opened and used here and nowhere else; other rings hold sealed texts and public halves. Key
//! material comes from the operating system through OpenSSL, never from a random number generator of ours. A signing key
//! signs webhook tokens and nothing else. It is in memory while it signs, and wiped when it does not.

mod answer_keys;
mod aws_lc;
pub mod client_certificate;
mod confidential;
pub mod digest;
mod jwk_rules;
mod jwks;
mod key_pair;
mod local;
mod master_key;
mod master_key_file;
mod master_keys;
mod pkcs11;
mod provider;
mod recipient;
mod signer;
mod verify;
mod webhook_key;

pub use answer_keys::{AnswerKeys, Bound, MalformedKey};
pub use client_certificate::ClientIdentity;
pub use confidential::{ClientSecret, Confidential, TooManySecrets};
pub use jwk_rules::thumbprint;
pub use jwks::Jwks;
pub use key_pair::{KeyPair, PublicJwk, SealedKey};
pub use master_key::{Purpose, master_key_of};
pub use master_key_file::MasterKeyError;
pub use master_keys::MasterKeys;
pub use pkcs11::{TokenError, TokenSettings};
pub use provider::{KeptKey, KeyProvider, MadeKey, Making, Providers};
pub use recipient::{JwkFault, NoKeySet, Recipient};
pub use signer::Signer;
pub use verify::{Expected, Rejection, Verified, verify};
pub use webhook_key::WebhookKeyPair;

/// Something that should have worked with keys of our own did not. The cause may name members of a key, so it is not
/// kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    #[error("a {0} key could not be made")]
    Generation(&'static str),
    #[error("the key {0} could not be read back; its record was damaged")]
    Unreadable(String),
    #[error("a sealed record could not be opened: it was sealed for another purpose, or was damaged")]
    Unopenable,
    #[error("a record is sealed under the master key {0}, which is not among those that are held here")]
    MasterKeyMissing(String),
    #[error("a record could not be sealed")]
    Sealing,
    #[error("a token could not be signed")]
    Signature,
    #[error("data could not be encrypted")]
    Encryption,
    #[error("the device that signs did not answer in time")]
    Busy,
    #[error(transparent)]
    Token(#[from] TokenError),
}
