//! What a JWK must be to be encrypted to, as far as its members tell: RFC 7517, RFC 7518 6 and RFC 8037 2. A fault names the member
//! and never repeats its value.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::digest::{base64url, sha256};

/// Members of private keys, and of symmetric ones.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Members that a thumbprint is made of, those of every kind of key.
const REQUIRED: [&str; 6] = ["crv", "e", "kty", "n", "x", "y"];
/// How long the modulus of an RSA key is.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// The longest exponent of one, in bytes.
const EXPONENT_BYTES_MAX: usize = 4;
/// The longest name of a key, in characters.
const KID_CHARS_MAX: usize = 256;

/// What is wrong with a JWK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwkFault {
    /// The member; empty when it is all of it.
    pub member: &'static str,
    pub detail: String,
}

impl JwkFault {
    pub(super) fn of_all(detail: impl Into<String>) -> Self {
        Self { member: "", detail: detail.into() }
    }
}

/// What can be encrypted to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Ec(Curve),
    X25519,
    Rsa,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    name: &'static str,
    coordinate_bytes: usize,
}

const CURVES: [Curve; 3] = [
    Curve { name: "P-256", coordinate_bytes: 32 },
    Curve { name: "P-384", coordinate_bytes: 48 },
    Curve { name: "P-521", coordinate_bytes: 66 },
];
const X25519: &str = "X25519";

impl Kind {
    fn algorithm(self) -> &'static str {
        match self {
            Self::Ec(_) | Self::X25519 => "ECDH-ES",
            Self::Rsa => "RSA-OAEP-256",
        }
    }

    /// What is wrong when every member is well formed.
    pub(super) fn unusable(self) -> JwkFault {
        let (member, detail) = match self {
            Self::Ec(Curve { name, .. }) => ("x", format!("is, with y, no point on {name}")),
            Self::X25519 => ("x", "is no point of X25519 that a secret can be agreed on with".to_owned()),
            Self::Rsa => ("n", "is no modulus that can be encrypted with".to_owned()),
        };
        JwkFault { member, detail }
    }
}

/// The thumbprint of a key (RFC 7638), by which people know it again.
pub fn thumbprint(jwk: &str) -> Option<String> {
    let members: Map<String, Value> = serde_json::from_str(jwk).ok()?;
    let required: BTreeMap<&str, &Value> =
        REQUIRED.into_iter().filter_map(|name| Some((name, members.get(name)?))).collect();
    Some(base64url(&sha256(&serde_json::to_vec(&required).ok()?)))
}

/// A JWK that is being judged.
struct Judging<'a> {
    members: &'a Map<String, Value>,
    faults: Vec<JwkFault>,
}

/// The members of a public key that are kept, in one order, or all that is wrong.
pub(super) fn public_members(members: &Map<String, Value>) -> Result<(Kind, Map<String, Value>), Vec<JwkFault>> {
    let mut judging = Judging { members, faults: Vec::new() };
    for name in PRIVATE.into_iter().filter(|name| members.contains_key(*name)) {
        judging.fault(name, "belongs to a private or secret key; register the public half alone");
    }
    let kind = judging.kind();
    let names: &[&str] = match kind {
        Some(Kind::Ec(curve)) => {
            judging.coordinate("x", curve.coordinate_bytes);
            judging.coordinate("y", curve.coordinate_bytes);
            &["kty", "crv", "x", "y", "use", "alg", "kid"]
        }
        Some(Kind::X25519) => {
            judging.coordinate("x", 32);
            &["kty", "crv", "x", "use", "alg", "kid"]
        }
        Some(Kind::Rsa) => {
            judging.modulus();
            judging.exponent();
            &["kty", "n", "e", "use", "alg", "kid"]
        }
        None => &[],
    };
    judging.purpose(kind);
    match kind {
        Some(kind) if judging.faults.is_empty() => {
            let kept = names.iter().filter_map(|name| Some(((*name).to_owned(), members.get(*name)?.clone())));
            Ok((kind, kept.collect()))
        }
        _ => Err(judging.faults),
    }
}

