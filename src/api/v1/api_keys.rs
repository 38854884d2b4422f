//! `/v1/admin/api-keys`. A key that is bound to a tenant sees and makes keys of that tenant alone, and none that may do
//! more than itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::body::{Faults, Json};
use crate::api::caller::{Access, Admin};
use crate::api::openapi::shapes;
use crate::api::page::{List, PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::access::{self, ApiKey, Scope};
use crate::domain::audit::Actor;
use crate::domain::id::ApiKeyId;
use crate::engine::access::NewApiKey;
use crate::store::api_keys;

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct ApiKeyView {
    #[schema(value_type = shapes::ApiKeyId)]
    id: String,
    #[schema(value_type = Option<shapes::TenantId>)]
    tenant_id: Option<String>,
    label: String,
    /// Its last four characters.
    tail: String,
    #[schema(value_type = Vec<shapes::Scope>)]
    scopes: Vec<&'static str>,
    /// The key itself, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    key: Option<String>,
    #[schema(value_type = shapes::Timestamp)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    revoked_at: Option<String>,
}

impl ApiKeyView {
    fn of(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            tenant_id: key.tenant_id.map(|id| id.to_string()),
            label: key.label,
            tail: key.tail,
            scopes: key.scopes.into_iter().map(Scope::as_str).collect(),
            key: None,
            created_at: key.created_at.to_string(),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateApiKey {
    #[schema(value_type = Option<shapes::ApiKeyLabel>)]
    label: Option<String>,
    #[schema(value_type = Vec<shapes::Scope>, min_items = 1)]
    scopes: Vec<String>,
    /// Reach every tenant; only for callers that do so themselves.
    #[serde(default)]
    instance_wide: bool,
}

pub(super) async fn create(
    State(engine): State<Api>,
    asker: Access<Admin>,
    Json(body): Json<CreateApiKey>,
) -> Result<Response, Problem> {
    let actor = Actor::of(&asker.caller);
    let tenant_id = if body.instance_wide { None } else { Some(asker.tenant_id) };
    if body.instance_wide {
        asker.instance_wide()?;
    }
    let mut faults = Faults::default();
    let label = body.label.unwrap_or_default();
    faults.take("/label", access::check_label(&label));
    let scopes = scopes(&body.scopes, &mut faults);
    faults.none()?;
    let (key, secret) = engine.create_api_key(actor, NewApiKey { tenant_id, label, scopes }).await?;
    let view = ApiKeyView { key: Some(secret.reveal().to_owned()), ..ApiKeyView::of(key) };
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

fn scopes(names: &[String], faults: &mut Faults) -> Vec<Scope> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    if names.is_empty() {
        faults.add("/scopes", format!("is empty; name at least one of: {known}"));
    }
    let mut scopes = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let parsed = Scope::parse(name).ok_or_else(|| format!("is one of: {known}"));
        scopes.extend(faults.take(format!("/scopes/{at}"), parsed));
    }
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<Admin>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    let page = params.page(&engine, List::ApiKeys(access.only_tenant))?;
    let mut reader = engine.store.read().await?;
    let after = page.after.map(ApiKeyId::from_bytes);
    let fetched = api_keys::list(reader.conn(), access.only_tenant, after, page.fetch()).await?;
    Ok(axum::Json(page.show(fetched, |key| *key.id.as_bytes(), ApiKeyView::of)).into_response())
}

pub(super) async fn revoke(
    State(engine): State<Api>,
    access: Access<Admin>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::not_found("API key");
    let id = id.parse::<ApiKeyId>().map_err(|_| missing())?;
    match engine.revoke_api_key(Actor::of(&access.caller), id, access.only_tenant).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing()),
    }
}
