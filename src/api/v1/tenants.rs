//! `/v1/admin/tenants`: for instance-wide keys alone.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dialect::{DialectView, DialectWish};
use super::patch::{Patched, not_null};
use crate::api::Api;
use crate::api::body::{Faults, Json, Object, Whole};
use crate::api::caller::{Access, Admin};
use crate::api::openapi::shapes;
use crate::api::page::{List, PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::id::TenantId;
use crate::domain::key_ring::{KeyPolicy, Margin, Margins, Profile};
use crate::domain::tenant::{self, Tenant};
use crate::domain::time::Timestamp;
use crate::domain::token::{Algorithm, TokenTtl};
use crate::engine::Terms;
use crate::engine::tenants::{CutOverChoice, NewTenant, PolicyChoice, TenantChange};
use crate::store::tenants;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(super) struct TenantView {
    #[schema(value_type = shapes::TenantId)]
    id: String,
    name: String,
    #[schema(value_type = shapes::Url)]
    issuer: String,
    #[schema(value_type = shapes::Url)]
    jwks_uri: String,
    #[schema(value_type = shapes::Algorithm)]
    algorithm: &'static str,
    /// A change of algorithm that will happen.
    cut_over: Option<CutOverView>,
    key_policy: PolicyView,
    token_subject: String,
    #[schema(value_type = shapes::TokenLifetime)]
    token_ttl: u16,
    dialect: DialectView,
    catalogue: CatalogueView,
    default: bool,
    #[schema(value_type = shapes::Timestamp)]
    created_at: String,
}

/// How strictly the catalogue of event types is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogueRules)]
pub(super) struct CatalogueView {
    closed: bool,
    enforce_schema: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CutOver)]
pub(super) struct CutOverView {
    #[schema(value_type = shapes::Algorithm)]
    algorithm: &'static str,
    #[schema(value_type = shapes::Timestamp)]
    at: String,
}

/// How the keys rotate, in seconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyPolicy)]
pub(super) struct PolicyView {
    /// Whether it is the installation's and changes with it, or the tenant's own.
    inherited: bool,
    #[schema(value_type = shapes::Profile)]
    profile: &'static str,
    period_seconds: u64,
    publish_ahead_seconds: u64,
    grace_seconds: u64,
}