impl Judging<'_> {
    fn fault(&mut self, member: &'static str, detail: impl Into<String>) {
        self.faults.push(JwkFault { member, detail: detail.into() });
    }

    /// A member that is a text.
    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    fn kind(&mut self) -> Option<Kind> {
        let curve = self.text("crv");
        match self.text("kty") {
            Some("EC") => {
                let curve = CURVES.into_iter().find(|known| Some(known.name) == curve);
                if curve.is_none() {
                    self.fault("crv", "is one of: P-256, P-384, P-521");
                }
                curve.map(Kind::Ec)
            }
            Some("OKP") if curve == Some(X25519) => Some(Kind::X25519),
            Some("OKP") => {
                self.fault("crv", "is X25519; other keys of kty OKP cannot be encrypted to");
                None
            }
            Some("RSA") => Some(Kind::Rsa),
            Some("oct") => {
                self.fault("kty", "is that of a symmetric key; register a public one: EC, OKP or RSA");
                None
            }
            _ => {
                self.fault("kty", "is one of: EC, OKP, RSA");
                None
            }
        }
    }

    /// The bytes of a member.
    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.text(name)?).ok()
    }

    fn coordinate(&mut self, name: &'static str, length: usize) {
        if self.bytes(name).is_none_or(|bytes| bytes.len() != length) {
            self.fault(name, format!("is {length} bytes in base64url without padding"));
        }
    }

    fn modulus(&mut self) {
        let fits = self.bytes("n").is_some_and(|bytes| {
            let [first, .., last] = bytes.as_slice() else { return false };
            let bits = (bytes.len() * 8).saturating_sub(first.leading_zeros() as usize);
            // A zero in front is no part of the number (RFC 7518 2).
            *first != 0 && last % 2 == 1 && RSA_BITS.contains(&bits)
        });
        if !fits {
            let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
            self.fault(
                "n",
                format!("is a modulus of {least} to {most} bits in base64url, without padding or leading zeros"),
            );
        }
    }

    fn exponent(&mut self) {
        let fits = self.bytes("e").is_some_and(|bytes| {
            let is_number = bytes.len() <= EXPONENT_BYTES_MAX && bytes.first().is_some_and(|first| *first != 0);
            is_number && bytes.last().is_some_and(|last| last % 2 == 1) && bytes != [1]
        });
        if !fits {
            self.fault("e", "is an odd exponent from 3 to 4294967295 in base64url, such as AQAB");
        }
    }

    /// What a key says that it is for.
    fn purpose(&mut self, kind: Option<Kind>) {
        if self.members.contains_key("use") && self.text("use") != Some("enc") {
            self.fault("use", "is enc, or left out");
        }
        if let Some(kind) = kind {
            let algorithm = kind.algorithm();
            if self.members.contains_key("alg") && self.text("alg") != Some(algorithm) {
                self.fault("alg", format!("is {algorithm} with such a key, or left out"));
            }
            self.operations(kind);
        }
        let fits = |kid: &Value| kid.as_str().is_some_and(|kid| (1..=KID_CHARS_MAX).contains(&kid.chars().count()));
        if self.members.get("kid").is_some_and(|kid| !fits(kid)) {
            self.fault("kid", format!("is a text of 1 to {KID_CHARS_MAX} characters, or left out"));
        }
    }

    fn operations(&mut self, kind: Kind) {
        let Some(given) = self.members.get("key_ops") else { return };
        let given = given.as_array().map(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let (fits, words) = match kind {
            // A public half takes part in an agreement and does nothing by itself, so some libraries list nothing.
            Kind::Ec(_) | Kind::X25519 => {
                let is_known = |operation: &&str| ["deriveKey", "deriveBits"].contains(operation);
                let fits = given.flatten().is_some_and(|given| given.iter().all(is_known));
                (fits, "lists nothing but deriveKey and deriveBits, or is left out")
            }
            Kind::Rsa => {
                let is_known = |operation: &&str| ["encrypt", "wrapKey"].contains(operation);
                let fits = given.flatten().is_some_and(|given| !given.is_empty() && given.iter().all(is_known));
                (fits, "lists encrypt or wrapKey and nothing else, or is left out")
            }
        };
        if !fits {
            self.fault("key_ops", words);
        }
    }
}
