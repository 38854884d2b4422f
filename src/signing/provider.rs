//! Where private halves are made, kept and used.
//!
//! A row's text says which provider its key belongs to, so keys of several providers stand in one ring, and an installation
//! moves from one to another by rotating.

use std::sync::Arc;

use super::local::Local;
use super::pkcs11::{Token, TokenSettings};
use super::{MasterKeys, PublicJwk, SealedKey, Signer, SigningError};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Kid;
use crate::domain::token::Algorithm;

/// A key pair that was just made: its public half, and what is written down of the private one.
pub struct MadeKey {
    pub public: PublicJwk,
    pub sealed: SealedKey,
}

/// A private half that a provider keeps, whether or not a row needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeptKey {
    pub tenant_id: TenantId,
    /// What a row that needs it has for its private half.
    pub private_half: String,
}

/// Keeps private halves. Everything here may wait for a device: call it where nobody else has to wait with it.
pub trait KeyProvider: Send + Sync {
    /// Makes a key pair for a tenant.
    fn make(&self, tenant_id: TenantId, algorithm: Algorithm) -> Result<MadeKey, SigningError>;

    /// A signer with a key that was made for this tenant and has this kid, and with no other. Does not wait: what has to
    /// wait does so at the first signature.
    fn open(&self, key: &SealedKey) -> Result<Signer, SigningError>;

    /// Whether a text can be a private half of this tenant's key, as far as that shows without waiting.
    fn check(&self, key: &SealedKey) -> Result<(), SigningError>;

    /// Destroys what a text stands for beside its row. What is gone already is no error.
    fn destroy(&self, kept: &KeptKey) -> Result<(), SigningError>;

    /// Everything that is kept beside rows, so that what a crash left behind can be destroyed.
    fn list(&self) -> Result<Vec<KeptKey>, SigningError>;

    /// The kid of something that is kept; `None` when it is gone.
    fn kid_of(&self, kept: &KeptKey) -> Result<Option<Kid>, SigningError>;
}

/// Every provider of this installation, and which of them makes keys.
#[derive(Clone)]
pub struct Providers {
    local: Arc<Local>,
    token: Arc<Token>,
    making: Making,
}

/// Who makes the keys from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    Local,
    Token,
}

impl Providers {
    pub fn new(master_keys: Arc<MasterKeys>, token: Option<TokenSettings>, making: Making) -> Self {
        Self { local: Arc::new(Local::new(master_keys)), token: Arc::new(Token::new(token)), making }
    }

    /// Speaks to the token, if there is to be one: what is wrong with its settings shows here.
    pub fn confirm(&self) -> Result<(), SigningError> {
        if self.token.is_configured() { Ok(self.token.confirm()?) } else { Ok(()) }
    }

    /// Whether something may be kept beside rows.
    pub fn keep_beside_rows(&self) -> bool {
        self.token.is_configured()
    }

    /// Whether a private half is only named by its row, and no master key seals it.
    pub fn stands_beside_row(private_half: &str) -> bool {
        Token::owns(private_half)
    }

    fn of(&self, private_half: &str) -> &dyn KeyProvider {
        if Token::owns(private_half) { &*self.token } else { &*self.local }
    }
}

impl KeyProvider for Providers {
    fn make(&self, tenant_id: TenantId, algorithm: Algorithm) -> Result<MadeKey, SigningError> {
        match self.making {
            Making::Local => self.local.make(tenant_id, algorithm),
            Making::Token => self.token.make(tenant_id, algorithm),
        }
    }

    fn open(&self, key: &SealedKey) -> Result<Signer, SigningError> {
        self.of(&key.private_half).open(key)
    }

    fn check(&self, key: &SealedKey) -> Result<(), SigningError> {
        self.of(&key.private_half).check(key)
    }

    fn destroy(&self, kept: &KeptKey) -> Result<(), SigningError> {
        self.of(&kept.private_half).destroy(kept)
    }

    fn list(&self) -> Result<Vec<KeptKey>, SigningError> {
        if self.token.is_configured() { self.token.list() } else { self.local.list() }
    }

    fn kid_of(&self, kept: &KeptKey) -> Result<Option<Kid>, SigningError> {
        self.of(&kept.private_half).kid_of(kept)
    }
}
