//! Everything that can go wrong, as RFC 9457 problem details: one table from errors to statuses and words.
//!
//! A problem says what the caller can do. Causes go to the log, not to the caller.

use std::error::Error;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::access::Scope;
use crate::domain::key_ring::{CannotRevoke, CannotRotate};
use crate::engine::access::CreateKeyError;
use crate::engine::catalogue::known::JudgeError;
use crate::engine::catalogue::{CatalogueError, Fault as SchemaFault};
use crate::engine::deliveries::RetryError;
use crate::engine::idempotency::IdempotencyError;
use crate::engine::ingest::IngestError;
use crate::engine::keys::{KeysError, MayNotSign};
use crate::engine::rehearse::RehearseError;
use crate::engine::revoke::RevokeError;
use crate::engine::rotate::RotateError;
use crate::engine::tenants::TenantError;
use crate::engine::webhooks::{ProbeError, WebhookError};
use crate::store::StoreError;

/// What is wrong with one member of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// A JSON pointer (RFC 6901) into the body, or the name of a header or parameter.
    pub(super) pointer: String,
    pub(super) detail: String,
}

/// A problem, before it is written down with the name of its request.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    faults: Vec<Fault>,
}

/// Somebody else is being answered the same.
const IN_PROGRESS: &str = "idempotency_in_progress";
/// Clients that were told to come back wait this long.
const COME_BACK_AFTER: &str = "1";

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), faults: Vec::new() }
    }

    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_route",
            "No such route",
            "nothing is served at this path; the routes are under /v1",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this path is served, but not with this method; `Allow` lists those it is served with";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", detail)
    }

    /// Also the answer for what exists but belongs to another tenant.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", format!("this tenant has no such {what}"))
    }

    pub(super) fn unknown_tenant() -> Self {
        let detail = "X-Tenant-ID names no tenant that this API key reaches";
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    pub(super) fn unauthenticated() -> Self {
        let detail = "send an API key that is not revoked as `Authorization: Bearer sk_live_…`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "API key required", detail)
    }

    pub(super) fn forbidden(scope: Scope) -> Self {
        let detail = format!("this API key lacks the scope {}", scope.as_str());
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Scope required", detail)
    }

    pub(super) fn instance_wide_only() -> Self {
        let detail = "this API key is bound to one tenant; only an instance-wide key may do this";
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Instance-wide key required", detail)
    }

    pub(super) fn unsupported_media_type() -> Self {
        let detail = "send the body as JSON, uncompressed, with `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Not JSON", detail)
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", detail)
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
    }

    /// One or more members of the request are not acceptable; every one is named.
    pub(super) fn invalid(faults: Vec<Fault>) -> Self {
        let first = faults.first().map(|fault| match fault.pointer.as_str() {
            "" => format!("the body {}", fault.detail),
            pointer => format!("{pointer}: {}", fault.detail),
        });
        let first = first.unwrap_or_default();
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", first);
        Self { faults, ..problem }
    }

    pub(super) fn invalid_one(pointer: impl Into<String>, detail: impl ToString) -> Self {
        Self::invalid(vec![Fault { pointer: pointer.into(), detail: detail.to_string() }])
    }

    pub(super) fn idempotency_mismatch() -> Self {
        let detail = "was used within the last 24 h for a request with another body; use a new key for a new request";
        let problem = Self::invalid_one("Idempotency-Key", detail);
        Self { code: "idempotency_mismatch", title: "Idempotency key in use", ..problem }
    }

    pub(super) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "Not now", detail)
    }

    pub(super) fn too_many() -> Self {
        let detail = "this API key asks more often than it may; wait as long as `Retry-After` says";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", detail)
    }

    pub(super) fn unavailable() -> Self {
        let detail = "the database is not available at the moment; nothing was changed, try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available", detail)
    }

    pub(super) fn internal() -> Self {
        let detail = "something went wrong here; the log has the cause under this request_id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// Logs the cause of an answer that does not tell it.
    fn because(self, error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = error, problem.code = self.code, "a request failed");
        self
    }

    /// The same problem as the answer for one of several things in a request.
    pub(super) fn as_entry(&self) -> Entry {
        Entry {
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail.clone(),
            errors: self.faults.clone(),
        }
    }

    /// The answer itself.
    pub(super) fn written(self, request_id: &str) -> Response {
        let body = Written {
            r#type: format!("urn:signet:problem:{}", self.code),
            code: self.code,
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.faults,
            request_id,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::CONFLICT if self.code == IN_PROGRESS => {
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
        response
    }
}

#[derive(Serialize)]
struct Written<'a> {
    r#type: String,
    code: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    request_id: &'a str,
}

