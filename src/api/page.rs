//! What a URL says: the variable parts of its path, its parameters, and which page of a list is wanted.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::problem::Problem;
use crate::domain::id::{TenantId, WebhookId};

pub(super) const LIMIT_STANDARD: u32 = 20;
pub(super) const LIMIT_MAX: u32 = 100;

/// The parameters of a query string, of which unknown ones are refused.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, engine: &Api) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, engine).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let words = rejection.body_text();
                let words = words.strip_prefix("Failed to deserialize query string: ").unwrap_or(&words);
                Err(Problem::malformed(format!("the query string is not understood: {words}")))
            }
        }
    }
}

/// The variable parts of a path. What cannot be read cannot name anything.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, engine: &Api) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, engine).await {
            Ok(axum::extract::Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(Problem::no_route()),
        }
    }
}

/// Which page a caller wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    pub(super) limit: Option<String>,
    pub(super) cursor: Option<String>,
}

/// A list, and whose it is: a cursor of one opens no other.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    Events(TenantId),
    EventTypes(TenantId),
    Webhooks(TenantId),
    Deliveries(TenantId, WebhookId),
    Rehearsals(TenantId),
    Tenants,
    /// Of one tenant, or of all.
    ApiKeys(Option<TenantId>),
    AuditLog(TenantId),
    Executions(TenantId),
}

impl List {
    fn parts(&self) -> [&[u8]; 3] {
        match self {
            Self::Events(tenant_id) => [b"events", tenant_id.as_bytes(), b""],
            Self::EventTypes(tenant_id) => [b"event-types", tenant_id.as_bytes(), b""],
            Self::Webhooks(tenant_id) => [b"webhooks", tenant_id.as_bytes(), b""],
            Self::Deliveries(tenant_id, webhook_id) => [b"deliveries", tenant_id.as_bytes(), webhook_id.as_bytes()],
            Self::Rehearsals(tenant_id) => [b"rehearsals", tenant_id.as_bytes(), b""],
            Self::AuditLog(tenant_id) => [b"audit-log", tenant_id.as_bytes(), b""],
            Self::Executions(tenant_id) => [b"hook-log", tenant_id.as_bytes(), b""],
            Self::Tenants => [b"tenants", b"", b""],
            Self::ApiKeys(tenant_id) => {
                [b"api-keys", tenant_id.as_ref().map_or(&[][..], |tenant_id| tenant_id.as_bytes()), b""]
            }
        }
    }
}

/// A page that can be fetched. A cursor is the id of the last thing on the page before, which nobody can make up.
pub(super) struct PageOf {
    pub(super) limit: u32,
    pub(super) after: Option<[u8; 16]>,
    list: List,
    engine: Api,
}

impl PageParams {
    pub(super) fn page(&self, engine: &Api, list: List) -> Result<PageOf, Problem> {
        let limit = match self.limit.as_deref().map(str::parse::<u32>) {
            None => LIMIT_STANDARD,
            Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
            Some(_) => return Err(Problem::invalid_one("limit", format!("is a number from 1 to {LIMIT_MAX}"))),
        };
        let unknown = || Problem::invalid_one("cursor", "is not one that a page of this list gave as next_cursor");
        let after = match &self.cursor {
            None => None,
            Some(cursor) => {
                let cursor = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| unknown())?;
                let position = engine.position(&list.parts(), &cursor).ok_or_else(unknown)?;
                Some(<[u8; 16]>::try_from(position).map_err(|_| unknown())?)
            }
        };
        Ok(PageOf { limit, after, list, engine: engine.clone() })
    }
}

/// A page as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    pub(super) pagination: Pagination,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pagination {
    limit: u32,
    has_more: bool,
    /// What to ask for the next page with.
    next_cursor: Option<String>,
}

impl PageOf {
    /// One more than the page holds, to learn whether there is more.
    pub(super) fn fetch(&self) -> u32 {
        self.limit + 1
    }

    /// Shows a page of what was fetched.
    pub(super) fn show<S, T>(
        &self,
        mut fetched: Vec<S>,
        id: impl Fn(&S) -> [u8; 16],
        view: impl Fn(S) -> T,
    ) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = fetched.len() > limit;
        fetched.truncate(limit);
        let next = fetched.last().filter(|_| has_more).map(id);
        self.made_of(fetched.into_iter().map(view).collect(), next)
    }

    /// A page of views, after which the list goes on behind `next`.
    pub(super) fn made_of<T>(&self, data: Vec<T>, next: Option<[u8; 16]>) -> Page<T> {
        let next_cursor = next.map(|id| URL_SAFE_NO_PAD.encode(self.engine.cursor(&self.list.parts(), &id)));
        Page { data, pagination: Pagination { limit: self.limit, has_more: next_cursor.is_some(), next_cursor } }
    }
}
