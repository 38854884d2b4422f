//! The public keys of which one must have signed what an authentication hook answers, and verifying such answers.
//!
//! They are registered by strangers. What of a key is not public is refused and never kept, and an answer counts only for
//! the one question that it names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::verify::{has_the_width_of, parts, verifier};
use crate::domain::hook::ANSWER_KEYS_MAX;
use crate::domain::time::Timestamp;
use crate::domain::token::Algorithm;

/// What a key must not hold: whoever has seen it could sign in its owner's place.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "r"];
/// How far the clock of whoever signed may be from ours, and how old an answer may be, in seconds.
const CLOCKS_DIFFER_SECONDS: f64 = 60.0;
/// Of RSA keys: shorter ones are weak, and longer ones take long.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;
const EXPONENT_BYTES_MAX: usize = 4;
const KID_CHARS_MAX: usize = 255;

/// Why a key cannot be registered. Nothing of the key is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct MalformedKey {
    /// Its place in the list; `None` for the list itself.
    pub at: Option<usize>,
    pub why: &'static str,
}

/// Public keys, ready to verify.
pub struct AnswerKeys {
    keys: Vec<AnswerKey>,
    text: String,
}

struct AnswerKey {
    kid: Option<String>,
    jwk: Jwk,
    /// One for each algorithm that suits the key.
    verifiers: Vec<(Algorithm, Box<dyn JwsVerifier>)>,
}

/// What an answer must say to be one to this question.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    pub jti: &'a str,
    pub audience: &'a str,
    pub now: Timestamp,
}

/// The claims that bind an answer to its question.
#[derive(Deserialize)]
struct Binding {
    jti: String,
    aud: Audience,
    iat: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(audience) => audience == wanted,
            Self::Several(audiences) => audiences.iter().any(|audience| audience == wanted),
        }
    }
}

impl AnswerKeys {
    /// Takes over public JWKs (RFC 7517).
    pub fn of(jwks: &[Value]) -> Result<Self, MalformedKey> {
        if !(1..=ANSWER_KEYS_MAX).contains(&jwks.len()) {
            return Err(MalformedKey { at: None, why: "is a list of 1 to 8 public JWKs" });
        }
        let public = |(at, jwk): (usize, &Value)| {
            let members = jwk.as_object().ok_or("is a public JWK: a JSON object").and_then(public_members);
            let key = members.and_then(|members| Ok((AnswerKey::of(&members)?, Value::Object(members))));
            key.map_err(|why| MalformedKey { at: Some(at), why })
        };
        let (keys, jwks): (Vec<AnswerKey>, Vec<Value>) =
            jwks.iter().enumerate().map(public).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        Ok(Self { keys, text: Value::Array(jwks).to_string() })
    }

    /// Reads what [`AnswerKeys::as_str`] wrote.
    pub fn from_record(text: &str) -> Option<Self> {
        Self::of(serde_json::from_str::<Vec<Value>>(text).ok()?.as_slice()).ok()
    }

    /// The keys as a JSON list, with the members that verify and no others.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The claims of a compact JWS, if one of the keys signed it and it answers this question.
    pub fn verify(&self, token: &str, bound: &Bound<'_>) -> Option<Vec<u8>> {
        let (header, claims) = parts(token).ok()?;
        // No extension is understood (RFC 7515 4.1.11), `b64` among them.
        if header.contains_key("crit") || header.contains_key("b64") {
            return None;
        }
        let algorithm = Algorithm::parse(header.get("alg")?.as_str()?)?;
        let kid = header.get("kid").and_then(Value::as_str);
        let is_meant = |key: &&AnswerKey| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        let is_signed = self.keys.iter().filter(is_meant).any(|key| key.has_signed(algorithm, token));
        if !is_signed {
            return None;
        }
        // The parser would take a list for an object, member by member.
        if claims.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let said: Binding = serde_json::from_slice(&claims).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of this age of the world are exact")]
        let age = bound.now.as_micros() as f64 / 1_000_000.0 - said.iat;
        let is_bound = said.jti == bound.jti && said.aud.names(bound.audience) && age.abs() <= CLOCKS_DIFFER_SECONDS;
        is_bound.then_some(claims)
    }
}

