//! How often somebody may ask, as it is told with every answer (draft-ietf-httpapi-ratelimit-headers).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::Api;
use super::problem::Problem;
use crate::domain::id::ApiKeyId;
use crate::domain::quota::Allowance;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Where what was said to a request is left for its answer. It travels with requests only when they are counted.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<OnceLock<Allowance>>);

/// Counts a request with this key, the operator's own if it is none, and refuses it when it is one too many.
pub(super) fn count(parts: &Parts, engine: &Api, key_id: Option<ApiKeyId>) -> Result<(), Problem> {
    let Some(allowance) = engine.allow(key_id) else { return Ok(()) };
    if let Some(Told(told)) = parts.extensions.get::<Told>() {
        // A request is counted once, so there is nothing there yet.
        let _ = told.set(allowance);
    }
    if allowance.refused_for.is_some() { Err(Problem::too_many()) } else { Ok(()) }
}

impl Told {
    /// Tells the caller how it stands.
    pub(super) fn show(&self, headers: &mut HeaderMap) {
        let Some(Allowance { quota, refused_for, remaining, full_in }) = self.0.get() else { return };
        let policy = format!(r#""default";q={};w={}"#, quota.burst(), seconds(quota.window()));
        let limit = format!(r#""default";r={remaining};t={}"#, seconds(*full_in));
        let wait = refused_for.map(|wait| seconds(wait).to_string());
        for (name, value) in [(POLICY, Some(policy)), (LIMIT, Some(limit)), (RETRY_AFTER, wait)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
    }
}

/// In whole seconds, and none of them too early.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
