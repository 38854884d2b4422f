//! The provider that needs no device: a private half is a JWE under a master key, and its row is all there is of it.

use std::sync::Arc;

use super::aws_lc::AwsLcSigner;
use super::provider::{KeptKey, KeyProvider, MadeKey};
use super::{KeyPair, MasterKeys, Purpose, SealedKey, Signer, SigningError};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Kid;
use crate::domain::token::Algorithm;

pub(super) struct Local {
    master_keys: Arc<MasterKeys>,
}

impl Local {
    pub(super) fn new(master_keys: Arc<MasterKeys>) -> Self {
        Self { master_keys }
    }
}

impl KeyProvider for Local {
    fn make(&self, tenant_id: TenantId, algorithm: Algorithm) -> Result<MadeKey, SigningError> {
        let pair = KeyPair::generate(algorithm)?;
        Ok(MadeKey { public: pair.public()?, sealed: pair.seal(&self.master_keys, tenant_id)? })
    }

    fn open(&self, key: &SealedKey) -> Result<Signer, SigningError> {
        let plain = self.master_keys.open(&purpose(key), &key.private_half)?;
        let jws = AwsLcSigner::open(&plain, key.algorithm);
        let jws = jws.ok_or_else(|| SigningError::Unreadable(key.kid.to_string()))?;
        Ok(Signer::here(key.kid.clone(), key.algorithm, Box::new(jws)))
    }

    fn check(&self, key: &SealedKey) -> Result<(), SigningError> {
        self.master_keys.open(&purpose(key), &key.private_half).map(drop)
    }

    /// Its row is all there is of it.
    fn destroy(&self, _: &KeptKey) -> Result<(), SigningError> {
        Ok(())
    }

    fn list(&self) -> Result<Vec<KeptKey>, SigningError> {
        Ok(Vec::new())
    }

    fn kid_of(&self, _: &KeptKey) -> Result<Option<Kid>, SigningError> {
        Ok(None)
    }
}

fn purpose(key: &SealedKey) -> Purpose<'_> {
    Purpose::SigningKey { tenant_id: key.tenant_id, kid: &key.kid }
}
