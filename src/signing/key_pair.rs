//! Making signing keys and writing down their halves.
//!
//! A private half is wiped from memory once it is sealed: OpenSSL wipes its numbers when it lets go of them, and what we
//! read of them lies in buffers of our own that are wiped and never grow. What no program can promise is that the compiler
//! left no copy in a register or on the stack; those are overwritten by whatever runs next.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use josekit::jwk::Jwk;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::Private;
use openssl::rand::rand_priv_bytes;
use openssl::rsa::Rsa;
use serde_json::Value;
use zeroize::Zeroizing;

use super::digest::{base64url, sha256};
use super::{MasterKeys, Purpose, SigningError};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Kid;
use crate::domain::token::Algorithm;

/// RFC 7518 3.3 asks for at least 2048 bits; more would only make every signature dearer.
const RSA_BITS: u32 = 2_048;
const ED25519_SEED_BYTES: usize = 32;
/// More than any private JWK takes: a text that grew would leave its beginning behind in memory.
const PRIVATE_JWK_BYTES: usize = 4_096;

/// A key pair that was just made. It exists between its making and its sealing.
pub struct KeyPair {
    algorithm: Algorithm,
    key: Key,
}

/// All of them are wiped when dropped.
enum Key {
    Ec(EcKey<Private>),
    Rsa(Rsa<Private>),
    /// OpenSSL would hand out the seed (RFC 8032 5.1.5) through a buffer that it does not wipe; and an array would leave a
    /// copy of it behind wherever this value is moved from.
    Ed25519 {
        seed: Zeroizing<Vec<u8>>,
        public: Vec<u8>,
    },
}

/// Members of a JWK by name, in bytes.
type Members = Vec<(&'static str, Zeroizing<Vec<u8>>)>;

/// A public key as the JWKS lists it: exactly the members `kty kid use alg` and those of its type, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    text: String,
    kid: Kid,
}

/// A private key as its row has it: its JWK in a JWE that only a master key opens, or where it stands in a token; bound to
/// its tenant and `kid` in either case.
#[derive(Clone)]
pub struct SealedKey {
    pub tenant_id: TenantId,
    pub kid: Kid,
    pub algorithm: Algorithm,
    pub private_half: String,
}

