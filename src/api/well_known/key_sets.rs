//! The key sets, as they go over HTTP: from memory and past the router. A receiver may ask for one with each delivery that
//! it gets, so an answer must cost less than a delivery does. What is not answered here, the routes answer.

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::response::Response;

use super::{JSON, media_type, open_to_all};
use crate::domain::key_ring::Profile;
use crate::engine::Engine;
use crate::engine::keys::TenantKeys;

/// Where a key set is, below its issuer.
const PATH: &str = "/.well-known/jwks.json";
const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// The short way of one connection to the key sets.
pub struct KeySets {
    engine: Arc<Engine>,
    /// What was answered with last: whoever asks again asks for the same, as a rule. Not the keys themselves: those that
    /// signed would live on with a connection that lies idle.
    last: RefCell<Option<Headers>>,
}

/// The headers of a key set, and what they were made of.
struct Headers {
    etag: String,
    profile: Profile,
    map: HeaderMap,
}

impl KeySets {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, last: RefCell::default() }
    }

    /// The answer to a request for a key set; `None` when something else is asked for, or when it cannot be served.
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let keys = match request.uri().path().strip_suffix(PATH)? {
            "" => self.engine.default_keys(),
            tenant => self.engine.keys_of(tenant.strip_prefix('/')?.parse().ok()?),
        };
        let keys = self.engine.published(keys)?;
        let mut last = self.last.borrow_mut();
        last.take_if(|last| !last.are_of(&keys));
        let headers = last.get_or_insert_with(|| Headers::of(&keys));
        Some(shown(&keys, headers.map.clone(), request.headers()))
    }
}

impl Headers {
    fn of(keys: &TenantKeys) -> Self {
        let (etag, profile) = (keys.jwks.etag.clone(), keys.policy.profile());
        let mut map = HeaderMap::new();
        map.insert(CONTENT_TYPE, JSON);
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            map.insert(ETAG, etag);
        }
        open_to_all(&mut map, profile);
        Self { etag, profile, map }
    }

    fn are_of(&self, keys: &TenantKeys) -> bool {
        self.etag == keys.jwks.etag && self.profile == keys.policy.profile()
    }
}

/// A key set by the long way.
pub(super) fn answered(keys: &TenantKeys, asked: &HeaderMap) -> Response {
    shown(keys, Headers::of(keys).map, asked)
}

/// A key set, or that the caller has it.
fn shown(keys: &TenantKeys, mut headers: HeaderMap, asked: &HeaderMap) -> Response {
    let (mut status, mut body) = (StatusCode::OK, Body::empty());
    if has_current(asked, &keys.jwks.etag) {
        status = StatusCode::NOT_MODIFIED;
        headers.remove(CONTENT_TYPE);
    } else {
        body = Body::from(keys.jwks.body.clone());
        if media_type::prefers_jwk_set(asked) {
            headers.insert(CONTENT_TYPE, JWK_SET);
        }
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Whether the caller already has these bytes (RFC 9110 13.1.2, weak comparison).
fn has_current(asked: &HeaderMap, etag: &str) -> bool {
    let held = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    held.flat_map(|value| value.split(',')).map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}
