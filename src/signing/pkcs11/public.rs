//! The public half of a token's key, as a JWK.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;
use josekit::jwk::Jwk;
use serde_json::{Map, Value};

use super::sessions::Failure;
use crate::domain::token::Algorithm;
use crate::signing::PublicJwk;
use crate::signing::digest::base64url;

/// The mark of an uncompressed point (SEC 1 2.3.3).
const UNCOMPRESSED: u8 = 4;
/// The tags of DER (X.690 8.7, 8.6).
const OCTET_STRING: u8 = 4;
const BIT_STRING: u8 = 3;

/// Reads a public key for this algorithm; `None` when it is of another type or makes no sense.
pub(super) fn jwk(session: &Session, key: ObjectHandle, algorithm: Algorithm) -> Result<Option<PublicJwk>, Failure> {
    let wanted =
        [AttributeType::KeyType, AttributeType::EcPoint, AttributeType::Modulus, AttributeType::PublicExponent];
    let mut found = Found::default();
    for attribute in session.get_attributes(key, &wanted)? {
        match attribute {
            Attribute::KeyType(kind) => found.kind = Some(kind),
            Attribute::EcPoint(point) => found.point = point,
            Attribute::Modulus(modulus) => found.modulus = modulus,
            Attribute::PublicExponent(exponent) => found.exponent = exponent,
            _ => {}
        }
    }
    let jwk = found.members(algorithm).and_then(|members| Jwk::from_map(members).ok());
    Ok(jwk.and_then(|jwk| PublicJwk::of(&jwk, algorithm).ok()))
}

/// An algorithm that this key can be for: which of several does not change its thumbprint.
pub(super) fn algorithm_of(session: &Session, key: ObjectHandle) -> Result<Option<Algorithm>, Failure> {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::EdDsa] {
        if jwk(session, key, algorithm)?.is_some() {
            return Ok(Some(algorithm));
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Found {
    kind: Option<KeyType>,
    point: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl Found {
    fn members(&self, algorithm: Algorithm) -> Option<Map<String, Value>> {
        let kind = self.kind?;
        let members: Vec<(&str, String)> = match algorithm {
            Algorithm::Es256 if kind == KeyType::EC => ec("P-256", 32, &self.point)?,
            Algorithm::Es384 if kind == KeyType::EC => ec("P-384", 48, &self.point)?,
            Algorithm::EdDsa if kind == KeyType::EC_EDWARDS => {
                let x = unwrapped(&self.point, 32)?;
                vec![("kty", "OKP".to_owned()), ("crv", "Ed25519".to_owned()), ("x", base64url(x))]
            }
            Algorithm::Rs256 | Algorithm::Ps256 if kind == KeyType::RSA => {
                let (n, e) = (number(&self.modulus)?, number(&self.exponent)?);
                vec![("kty", "RSA".to_owned()), ("n", base64url(n)), ("e", base64url(e))]
            }
            _ => return None,
        };
        Some(members.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect())
    }
}

fn ec(curve: &str, width: usize, point: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let (mark, coordinates) = unwrapped(point, 1 + 2 * width)?.split_first()?;
    let (x, y) = coordinates.split_at_checked(width)?;
    let members = vec![("kty", "EC".to_owned()), ("crv", curve.to_owned()), ("x", base64url(x)), ("y", base64url(y))];
    (*mark == UNCOMPRESSED).then_some(members)
}

/// A point of so many bytes. The standard has it in an OCTET STRING; some tokens give it bare, or in a BIT STRING.
fn unwrapped(point: &[u8], len: usize) -> Option<&[u8]> {
    let bare = match point.len().checked_sub(len)? {
        0 => point,
        2 => point.strip_prefix(&[OCTET_STRING, u8::try_from(len).ok()?])?,
        3 => point.strip_prefix(&[BIT_STRING, u8::try_from(len + 1).ok()?, 0])?,
        _ => return None,
    };
    Some(bare)
}

/// A positive number without leading zeros, as RFC 7518 2 wants it.
fn number(bytes: &[u8]) -> Option<&[u8]> {
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_in_every_wrapping() {
        let point: Vec<u8> = std::iter::once(UNCOMPRESSED).chain(0..64).collect();
        let (octets, bits) = ([&[4, 65][..], &point].concat(), [&[3, 66, 0][..], &point].concat());

        for wrapped in [&point, &octets, &bits] {
            assert_eq!(ec("P-256", 32, wrapped), ec("P-256", 32, &point));
        }
        assert_eq!(ec("P-256", 32, &point).unwrap()[2], ("x", base64url(&point[1..33])));
        assert_eq!(ec("P-384", 48, &point), None);
        assert_eq!(ec("P-256", 32, &[&[9, 65][..], &point].concat()), None);
    }

    #[test]
    fn a_number_loses_its_leading_zeros() {
        assert_eq!(number(&[0, 0, 1, 0]), Some(&[1, 0][..]));
        assert_eq!(number(&[0]), None);
    }
}
