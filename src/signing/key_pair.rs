//! Making signing keys and writing down their halves.

use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jwk::alg::ed::EdCurve;
use zeroize::Zeroizing;

use super::digest::{base64url, sha256};
use super::{MasterKey, Purpose, SigningError};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Kid;
use crate::domain::token::Algorithm;

/// RFC 7518 3.3 asks for at least 2048 bits; more would only make every signature dearer.
const RSA_BITS: u32 = 2_048;

/// A key pair that was just made. It exists between its making and its sealing.
pub struct KeyPair {
    algorithm: Algorithm,
    jwk: Jwk,
}

/// A public key as the JWKS lists it: exactly the members `kty kid use alg` and those of its type, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    text: String,
    kid: Kid,
}

/// A private key as it is stored: its JWK in a JWE that only the master key opens, bound to its tenant and `kid`.
#[derive(Clone)]
pub struct SealedKey {
    pub tenant_id: TenantId,
    pub kid: Kid,
    pub algorithm: Algorithm,
    pub jwe: String,
}

impl KeyPair {
    /// Makes a key pair. RSA takes a few hundred milliseconds: never call it where somebody waits.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningError> {
        let jwk = match algorithm {
            Algorithm::Es256 => Jwk::generate_ec_key(EcCurve::P256),
            Algorithm::Es384 => Jwk::generate_ec_key(EcCurve::P384),
            Algorithm::Rs256 | Algorithm::Ps256 => Jwk::generate_rsa_key(RSA_BITS),
            Algorithm::EdDsa => Jwk::generate_ed_key(EdCurve::Ed25519),
        };
        let jwk = jwk.map_err(|_| SigningError::Generation(algorithm.as_str()))?;
        Ok(Self { algorithm, jwk })
    }

    /// The half for everybody.
    pub fn public(&self) -> Result<PublicJwk, SigningError> {
        PublicJwk::of(&self.jwk, self.algorithm)
    }

    /// The half for nobody, sealed for this tenant.
    pub fn seal(&self, master_key: &MasterKey, tenant_id: TenantId) -> Result<SealedKey, SigningError> {
        let kid = self.public()?.kid;
        let plain = Zeroizing::new(self.jwk.to_string());
        let jwe = master_key.seal(&Purpose::SigningKey { tenant_id, kid: &kid }, plain.as_bytes())?;
        Ok(SealedKey { tenant_id, kid, algorithm: self.algorithm, jwe })
    }
}

impl PublicJwk {
    fn of(jwk: &Jwk, algorithm: Algorithm) -> Result<Self, SigningError> {
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
mod tests {
    use super::*;

    #[test]
    fn the_kid_is_the_thumbprint_of_rfc_7638() {
        // RFC 7638 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = Jwk::from_bytes(format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#)).unwrap();

        let public = PublicJwk::of(&jwk, Algorithm::Rs256).unwrap();

        assert_eq!(public.kid().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_public_key_shows_nothing_private() {
        for algorithm in Algorithm::ALL {
            let public = KeyPair::generate(algorithm).unwrap().public().unwrap();
            let jwk = Jwk::from_bytes(public.as_str()).unwrap();

            assert!(["d", "p", "q", "dp", "dq", "qi", "key_ops"].iter().all(|name| jwk.parameter(name).is_none()));
            assert_eq!(jwk.algorithm(), Some(algorithm.as_str()));
            assert_eq!(jwk.key_use(), Some("sig"));
        }
    }

    #[test]
    fn coordinates_keep_their_leading_zeros() {
        for _ in 0..300 {
            let public = KeyPair::generate(Algorithm::Es256).unwrap().public().unwrap();
            let jwk = Jwk::from_bytes(public.as_str()).unwrap();

            // 32 bytes are 43 base64url characters.
            let width = |name: &str| jwk.parameter(name).and_then(|value| value.as_str()).map(str::len);
            assert_eq!((width("x"), width("y")), (Some(43), Some(43)));
        }
    }

    #[test]
    fn a_record_whose_key_was_exchanged_is_refused() {
        let one = KeyPair::generate(Algorithm::Es256).unwrap().public().unwrap();
        let other = KeyPair::generate(Algorithm::Es256).unwrap().public().unwrap();

        assert!(PublicJwk::from_record(one.as_str(), one.kid(), Algorithm::Es256).is_ok());
        assert!(PublicJwk::from_record(other.as_str(), one.kid(), Algorithm::Es256).is_err());
    }
}