impl KeyPair {
    /// Makes a key pair. RSA takes a few hundred milliseconds: never call it where somebody waits.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningError> {
        let generated = match algorithm {
            Algorithm::Es256 => ec(Nid::X9_62_PRIME256V1).ok(),
            Algorithm::Es384 => ec(Nid::SECP384R1).ok(),
            Algorithm::Rs256 | Algorithm::Ps256 => Rsa::generate(RSA_BITS).map(Key::Rsa).ok(),
            Algorithm::EdDsa => ed25519(),
        };
        let key = generated.ok_or(SigningError::Generation(algorithm.as_str()))?;
        Ok(Self { algorithm, key })
    }

    /// The half for everybody.
    pub fn public(&self) -> Result<PublicJwk, SigningError> {
        let unreadable = || SigningError::Unreadable(self.algorithm.as_str().to_owned());
        let mut jwk = Jwk::new(self.key_type());
        let members = self.key.public_members().map_err(|_| unreadable())?;
        let members = members.iter().map(|(name, bytes)| (*name, base64url(bytes)));
        let curve = self.curve().map(|curve| ("crv", curve.to_owned()));
        for (name, value) in curve.into_iter().chain(members) {
            jwk.set_parameter(name, Some(Value::String(value))).map_err(|_| unreadable())?;
        }
        PublicJwk::of(&jwk, self.algorithm)
    }

    /// The half for nobody, sealed for this tenant.
    pub fn seal(&self, master_keys: &MasterKeys, tenant_id: TenantId) -> Result<SealedKey, SigningError> {
        let kid = self.public()?.kid;
        let plain = self.private_jwk().map_err(|_| SigningError::Sealing)?;
        let private_half = master_keys.seal(&Purpose::SigningKey { tenant_id, kid: &kid }, plain.as_bytes())?;
        Ok(SealedKey { tenant_id, kid, algorithm: self.algorithm, private_half })
    }

    /// Both halves as a JWK (RFC 7518 6, RFC 8037 2).
    fn private_jwk(&self) -> Result<Zeroizing<String>, ErrorStack> {
        let mut text = Zeroizing::new(String::with_capacity(PRIVATE_JWK_BYTES));
        text.push_str(r#"{"kty":""#);
        text.push_str(self.key_type());
        if let Some(curve) = self.curve() {
            text.push_str(r#"","crv":""#);
            text.push_str(curve);
        }
        for (name, bytes) in self.key.public_members()?.iter().chain(&self.key.private_members()?) {
            text.push_str(r#"",""#);
            text.push_str(name);
            text.push_str(r#"":""#);
            text.push_str(&Zeroizing::new(base64url(bytes)));
        }
        text.push_str(r#""}"#);
        Ok(text)
    }

    fn key_type(&self) -> &'static str {
        match self.key {
            Key::Ec(_) => "EC",
            Key::Rsa(_) => "RSA",
            Key::Ed25519 { .. } => "OKP",
        }
    }

    fn curve(&self) -> Option<&'static str> {
        match self.algorithm {
            Algorithm::Es256 => Some("P-256"),
            Algorithm::Es384 => Some("P-384"),
            Algorithm::EdDsa => Some("Ed25519"),
            Algorithm::Rs256 | Algorithm::Ps256 => None,
        }
    }
}

fn ec(curve: Nid) -> Result<Key, ErrorStack> {
    EcKey::generate(&*EcGroup::from_curve_name(curve)?).map(Key::Ec)
}

fn ed25519() -> Option<Key> {
    let mut seed = Zeroizing::new(vec![0; ED25519_SEED_BYTES]);
    rand_priv_bytes(&mut seed).ok()?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
    Some(Key::Ed25519 { public: pair.public_key().as_ref().to_vec(), seed })
}

impl Key {
    fn public_members(&self) -> Result<Members, ErrorStack> {
        match self {
            Self::Ec(key) => {
                let (mut x, mut y, mut context) = (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
                key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut context)?;
                let width = coordinate_bytes(key);
                Ok(vec![("x", x.to_vec_padded(width)?.into()), ("y", y.to_vec_padded(width)?.into())])
            }
            Self::Rsa(key) => Ok(vec![("n", key.n().to_vec().into()), ("e", key.e().to_vec().into())]),
            Self::Ed25519 { public, .. } => Ok(vec![("x", public.clone().into())]),
        }
    }

    fn private_members(&self) -> Result<Members, ErrorStack> {
        match self {
            Self::Ec(key) => Ok(vec![("d", key.private_key().to_vec_padded(coordinate_bytes(key))?.into())]),
            Self::Rsa(key) => {
                let primes = [("p", key.p()), ("q", key.q())];
                let remainders = [("dp", key.dmp1()), ("dq", key.dmq1()), ("qi", key.iqmp())];
                let rest = primes.into_iter().chain(remainders);
                let rest = rest.filter_map(|(name, number)| Some((name, number?.to_vec().into())));
                Ok(std::iter::once(("d", key.d().to_vec().into())).chain(rest).collect())
            }
            Self::Ed25519 { seed, .. } => Ok(vec![("d", seed.clone())]),
        }
    }
}

/// How wide the coordinates and the private number of a curve are written, leading zeros included (RFC 7518 6.2.1.2).
fn coordinate_bytes(key: &EcKey<Private>) -> i32 {
    i32::try_from(key.group().degree().div_ceil(8)).unwrap_or(i32::MAX)
}

impl PublicJwk {
    pub(super) fn of(jwk: &Jwk, algorithm: Algorithm) -> Result<Self, SigningError> {
        let unreadable = || SigningError::Unreadable(algorithm.as_str().to_owned());
        let member = |name: &str| jwk.parameter(name).and_then(|value| value.as_str()).ok_or_else(unreadable);
        // The members that RFC 7638 3.2 hashes, in its lexicographic order, and the rest of the key in ours.
        let (hashed, shown) = match jwk.key_type() {
            "EC" => {
                let (crv, x, y) = (member("crv")?, member("x")?, member("y")?);
                let hashed = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#);
                (hashed, format!(r#""crv":"{crv}","x":"{x}","y":"{y}""#))
            }
            "RSA" => {
                let (n, e) = (member("n")?, member("e")?);
                (format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#), format!(r#""n":"{n}","e":"{e}""#))
            }
            "OKP" => {
                let (crv, x) = (member("crv")?, member("x")?);
                (format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#), format!(r#""crv":"{crv}","x":"{x}""#))
            }
            _ => return Err(unreadable()),
        };
        let kid = base64url(&sha256(hashed.as_bytes()));
        let (kty, alg) = (jwk.key_type(), algorithm.as_str());
        let text = format!(r#"{{"kty":"{kty}","kid":"{kid}","use":"sig","alg":"{alg}",{shown}}}"#);
        Ok(Self { text, kid: Kid::from_text(kid) })
    }

    /// Reads a stored public key. Its `kid` is computed again: a record that was tampered with is not served.
    pub fn from_record(text: &str, kid: &Kid, algorithm: Algorithm) -> Result<Self, SigningError> {
        let unreadable = || SigningError::Unreadable(kid.to_string());
        let jwk = Jwk::from_bytes(text).map_err(|_| unreadable())?;
        let public = Self::of(&jwk, algorithm).map_err(|_| unreadable())?;
        if public.kid == *kid && public.text == text { Ok(public) } else { Err(unreadable()) }
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The JWK as JSON.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
#[path = "key_pair_tests.rs"]
mod tests;