impl TenantView {
    fn of(tenant: Tenant, terms: &Terms) -> Self {
        let issuer = tenant.issuer(&terms.public_url);
        let policy = tenant.key_policy.unwrap_or(terms.key_policy);
        let margins = policy.margins();
        Self {
            id: tenant.id.to_string(),
            jwks_uri: format!("{issuer}/.well-known/jwks.json"),
            algorithm: tenant.algorithm.as_str(),
            cut_over: tenant
                .cut_over
                .map(|next| CutOverView { algorithm: next.algorithm.as_str(), at: next.at.to_string() }),
            key_policy: PolicyView {
                inherited: tenant.key_policy.is_none(),
                profile: policy.profile().as_str(),
                period_seconds: margins.period.as_secs(),
                publish_ahead_seconds: margins.publish_ahead.as_secs(),
                grace_seconds: margins.grace.as_secs(),
            },
            token_ttl: tenant.token_ttl.as_seconds(),
            dialect: DialectView::of(&tenant.dialect, &issuer),
            catalogue: CatalogueView {
                closed: tenant.catalogue.is_closed,
                enforce_schema: tenant.catalogue.enforces_schema,
            },
            issuer,
            default: tenant.is_default,
            created_at: tenant.created_at.to_string(),
            name: tenant.name,
            token_subject: tenant.token_subject,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTenant {
    #[schema(value_type = shapes::TenantName)]
    name: String,
    #[schema(value_type = Option<shapes::Algorithm>)]
    algorithm: Option<String>,
    #[schema(value_type = Option<PolicyWish>)]
    key_policy: Option<Object<PolicyWish>>,
    #[schema(value_type = Option<shapes::TokenSubject>)]
    token_subject: Option<String>,
    #[schema(value_type = Option<shapes::TokenLifetime>)]
    token_ttl: Option<Whole<i64>>,
    dialect: Option<Object<DialectWish>>,
}

/// Margins of a tenant's own; what is left out is as the installation is configured.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyPolicyWish)]
pub(super) struct PolicyWish {
    #[schema(value_type = Option<shapes::Profile>)]
    profile: Option<String>,
    #[schema(value_type = Option<u32>)]
    period_seconds: Option<Whole<u32>>,
    #[schema(value_type = Option<u32>)]
    publish_ahead_seconds: Option<Whole<u32>>,
    #[schema(value_type = Option<u32>)]
    grace_seconds: Option<Whole<u32>>,
}

impl PolicyWish {
    fn policy(&self, standard: KeyPolicy, faults: &mut Faults) -> Option<KeyPolicy> {
        let profile = match &self.profile {
            None => Some(standard.profile()),
            Some(name) => faults.take("/key_policy/profile", Profile::parse(name).ok_or("is standard or development")),
        };
        let span = |seconds: Option<Whole<u32>>, standard| {
            seconds.map_or(standard, |Whole(seconds)| Duration::from_secs(u64::from(seconds)))
        };
        let usual = standard.margins();
        let margins = Margins {
            period: span(self.period_seconds, usual.period),
            publish_ahead: span(self.publish_ahead_seconds, usual.publish_ahead),
            grace: span(self.grace_seconds, usual.grace),
        };
        match KeyPolicy::new(profile?, margins) {
            Ok(policy) => Some(policy),
            Err(impossible) => {
                for fault in impossible {
                    faults.add(pointer_to(fault.margin()), fault);
                }
                None
            }
        }
    }
}

fn pointer_to(margin: Margin) -> &'static str {
    match margin {
        Margin::Period => "/key_policy/period_seconds",
        Margin::PublishAhead => "/key_policy/publish_ahead_seconds",
        Margin::Grace => "/key_policy/grace_seconds",
    }
}

/// Which algorithm a text names.
fn algorithm(name: &str, pointer: &str, faults: &mut Faults) -> Option<Algorithm> {
    let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
    faults.take(pointer, Algorithm::parse(name).ok_or_else(|| format!("is one of: {known}")))
}

impl CreateTenant {
    fn wish(self, terms: &Terms) -> Result<NewTenant, Problem> {
        let mut faults = Faults::default();
        let standard = NewTenant::named(&self.name);
        faults.take("/name", tenant::check_name(&self.name));
        if let Some(subject) = &self.token_subject {
            faults.take("/token_subject", tenant::check_subject(subject));
        }
        let algorithm = self.algorithm.and_then(|name| algorithm(&name, "/algorithm", &mut faults));
        let key_policy = self.key_policy.and_then(|Object(wish)| wish.policy(terms.key_policy, &mut faults));
        let ttl = self.token_ttl.and_then(|Whole(seconds)| faults.take("/token_ttl", TokenTtl::from_seconds(seconds)));
        let Object(dialect) = self.dialect.unwrap_or_default();
        let dialect = dialect.change(&mut faults).over(standard.dialect.clone());
        faults.none()?;
        Ok(NewTenant {
            algorithm: algorithm.unwrap_or(standard.algorithm),
            token_ttl: ttl.unwrap_or(standard.token_ttl),
            token_subject: self.token_subject,
            key_policy,
            dialect,
            ..standard
        })
    }
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeTenant {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::TenantName, required = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::TokenSubject, required = false)]
    token_subject: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::TokenLifetime, required = false)]
    token_ttl: Option<Whole<i64>>,
    /// Null takes a policy of its own away.
    #[serde(default)]
    #[schema(value_type = Option<PolicyWish>)]
    key_policy: Patched<Object<PolicyWish>>,
    /// Null calls a change of algorithm off.
    #[serde(default)]
    #[schema(value_type = Option<CutOverWish>)]
    cut_over: Patched<Object<CutOverWish>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = DialectWish, required = false)]
    dialect: Option<Object<DialectWish>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = CatalogueWish, required = false)]
    catalogue: Option<Object<CatalogueWish>>,
}

