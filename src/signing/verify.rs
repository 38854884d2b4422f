//! Verifying a token as a receiver does, and saying precisely why not.

use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use serde_json::{Map, Value};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::time::Timestamp;
use crate::domain::token::{Algorithm, TokenType};

/// What the token has to say besides being signed. `None` is not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: Option<&'a str>,
    pub audience: Option<&'a str>,
    pub now: Timestamp,
}

/// A token whose signature and claims hold.
#[derive(Debug, Clone)]
pub struct Verified {
    pub kid: String,
    pub algorithm: Algorithm,
    /// The claims as the token holds them, byte for byte.
    pub claims: String,
}

/// Why a token must not be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("it is not a compact JWS: three base64url parts joined by dots")]
    NotCompact,
    #[error("its header is not a JSON object with `alg` and `kid`")]
    Header,
    #[error("its header says alg {0:?}, which no webhook token is signed with")]
    Algorithm(String),
    #[error("its header has a member {0:?}; webhook tokens have alg, kid and typ alone")]
    HeaderMember(String),
    #[error("the JWKS is not a JSON object with a list `keys`")]
    Jwks,
    #[error("its kid {kid:?} is not in the JWKS, which lists {listed:?}")]
    UnknownKid { kid: String, listed: Vec<String> },
    #[error("its header says alg {said:?} but the key is for {key:?}")]
    AlgorithmMismatch { said: String, key: String },
    #[error("its signature does not verify with the key of that kid: it was altered or forged")]
    Signature,
    #[error("its payload is not a JSON object")]
    Claims,
    #[error("it expired at {0}")]
    Expired(Timestamp),
    #[error("it has no `exp`")]
    NoExpiry,
    #[error("it was issued in the future, at {0}")]
    IssuedInFuture(Timestamp),
    #[error("its audience is {said} and not {wanted:?}: it was meant for another receiver")]
    Audience { said: String, wanted: String },
    #[error("its issuer is {said} and not {wanted:?}")]
    Issuer { said: String, wanted: String },
    #[error("it has no `evt`: it is not a webhook token")]
    NoEvent,
    #[error("its header says hook+jwt, but it has no `hook`")]
    NoHook,
    #[error("its header says secevent+jwt, but it has no `events` with one event, or no `jti`")]
    NoSecurityEvent,
}

/// Verifies a token against a JWK Set.
pub fn verify(token: &str, jwks: &[u8], expected: &Expected<'_>) -> Result<Verified, Rejection> {
    let (header, payload) = parts(token)?;
    let said = header.get("alg").and_then(Value::as_str).ok_or(Rejection::Header)?;
    let kid = header.get("kid").and_then(Value::as_str).ok_or(Rejection::Header)?;
    let algorithm = Algorithm::parse(said).ok_or_else(|| Rejection::Algorithm(said.to_owned()))?;
    if let Some(other) = header.keys().find(|name| !matches!(name.as_str(), "alg" | "kid" | "typ")) {
        return Err(Rejection::HeaderMember(other.clone()));
    }
    let key = key_of(jwks, kid)?;
    if key.algorithm() != Some(said) {
        let key = key.algorithm().unwrap_or("nothing").to_owned();
        return Err(Rejection::AlgorithmMismatch { said: said.to_owned(), key });
    }
    let verifier = verifier(&key, algorithm).ok_or(Rejection::Jwks)?;
    if !has_the_width_of(&key, token) {
        return Err(Rejection::Signature);
    }
    jws::deserialize_compact(token, &*verifier).map_err(|_| Rejection::Signature)?;
    let claims: Map<String, Value> = serde_json::from_slice(&payload).map_err(|_| Rejection::Claims)?;
    let typ = header.get("typ").and_then(Value::as_str);
    if typ == Some(TokenType::SecurityEvent.as_str()) {
        check_security_event(&claims)?;
    } else {
        let (named, missing) = match typ == Some(TokenType::Hook.as_str()) {
            true => ("hook", Rejection::NoHook),
            false => ("evt", Rejection::NoEvent),
        };
        check_expiring_token(&claims, expected.now, named, missing)?;
    }
    check_claims(&claims, expected)?;
    let claims = String::from_utf8(payload).map_err(|_| Rejection::Claims)?;
    Ok(Verified { kid: kid.to_owned(), algorithm, claims })
}

