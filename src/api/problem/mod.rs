//! Everything that can go wrong, as RFC 9457 problem details: one table from errors to statuses and words.
//!
//! A problem says what the caller can do. Causes go to the log, not to the caller.

mod table;

use std::error::Error;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::openapi::shapes;
use crate::domain::access::Scope;

pub(in crate::api) use table::OF_SENDING;

/// What is wrong with one member of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::api) struct Fault {
    /// A JSON pointer (RFC 6901) into the body, or the name of a header or parameter.
    pub(in crate::api) pointer: String,
    pub(in crate::api) detail: String,
}

/// A problem, before it is written down with the name of its request.
#[derive(Debug, Clone)]
pub(in crate::api) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    faults: Vec<Fault>,
    /// When to come back, where somebody else says it.
    retry_after: Option<Duration>,
}

/// Somebody else is being answered the same.
const IN_PROGRESS: &str = "idempotency_in_progress";
/// Others wait for the same already.
const TOO_MANY_POLLS: &str = "too_many_polls";
/// Clients that were told to come back wait this long.
const COME_BACK_AFTER: &str = "1";
/// Nobody is told to wait for longer.
pub(in crate::api) const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), faults: Vec::new(), retry_after: None }
    }

    pub(in crate::api) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_route",
            "No such route",
            "nothing is served at this path; the routes are under /v1",
        )
    }

    pub(in crate::api) fn method_not_allowed() -> Self {
        let detail = "this path is served, but not with this method; `Allow` lists those it is served with";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
    }

    /// Also the answer for what exists but belongs to another tenant.
    pub(in crate::api) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", format!("this tenant has no such {what}"))
    }

    /// Not the answer of a receiver that has no handler for it.
    pub(in crate::api) fn unknown_action(known: &[&str]) -> Self {
        let detail = format!("there is no such action; there are {}", known.join(", "));
        Self::new(StatusCode::NOT_FOUND, "unknown_action", "No such action", detail)
    }

    pub(in crate::api) fn no_tenant() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", "there is no such tenant")
    }

    pub(in crate::api) fn unknown_tenant() -> Self {
        let detail = "X-Tenant-ID names no tenant that this API key reaches";
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    pub(in crate::api) fn unauthenticated() -> Self {
        let detail = "send an API key that is not revoked as `Authorization: Bearer sk_live_…`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "API key required", detail)
    }

    pub(in crate::api) fn no_pull_key() -> Self {
        let detail = "send the webhook's pull key, if it has not ended, as `Authorization: Bearer pull_live_…`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Pull key required", detail)
    }

    pub(in crate::api) fn pull_keys_alone() -> Self {
        let detail = "deliveries are collected with the webhook's pull key and no API key; it was shown when the webhook was made, and POST /v1/webhooks/{id}/pull-key/rotate makes another";
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Pull key required", detail)
    }

    pub(in crate::api) fn forbidden(scope: Scope) -> Self {
        let detail = format!("this API key lacks the scope {}", scope.as_str());
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Scope required", detail)
    }

    pub(in crate::api) fn instance_wide_only() -> Self {
        let detail = "this API key is bound to one tenant; only an instance-wide key may do this";
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Instance-wide key required", detail)
    }

    pub(in crate::api) fn unsupported_media_type() -> Self {
        let detail = "send the body as JSON, uncompressed, with `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Not JSON", detail)
    }

    pub(in crate::api) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", detail)
    }

    pub(in crate::api) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
    }

    /// One or more members of the request are not acceptable; every one is named.
    pub(in crate::api) fn invalid(faults: Vec<Fault>) -> Self {
        let first = faults.first().map(|fault| match fault.pointer.as_str() {
            "" => format!("the body {}", fault.detail),
            pointer => format!("{pointer}: {}", fault.detail),
        });
        let first = first.unwrap_or_default();
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", first);
        Self { faults, ..problem }
    }

    pub(in crate::api) fn invalid_one(pointer: impl Into<String>, detail: impl ToString) -> Self {
        Self::invalid(vec![Fault { pointer: pointer.into(), detail: detail.to_string() }])
    }

    pub(in crate::api) fn idempotency_mismatch() -> Self {
        let detail = "was used within the last 24 h for a request with another body; use a new key for a new request";
        let problem = Self::invalid_one("Idempotency-Key", detail);
        Self { code: "idempotency_mismatch", title: "Idempotency key in use", ..problem }
    }

    pub(in crate::api) fn idempotency_in_progress() -> Self {
        Self::conflict(
            IN_PROGRESS,
            "the same request under this Idempotency-Key is being carried out; ask again for its answer",
        )
    }

    pub(in crate::api) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "Not now", detail)
    }

    pub(in crate::api) fn too_many() -> Self {
        let detail = "this API key asks more often than it may; wait as long as `Retry-After` says";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", detail)
    }

    pub(in crate::api) fn too_many_questions() -> Self {
        let detail = "more questions to hooks are under way than is good for them; this one was not put, try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded", detail)
    }

    pub(in crate::api) fn too_many_polls(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_POLLS, "Too many requests", detail)
    }

    pub(in crate::api) fn unavailable() -> Self {
        let detail = "the database is not available at the moment; nothing was changed, try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available", detail)
    }

    pub(in crate::api) fn internal() -> Self {
        let detail = "something went wrong here; the log has the cause under this request_id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// Logs the cause of an answer that does not tell it.
    fn because(self, error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = error, problem.code = self.code, "a request failed");
        self
    }

    /// The same problem as the answer for one of several things in a request.
    pub(in crate::api) fn as_entry(&self) -> Entry {
        Entry {
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail.clone(),
            errors: self.faults.clone(),
        }
    }

    pub(in crate::api) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is answered, for the description of the API.
    pub(in crate::api) fn as_json(&self, request_id: &str) -> Value {
        serde_json::to_value(self.body(request_id)).unwrap_or_default()
    }

    fn body<'a>(&'a self, request_id: &'a str) -> Written<'a> {
        Written {
            r#type: format!("urn:signet:problem:{}", self.code),
            code: self.code,
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.faults,
            request_id,
        }
    }

    /// The answer itself.
    pub(in crate::api) fn written(self, request_id: &str) -> Response {
        let body = serde_json::to_vec(&self.body(request_id)).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::CONFLICT if self.code == IN_PROGRESS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(COME_BACK_AFTER));
            }
            StatusCode::TOO_MANY_REQUESTS if self.code == TOO_MANY_POLLS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(COME_BACK_AFTER));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(COME_BACK_AFTER));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.min(RETRY_AFTER_MAX).as_secs()));
        }
        response
    }
}

/// What went wrong (RFC 9457), and what the caller can do.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(in crate::api) struct Written<'a> {
    /// `urn:signet:problem:` and the code.
    r#type: String,
    /// Stable; for programs to go by.
    code: &'a str,
    title: &'a str,
    status: u16,
    /// For people: what is wrong, and how to mend it.
    detail: &'a str,
    /// Each member that is at fault.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [Fault],
    #[schema(value_type = shapes::RequestId)]
    request_id: &'a str,
}

/// A problem with one of several things in a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refused)]
pub(in crate::api) struct Entry {
    status: u16,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

/// Travels inside the response to the layer that knows the request's name.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
