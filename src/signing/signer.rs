//! Signing tokens with a key that was opened once.

use josekit::jwk::Jwk;
use josekit::jws::{self, JwsHeader, JwsSigner};

use super::aws_lc::AwsLcSigner;
use super::{MasterKey, Purpose, SealedKey, SigningError};
use crate::domain::key_ring::Kid;
use crate::domain::token::Algorithm;

/// An active key, ready to sign. Opening it takes half a millisecond, so it is opened once per rotation.
pub struct Signer {
    kid: Kid,
    /// The JOSE header of every token: `alg`, `kid` and `typ`, nothing else.
    header: JwsHeader,
    jws: Box<dyn JwsSigner>,
}

impl Signer {
    /// Opens a sealed key.
    pub fn open(sealed: &SealedKey, master_key: &MasterKey) -> Result<Self, SigningError> {
        let purpose = Purpose::SigningKey { tenant_id: sealed.tenant_id, kid: &sealed.kid };
        let plain = master_key.open(&purpose, &sealed.jwe)?;
        let unreadable = || SigningError::Unreadable(sealed.kid.to_string());
        let jwk = Jwk::from_bytes(plain.as_slice()).map_err(|_| unreadable())?;
        let jws: Box<dyn JwsSigner> = match sealed.algorithm {
            Algorithm::Rs256 => Box::new(jws::RS256.signer_from_jwk(&jwk).map_err(|_| unreadable())?),
            Algorithm::Ps256 => Box::new(jws::PS256.signer_from_jwk(&jwk).map_err(|_| unreadable())?),
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => {
                Box::new(AwsLcSigner::open(&jwk, sealed.algorithm).ok_or_else(unreadable)?)
            }
        };
        let mut header = JwsHeader::new();
        header.set_algorithm(sealed.algorithm.as_str());
        header.set_key_id(sealed.kid.as_str());
        header.set_token_type("JWT");
        Ok(Self { kid: sealed.kid.clone(), header, jws })
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Signs claims, given as the JSON that the token shall hold byte for byte, into a compact JWS (RFC 7515 7.1).
    pub fn sign(&self, claims: &[u8]) -> Result<String, SigningError> {
        jws::serialize_compact(claims, &self.header, &*self.jws).map_err(|_| SigningError::Signature)
    }
}