/// How strictly the catalogue shall be kept; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogueWish {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    closed: Option<bool>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    enforce_schema: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CutOverWish {
    #[schema(value_type = shapes::Algorithm)]
    algorithm: String,
    /// As soon as no receiver is hurt, if it is left out.
    #[schema(value_type = Option<shapes::Timestamp>)]
    at: Option<String>,
}

impl CutOverWish {
    fn choice(&self, faults: &mut Faults) -> Option<CutOverChoice> {
        let algorithm = algorithm(&self.algorithm, "/cut_over/algorithm", faults);
        let at = self.at.as_ref().map(|at| faults.take("/cut_over/at", Timestamp::parse_rfc3339(at)));
        match at {
            None => Some(CutOverChoice::To(algorithm?, None)),
            Some(at) => Some(CutOverChoice::To(algorithm?, Some(at?))),
        }
    }
}

impl ChangeTenant {
    fn change(self, terms: &Terms) -> Result<TenantChange, Problem> {
        let mut faults = Faults::default();
        if let Some(name) = &self.name {
            faults.take("/name", tenant::check_name(name));
        }
        if let Some(subject) = &self.token_subject {
            faults.take("/token_subject", tenant::check_subject(subject));
        }
        let token_ttl =
            self.token_ttl.and_then(|Whole(seconds)| faults.take("/token_ttl", TokenTtl::from_seconds(seconds)));
        let key_policy = match self.key_policy {
            Patched::Absent => None,
            Patched::Null => Some(PolicyChoice::Installation),
            Patched::Value(Object(wish)) => wish.policy(terms.key_policy, &mut faults).map(PolicyChoice::Own),
        };
        let cut_over = match self.cut_over {
            Patched::Absent => None,
            Patched::Null => Some(CutOverChoice::None),
            Patched::Value(Object(wish)) => wish.choice(&mut faults),
        };
        let Object(dialect) = self.dialect.unwrap_or_default();
        let dialect = dialect.change(&mut faults);
        faults.none()?;
        let Object(catalogue) = self.catalogue.unwrap_or_default();
        Ok(TenantChange {
            name: self.name,
            token_subject: self.token_subject,
            token_ttl,
            key_policy,
            cut_over,
            dialect,
            is_closed: catalogue.closed,
            enforces_schema: catalogue.enforce_schema,
        })
    }
}

pub(super) async fn change(
    State(engine): State<Api>,
    access: Access<Admin>,
    Path(id): Path<String>,
    Json(body): Json<ChangeTenant>,
) -> Result<Response, Problem> {
    let actor = Actor::of(&access.caller);
    access.instance_wide()?;
    let id = id.parse::<TenantId>().map_err(|_| Problem::no_tenant())?;
    let change = body.change(&engine.terms)?;
    let changed = engine.change_tenant(actor, id, change).await?;
    let changed = changed.ok_or_else(Problem::no_tenant)?;
    Ok(axum::Json(TenantView::of(changed, &engine.terms)).into_response())
}

pub(super) async fn create(
    State(engine): State<Api>,
    access: Access<Admin>,
    Json(body): Json<CreateTenant>,
) -> Result<Response, Problem> {
    let access = access.instance_wide()?;
    let tenant = engine.create_tenant(Actor::of(&access.caller), body.wish(&engine.terms)?).await?;
    let view = TenantView::of(tenant, &engine.terms);
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<Admin>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    access.instance_wide()?;
    let page = params.page(&engine, List::Tenants)?;
    let mut reader = engine.store.read().await?;
    let fetched = tenants::list(reader.conn(), page.after.map(TenantId::from_bytes), page.fetch()).await?;
    let view = |tenant| TenantView::of(tenant, &engine.terms);
    Ok(axum::Json(page.show(fetched, |tenant| *tenant.id.as_bytes(), view)).into_response())
}

pub(super) async fn show(
    State(engine): State<Api>,
    access: Access<Admin>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    access.instance_wide()?;
    let id = id.parse::<TenantId>().ok();
    let keys = id.and_then(|id| engine.keys_of(id)).ok_or_else(Problem::no_tenant)?;
    Ok(axum::Json(TenantView::of(keys.tenant.clone(), &engine.terms)).into_response())
}