impl AnswerKey {
    fn of(members: &Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let suits: &[Algorithm] = match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => &[Algorithm::Es256],
            (Some("EC"), Some("P-384")) => &[Algorithm::Es384],
            (Some("OKP"), Some("Ed25519")) => &[Algorithm::EdDsa],
            (Some("RSA"), None) => &[Algorithm::Rs256, Algorithm::Ps256],
            _ => return Err("is a key for ES256, ES384, EdDSA (Ed25519), RS256 or PS256"),
        };
        let suits = suits.iter().filter(|algorithm| text("alg").is_none_or(|alg| alg == algorithm.as_str()));
        let verifies = ["kty", "crv", "x", "y", "n", "e"];
        let numbers = members.iter().filter(|(name, _)| verifies.contains(&name.as_str()));
        let numbers: Map<String, Value> = numbers.map(|(name, value)| (name.clone(), value.clone())).collect();
        let unusable = "holds no public key that can be used";
        let jwk = Jwk::from_map(numbers).map_err(|_| unusable)?;
        let verifiers: Option<Vec<_>> =
            suits.map(|algorithm| Some((*algorithm, verifier(&jwk, *algorithm)?))).collect();
        let verifiers = verifiers.ok_or(unusable)?;
        if verifiers.is_empty() {
            return Err(
                "has an `alg` that does not suit its `kty`; leave `alg` out, or use ES256, ES384, EdDSA, RS256 or PS256",
            );
        }
        Ok(Self { kid: text("kid").map(str::to_owned), jwk, verifiers })
    }

    fn has_signed(&self, algorithm: Algorithm, token: &str) -> bool {
        let verifier = self.verifiers.iter().find(|(suits, _)| *suits == algorithm);
        has_the_width_of(&self.jwk, token)
            && verifier.is_some_and(|(_, verifier)| jws::deserialize_compact(token, &**verifier).is_ok())
    }
}

/// The members of a JWK that are kept, if all of it is public.
fn public_members(jwk: &Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    if jwk.get("kty").and_then(Value::as_str) == Some("oct") || PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
        return Err(
            "holds a private or secret key, which nobody else may see: make another one, and register its public half",
        );
    }
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err("has a `use` other than sig");
    }
    let mut kept = Map::new();
    for name in ["kty", "crv", "x", "y", "n", "e", "alg", "kid"] {
        let Some(value) = jwk.get(name) else { continue };
        let text = value.as_str().ok_or("has a member that is no text")?;
        if name == "kid" && (text.chars().count() > KID_CHARS_MAX || text.chars().any(char::is_control)) {
            return Err("has a `kid` of more than 255 characters, or with control characters");
        }
        kept.insert(name.to_owned(), value.clone());
    }
    let bytes = |name: &str| kept.get(name).and_then(Value::as_str).map(|text| URL_SAFE_NO_PAD.decode(text));
    let modulus_bits = match bytes("n") {
        Some(Ok(modulus)) => bits(&modulus),
        Some(Err(_)) => return Err("has an `n` that is not base64url"),
        None => *MODULUS_BITS.start(),
    };
    let has_short_exponent = bytes("e").is_none_or(|e| e.is_ok_and(|e| e.len() <= EXPONENT_BYTES_MAX));
    if !MODULUS_BITS.contains(&modulus_bits) || !has_short_exponent {
        return Err("is an RSA key of less than 2048 or more than 4096 bits, or with an exponent of more than 32 bits");
    }
    Ok(kept)
}

fn bits(number: &[u8]) -> usize {
    let significant: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    let leading = significant.first().map_or(0, |byte| byte.leading_zeros());
    significant.len() * 8 - usize::try_from(leading).unwrap_or_default()
}

#[cfg(test)]
#[path = "answer_keys_tests.rs"]
mod tests;