pub(super) fn parts(token: &str) -> Result<(Map<String, Value>, Vec<u8>), Rejection> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, _signature] = parts.as_slice() else {
        return Err(Rejection::NotCompact);
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::NotCompact);
    let header = serde_json::from_slice(&decode(header)?).map_err(|_| Rejection::Header)?;
    Ok((header, decode(payload)?))
}

fn key_of(jwks: &[u8], kid: &str) -> Result<Jwk, Rejection> {
    let set: Value = serde_json::from_slice(jwks).map_err(|_| Rejection::Jwks)?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or(Rejection::Jwks)?;
    let kid_of = |key: &Value| key.get("kid").and_then(Value::as_str).map(str::to_owned);
    let Some(key) = keys.iter().find(|key| kid_of(key).as_deref() == Some(kid)) else {
        return Err(Rejection::UnknownKid { kid: kid.to_owned(), listed: keys.iter().filter_map(kid_of).collect() });
    };
    let members = key.as_object().cloned().ok_or(Rejection::Jwks)?;
    Jwk::from_map(members).map_err(|_| Rejection::Jwks)
}

/// Whether a signature is as long as the modulus of an RSA key (RFC 8017 8.1.2 and 8.2.2). OpenSSL lets a PSS signature
/// pass that lacks its leading zero. The signatures of other keys it measures itself.
pub(super) fn has_the_width_of(key: &Jwk, token: &str) -> bool {
    let len = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| bytes.len());
    let signature = token.rsplit('.').next().and_then(len);
    match key.parameter("n").and_then(Value::as_str) {
        Some(modulus) => len(modulus) == signature,
        None => true,
    }
}

pub(super) fn verifier(key: &Jwk, algorithm: Algorithm) -> Option<Box<dyn JwsVerifier>> {
    Some(match algorithm {
        Algorithm::Es256 => Box::new(jws::ES256.verifier_from_jwk(key).ok()?),
        Algorithm::Es384 => Box::new(jws::ES384.verifier_from_jwk(key).ok()?),
        Algorithm::Rs256 => Box::new(jws::RS256.verifier_from_jwk(key).ok()?),
        Algorithm::Ps256 => Box::new(jws::PS256.verifier_from_jwk(key).ok()?),
        Algorithm::EdDsa => Box::new(jws::EdDSA.verifier_from_jwk(key).ok()?),
    })
}

fn instant(claims: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    let seconds = claims.get(name).and_then(Value::as_i64)?;
    Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}

/// What a token has to say that ends: of webhooks, or of questions to authentication hooks.
fn check_expiring_token(
    claims: &Map<String, Value>,
    now: Timestamp,
    named: &str,
    missing: Rejection,
) -> Result<(), Rejection> {
    let expires_at = instant(claims, "exp").ok_or(Rejection::NoExpiry)?;
    if expires_at <= now {
        return Err(Rejection::Expired(expires_at));
    }
    if claims.get(named).is_some_and(Value::is_string) { Ok(()) } else { Err(missing) }
}

/// What a Security Event Token has to say (RFC 8417 2.2). It does not end: whoever gets one remembers its `jti`.
fn check_security_event(claims: &Map<String, Value>) -> Result<(), Rejection> {
    let events = claims.get("events").and_then(Value::as_object);
    let is_one = events.is_some_and(|events| events.len() == 1 && events.values().all(Value::is_object));
    let is_named = claims.get("jti").is_some_and(Value::is_string);
    if is_one && is_named { Ok(()) } else { Err(Rejection::NoSecurityEvent) }
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Rejection> {
    if let Some(issued_at) = instant(claims, "iat").filter(|issued_at| *issued_at > expected.now) {
        return Err(Rejection::IssuedInFuture(issued_at));
    }
    let said = |name: &str| claims.get(name).map_or_else(|| "missing".to_owned(), Value::to_string);
    if let Some(wanted) = expected.audience {
        let named = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(|audience| audience.as_str() == Some(wanted)),
            Some(audience) => audience.as_str() == Some(wanted),
            None => false,
        };
        if !named {
            return Err(Rejection::Audience { said: said("aud"), wanted: wanted.to_owned() });
        }
    }
    match expected.issuer {
        Some(wanted) if claims.get("iss").and_then(Value::as_str) != Some(wanted) => {
            Err(Rejection::Issuer { said: said("iss"), wanted: wanted.to_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
