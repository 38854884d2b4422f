//! `/v1/admin/tenants`: for instance-wide keys alone.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::body::{Faults, Json};
use crate::api::caller::{Access, Admin};
use crate::api::page::{PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::id::TenantId;
use crate::domain::tenant::{self, Tenant};
use crate::domain::token::{Algorithm, TokenTtl};
use crate::engine::tenants::NewTenant;
use crate::store::tenants;

#[derive(Debug, Serialize)]
struct TenantView {
    id: String,
    name: String,
    issuer: String,
    jwks_uri: String,
    algorithm: &'static str,
    token_subject: String,
    token_ttl: u16,
    default: bool,
    created_at: String,
}

impl TenantView {
    fn of(tenant: Tenant, public_url: &str) -> Self {
        let issuer = tenant.issuer(public_url);
        Self {
            id: tenant.id.to_string(),
            jwks_uri: format!("{issuer}/.well-known/jwks.json"),
            issuer,
            algorithm: tenant.algorithm.as_str(),
            token_ttl: tenant.token_ttl.as_seconds(),
            default: tenant.is_default,
            created_at: tenant.created_at.to_string(),
            name: tenant.name,
            token_subject: tenant.token_subject,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTenant {
    name: String,
    algorithm: Option<String>,
    token_subject: Option<String>,
    token_ttl: Option<i64>,
}

impl CreateTenant {
    fn wish(self) -> Result<NewTenant, Problem> {
        let mut faults = Faults::default();
        let standard = NewTenant::named(&self.name);
        faults.take("/name", tenant::check_name(&self.name));
        if let Some(subject) = &self.token_subject {
            faults.take("/token_subject", tenant::check_subject(subject));
        }
        let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
        let algorithm = self.algorithm.and_then(|name| {
            faults.take("/algorithm", Algorithm::parse(&name).ok_or_else(|| format!("is one of: {known}")))
        });
        let ttl = self.token_ttl.and_then(|seconds| faults.take("/token_ttl", TokenTtl::from_seconds(seconds)));
        faults.none()?;
        Ok(NewTenant {
            algorithm: algorithm.unwrap_or(standard.algorithm),
            token_ttl: ttl.unwrap_or(standard.token_ttl),
            token_subject: self.token_subject,
            ..standard
        })
    }
}

pub(super) async fn create(
    State(engine): State<Api>,
    access: Access<Admin>,
    Json(body): Json<CreateTenant>,
) -> Result<Response, Problem> {
    let access = access.instance_wide()?;
    let tenant = engine.create_tenant(Actor::of(&access.caller), body.wish()?).await?;
    let view = TenantView::of(tenant, &engine.terms.public_url);
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<Admin>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    access.instance_wide()?;
    let page = params.page()?;
    let mut reader = engine.store.read().await?;
    let fetched = tenants::list(reader.conn(), page.after.map(TenantId::from_bytes), page.fetch()).await?;
    let view = |tenant| TenantView::of(tenant, &engine.terms.public_url);
    Ok(axum::Json(page.show(fetched, |tenant| *tenant.id.as_bytes(), view)).into_response())
}

pub(super) async fn show(
    State(engine): State<Api>,
    access: Access<Admin>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    access.instance_wide()?;
    let id = id.parse::<TenantId>().ok();
    let keys = id.and_then(|id| engine.keys_of(id)).ok_or_else(|| Problem::not_found("tenant"))?;
    Ok(axum::Json(TenantView::of(keys.tenant.clone(), &engine.terms.public_url)).into_response())
}
