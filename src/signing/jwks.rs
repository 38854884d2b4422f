//! The JWK Set of a tenant, as bytes that every node makes alike.

use bytes::Bytes;

use super::PublicJwk;
use super::digest::{base64url, sha256};

/// A JWK Set (RFC 7517 5) and its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwks {
    pub body: Bytes,
    /// A strong entity tag (RFC 9110 8.8.3), quotes included: the digest of the bytes.
    pub etag: String,
}

impl Jwks {
    /// Lists keys in the order given.
    pub fn of(keys: &[PublicJwk]) -> Self {
        let keys: Vec<&str> = keys.iter().map(PublicJwk::as_str).collect();
        let body = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let etag = format!(r#""{}""#, base64url(&sha256(body.as_bytes())));
        Self { body: Bytes::from(body), etag }
    }
}
