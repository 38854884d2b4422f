//! josekit's signer interface over keys of aws-lc-rs: the same signatures as OpenSSL's for a third less, and for a fifth
//! where OpenSSL is slow (Ed25519, P-384). Verifying stays with josekit and OpenSSL, which is how the two are held to be
//! equal.
//!
//! A private half is read where it lies, in the text that was unsealed and that its reader wipes. aws-lc wipes its keys.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::JoseError;
use josekit::jws::{self, JwsAlgorithm, JwsSigner};
use openssl::bn::BigNum;
use openssl::rsa::RsaPrivateKeyBuilder;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::token::Algorithm;

/// The mark of an uncompressed point (SEC 1 2.3.3).
const UNCOMPRESSED: u8 = 4;

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A key that signs; its copies share it.
#[derive(Clone)]
pub(super) struct AwsLcSigner {
    algorithm: &'static dyn JwsAlgorithm,
    signature_len: usize,
    key: Arc<Key>,
}

/// A private JWK in the text that it is read from: nothing of it is copied.
#[derive(Deserialize)]
struct PrivateJwk<'a> {
    d: &'a str,
    x: Option<&'a str>,
    y: Option<&'a str>,
    n: Option<&'a str>,
    e: Option<&'a str>,
    p: Option<&'a str>,
    q: Option<&'a str>,
    dp: Option<&'a str>,
    dq: Option<&'a str>,
    qi: Option<&'a str>,
}

impl AwsLcSigner {
    /// Opens a private JWK; `None` when it makes no sense as a key of this algorithm.
    pub(super) fn open(jwk: &[u8], algorithm: Algorithm) -> Option<Self> {
        let jwk: PrivateJwk<'_> = serde_json::from_slice(jwk).ok()?;
        let (algorithm, key): (&'static dyn JwsAlgorithm, Key) = match algorithm {
            Algorithm::Es256 => (&jws::ES256, ecdsa(&jwk, &ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Algorithm::Es384 => (&jws::ES384, ecdsa(&jwk, &ECDSA_P384_SHA384_FIXED_SIGNING)?),
            Algorithm::Rs256 => (&jws::RS256, Key::Rsa(rsa(&jwk)?, &RSA_PKCS1_SHA256)),
            Algorithm::Ps256 => (&jws::PS256, Key::Rsa(rsa(&jwk)?, &RSA_PSS_SHA256)),
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes(Some(jwk.d))?, &bytes(jwk.x)?).ok()?;
                (&jws::EdDSA, Key::Ed25519(pair))
            }
        };
        let signature_len = match &key {
            Key::Ecdsa(_) if algorithm.name() == jws::ES384.name() => 96,
            Key::Ecdsa(_) | Key::Ed25519(_) => 64,
            Key::Rsa(pair, _) => pair.public_modulus_len(),
        };
        Some(Self { algorithm, signature_len, key: Arc::new(key) })
    }
}

fn ecdsa(jwk: &PrivateJwk<'_>, algorithm: &'static EcdsaSigningAlgorithm) -> Option<Key> {
    let public = [&[UNCOMPRESSED][..], &bytes(jwk.x)?, &bytes(jwk.y)?].concat();
    let private = bytes(Some(jwk.d))?;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &public).ok().map(Key::Ecdsa)
}

/// OpenSSL writes the key as PKCS#1, which is how aws-lc takes it.
fn rsa(jwk: &PrivateJwk<'_>) -> Option<RsaKeyPair> {
    let number = |member| BigNum::from_slice(&bytes(member)?).ok();
    let builder = RsaPrivateKeyBuilder::new(number(jwk.n)?, number(jwk.e)?, number(Some(jwk.d))?).ok()?;
    let builder = builder.set_factors(number(jwk.p)?, number(jwk.q)?).ok()?;
    let builder = builder.set_crt_params(number(jwk.dp)?, number(jwk.dq)?, number(jwk.qi)?).ok()?;
    let der = Zeroizing::new(builder.build().private_key_to_der().ok()?);
    RsaKeyPair::from_der(&der).ok()
}

fn bytes(member: Option<&str>) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(member?).ok().map(Zeroizing::new)
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
        // Randomness comes from the operating system; the library asks for this value and makes no use of it.
        let random = SystemRandom::new();
        let signed = match &*self.key {
            Key::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Key::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Key::Rsa(pair, encoding) => {
                let mut signature = vec![0; self.signature_len];
                pair.sign(*encoding, &random, message, &mut signature).map(|()| signature)
            }
        };
        signed.map_err(|error| JoseError::InvalidSignature(error.into()))
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
