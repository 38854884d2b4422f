//! josekit's signer interface over keys of aws-lc-rs: the same signatures for a third less, and for a fifth where OpenSSL
//! is slow (Ed25519, P-384). Verifying stays with josekit, which is how the two are held to be equal.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::JoseError;
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsAlgorithm, JwsSigner};
use zeroize::Zeroizing;

use crate::domain::token::Algorithm;

/// The mark of an uncompressed point (SEC 1 2.3.3).
const UNCOMPRESSED: u8 = 4;

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key that signs; its copies share it.
#[derive(Clone)]
pub(super) struct AwsLcSigner {
    algorithm: &'static dyn JwsAlgorithm,
    signature_len: usize,
    key: Arc<Key>,
}

impl AwsLcSigner {
    /// Opens a private JWK of an algorithm that is served here; `None` for the others, and for a JWK that makes no sense.
    pub(super) fn open(jwk: &Jwk, algorithm: Algorithm) -> Option<Self> {
        let (algorithm, signature_len, key): (&'static dyn JwsAlgorithm, _, _) = match algorithm {
            Algorithm::Es256 => (&jws::ES256, 64, ecdsa(jwk, &ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Algorithm::Es384 => (&jws::ES384, 96, ecdsa(jwk, &ECDSA_P384_SHA384_FIXED_SIGNING)?),
            Algorithm::EdDsa => {
                let (seed, public) = (member(jwk, "d")?, member(jwk, "x")?);
                let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public).ok()?;
                (&jws::EdDSA, 64, Key::Ed25519(pair))
            }
            Algorithm::Rs256 | Algorithm::Ps256 => return None,
        };
        Some(Self { algorithm, signature_len, key: Arc::new(key) })
    }
}

fn ecdsa(jwk: &Jwk, algorithm: &'static EcdsaSigningAlgorithm) -> Option<Key> {
    let public = [&[UNCOMPRESSED][..], &member(jwk, "x")?, &member(jwk, "y")?].concat();
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &member(jwk, "d")?, &public).ok().map(Key::Ecdsa)
}

fn member(jwk: &Jwk, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(jwk.parameter(name)?.as_str()?).ok().map(Zeroizing::new)
}

impl JwsSigner for AwsLcSigner {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        self.algorithm
    }

    /// The header that is signed names the key already.
    fn key_id(&self) -> Option<&str> {
        None
    }

    fn signature_len(&self) -> usize {
        self.signature_len
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        let signature = match &*self.key {
            // Randomness comes from the operating system; the library asks for this value and makes no use of it.
            Key::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message),
            Key::Ed25519(pair) => pair.try_sign(message),
        };
        match signature {
            Ok(signature) => Ok(signature.as_ref().to_vec()),
            Err(error) => Err(JoseError::InvalidSignature(error.into())),
        }
    }

    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}

/// Nothing of the key.
impl fmt::Debug for AwsLcSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsLcSigner({})", self.algorithm.name())
    }
}