/// A problem with one of several things in a request.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    status: u16,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
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

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Contended(_) => Self::unavailable().because(&error),
            StoreError::Conflict(_) => {
                Self::conflict("conflict", "it contradicts what is already there").because(&error)
            }
            StoreError::Corrupt { .. }
            | StoreError::Migration(_)
            | StoreError::UnknownDatabase(_)
            | StoreError::MalformedUrl
            | StoreError::TooOld(_)
            | StoreError::File { .. }
            | StoreError::Folder { .. } => Self::internal().because(&error),
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Overloaded => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Overloaded",
                "more events are waiting to be written than is good for them; this one was not accepted, try again",
            ),
            IngestError::KeyReused => Self::idempotency_mismatch(),
            IngestError::TooWide => Self::invalid_one(
                "/events",
                "concern more than 100,000 webhooks together; publish them in smaller batches",
            ),
            IngestError::Unavailable => Self::unavailable(),
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::KeyReused => Self::idempotency_mismatch(),
            IdempotencyError::Running => Self::conflict(
                IN_PROGRESS,
                "the same request under this Idempotency-Key is being carried out; ask again for its answer",
            ),
            IdempotencyError::Store(error) => error.into(),
            IdempotencyError::Signing(_) => Self::internal().because(&error),
        }
    }
}

impl From<RetryError> for Problem {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NoWebhook => Self::not_found("webhook"),
            RetryError::NoDelivery => Self::not_found("delivery"),
            RetryError::Disabled => {
                Self::conflict("webhook_disabled", "the webhook is disabled; enable it, then try the delivery again")
            }
            RetryError::Store(error) => error.into(),
        }
    }
}

impl From<KeysError> for Problem {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Store(error) => error.into(),
            KeysError::Signing(_) | KeysError::Stuck => Self::internal().because(&error),
        }
    }
}

impl From<RotateError> for Problem {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::CannotRotate(CannotRotate::NoStandby) => Self::conflict("no_standby", error.to_string()),
            RotateError::CannotRotate(CannotRotate::TooSoon { .. }) => Self::conflict("too_soon", error.to_string()),
            RotateError::CannotRotate(CannotRotate::NotEverywhere) => {
                Self::conflict("not_everywhere", error.to_string())
            }
            RotateError::Keys(error) => error.into(),
        }
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::CannotRevoke(CannotRevoke::Unknown) => Self::not_found("key"),
            RevokeError::CannotRevoke(CannotRevoke::NotPublished(_)) => {
                Self::conflict("not_published", error.to_string())
            }
            RevokeError::Keys(error) => error.into(),
        }
    }
}

impl From<RehearseError> for Problem {
    fn from(error: RehearseError) -> Self {
        match error {
            RehearseError::CannotRotate(error) => Self::conflict("no_standby", error.to_string()),
            RehearseError::Signing(error) => Self::internal().because(&error),
            RehearseError::MayNotSign(error) => error.into(),
            RehearseError::Store(error) => error.into(),
        }
    }
}

impl From<ProbeError> for Problem {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::MayNotSign(error) => error.into(),
            ProbeError::Store(error) => error.into(),
        }
    }
}

impl From<MayNotSign> for Problem {
    fn from(error: MayNotSign) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "may_not_sign", "Not available", error.to_string())
    }
}

impl From<SchemaFault> for Fault {
    fn from(fault: SchemaFault) -> Self {
        Self { pointer: fault.pointer, detail: fault.detail }
    }
}

impl From<CatalogueError> for Problem {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Faulty(faults) => Self::invalid(faults.into_iter().map(Fault::from).collect()),
            CatalogueError::TooMany | CatalogueError::TooLarge => {
                Self::conflict("catalogue_full", format!("{error}; delete event types that nobody publishes any more"))
            }
            CatalogueError::NoTenant => Self::unknown_tenant(),
            CatalogueError::Store(error) => error.into(),
        }
    }
}

impl From<JudgeError> for Problem {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Store(error) => error.into(),
            JudgeError::Unusable(_) => Self::internal().because(&error),
            JudgeError::Overloaded => IngestError::Overloaded.into(),
        }
    }
}

impl From<TenantError> for Problem {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::CannotCutOver(error) => Self::invalid_one("/cut_over", error.to_string()),
            TenantError::Keys(error) => error.into(),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Blocked => Self::invalid_one(
                "/url",
                "names a host that webhooks may not reach; use a public address, or have the operator list its network in SIGNET_EGRESS_ALLOW",
            ),
            WebhookError::Header(error) => Self::invalid_one("/headers", error),
            WebhookError::MalformedSecret => Self::invalid_one("/secret", error),
            WebhookError::TooManySecrets(error) => Self::conflict("too_many_secrets", error.to_string()),
            WebhookError::Contended => Self::conflict("contended", "somebody else is changing this webhook; try again"),
            WebhookError::Store(error) => error.into(),
            WebhookError::Signing(error) => Self::internal().because(&error),
            WebhookError::NoRandomness(error) => Self::internal().because(&error),
            WebhookError::MayNotSign(error) => error.into(),
        }
    }
}

impl From<CreateKeyError> for Problem {
    fn from(error: CreateKeyError) -> Self {
        match error {
            CreateKeyError::Store(error) => error.into(),
            CreateKeyError::NoRandomness(error) => Self::internal().because(&error),
        }
    }
}
