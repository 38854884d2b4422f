//! `/v1/admin/keys`: a tenant's key ring.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::AttemptView;
use crate::api::Api;
use crate::api::body::OptionalJson;
use crate::api::caller::{Access, KeysRead, KeysRotate};
use crate::api::openapi::shapes;
use crate::api::page::{List, Page, PageParams, Pagination, Params, Path};
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::id::WebhookId;
use crate::domain::key_ring::{Key, KeyState, Kid, Step};
use crate::domain::time::Timestamp;
use crate::engine::rehearse::{Performance, Rehearsal, Rehearsed};
use crate::engine::rotate::Haste;

/// How many steps a plan shows.
const PLAN_ENTRIES: usize = 6;
const REASON_CHARS_MAX: usize = 200;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub(super) struct KeyView {
    #[schema(value_type = shapes::KeyId)]
    kid: String,
    #[schema(value_type = shapes::Algorithm)]
    algorithm: &'static str,
    #[schema(value_type = shapes::KeyState)]
    state: &'static str,
    #[schema(value_type = shapes::Timestamp)]
    published_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    activated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    retired_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    revoked_at: Option<String>,
}

impl KeyView {
    fn of(key: &Key) -> Self {
        let mut view = Self {
            kid: key.kid.to_string(),
            algorithm: key.algorithm.as_str(),
            state: key.state.as_str(),
            published_at: key.published_at.to_string(),
            activated_at: None,
            retired_at: None,
            revoked_at: None,
        };
        match key.state {
            KeyState::Pending | KeyState::Archived => {}
            KeyState::Active { activated_at } => view.activated_at = Some(activated_at.to_string()),
            KeyState::Retiring { retired_at } => view.retired_at = Some(retired_at.to_string()),
            KeyState::Revoked { revoked_at } => view.revoked_at = Some(revoked_at.to_string()),
        }
        view
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyRing)]
pub(super) struct Ring {
    #[schema(value_type = shapes::Url)]
    jwks_uri: String,
    /// What somebody should know who looks after receivers.
    warnings: Vec<&'static str>,
    data: Vec<KeyView>,
}

/// RFC 7517 5 has receivers ignore keys that they do not understand; not all of them do.
const MIXED_SET: &str = "keys of several algorithms are published because of a change of algorithm; python-jose, which tries \
     keys in order, refuses a token when a key of another type stands before its own";

pub(super) async fn list(State(engine): State<Api>, access: Access<KeysRead>) -> Result<Response, Problem> {
    let keys = engine.keys_of(access.tenant_id).ok_or_else(Problem::unavailable)?;
    let data = keys.ring.keys().iter().map(KeyView::of).collect();
    let warnings = keys.ring.is_mixed().then_some(MIXED_SET).into_iter().collect();
    let jwks_uri = format!("{}/.well-known/jwks.json", keys.issuer);
    Ok(axum::Json(Ring { jwks_uri, warnings, data }).into_response())
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    /// Also when some receivers cannot have heard of the standby.
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rotated {
    #[schema(value_type = shapes::KeyId)]
    active_kid: String,
}

pub(super) async fn rotate(
    State(engine): State<Api>,
    access: Access<KeysRotate>,
    OptionalJson(body): OptionalJson<Rotate>,
) -> Result<Response, Problem> {
    let haste = if body.force { Haste::Forced } else { Haste::WhenSafe };
    let kid = engine.rotate(Actor::of(&access.caller), access.tenant_id, haste).await?;
    Ok(axum::Json(Rotated { active_kid: kid.to_string() }).into_response())
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    #[schema(max_length = 200)]
    reason: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Revoked {
    #[serde(rename = "revoked_kid")]
    #[schema(value_type = shapes::KeyId)]
    kid: String,
    #[schema(value_type = Option<shapes::KeyId>)]
    active_kid: Option<String>,
    /// How many webhooks are told by an event that only the new set verifies.
    webhooks_told: u64,
}

pub(super) async fn revoke(
    State(engine): State<Api>,
    access: Access<KeysRotate>,
    Path(kid): Path<String>,
    OptionalJson(body): OptionalJson<Revoke>,
) -> Result<Response, Problem> {
    let reason = body.reason.unwrap_or_default();
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::invalid_one("/reason", format!("is at most {REASON_CHARS_MAX} characters")));
    }
    let actor = Actor::of(&access.caller);
    let revoked = engine.revoke_key(actor, access.tenant_id, &Kid::from_text(kid.as_str()), &reason).await?;
    let active_kid = revoked.active.map(|kid| kid.to_string());
    Ok(axum::Json(Revoked { kid, active_kid, webhooks_told: revoked.told }).into_response())
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyPlan)]
pub(super) struct Plan {
    data: Vec<PlannedStep>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlannedStep {
    #[schema(value_type = shapes::Timestamp)]
    at: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::KeyId, required = false)]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::KeyId, required = false)]
    retires_kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Algorithm, required = false)]
    algorithm: Option<&'static str>,
}

impl PlannedStep {
    fn of((at, step): (Timestamp, Step)) -> Self {
        let algorithm = match &step {
            Step::Publish { algorithm } => Some(algorithm.as_str()),
            _ => None,
        };
        let (action, kid, retires_kid) = match step {
            Step::Open => ("open", None, None),
            Step::Publish { .. } => ("publish", None, None),
            Step::Promote { kid, demoted } => ("promote", Some(kid), demoted),
            Step::Withdraw { kid } => ("withdraw", Some(kid), None),
            Step::Archive { kid } => ("archive", Some(kid), None),
        };
        // Keys that are yet to be made have none.
        let text = |kid: Option<Kid>| kid.filter(|kid| !kid.is_made_up()).map(|kid| kid.to_string());
        Self { at: at.to_string(), action, kid: text(kid), retires_kid: text(retires_kid), algorithm }
    }
}

pub(super) async fn plan(State(engine): State<Api>, access: Access<KeysRead>) -> Result<Response, Problem> {
    let keys = engine.keys_of(access.tenant_id).ok_or_else(Problem::unavailable)?;
    let plan = keys.ring.plan(&keys.policy, &engine.situation().await?, PLAN_ENTRIES);
    Ok(axum::Json(Plan { data: plan.into_iter().map(PlannedStep::of).collect() }).into_response())
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rehearse {
    /// Whether each receiver is also sent a delivery whose signatures are wrong.
    #[serde(default)]
    wrong_signature: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rehearsed)]
pub(super) struct Performed {
    /// The key that signs next.
    #[schema(value_type = shapes::KeyId)]
    kid: String,
    /// How many of these webhooks did not acknowledge what it signed.
    could_not_verify: usize,
    /// How many acknowledged a delivery whose signatures were wrong: they verify nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = usize, required = false)]
    accepted_wrong_signature: Option<usize>,
    data: Vec<RehearsedView>,
    pagination: Pagination,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RehearsedWebhook)]
pub(super) struct RehearsedView {
    #[schema(value_type = shapes::WebhookId)]
    webhook_id: String,
    verified: bool,
    attempt: AttemptView,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    accepted_wrong_signature: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AttemptView, required = false)]
    wrong_signature_attempt: Option<AttemptView>,
}

impl RehearsedView {
    fn of(rehearsed: Rehearsed) -> Self {
        Self {
            webhook_id: rehearsed.webhook_id.to_string(),
            verified: rehearsed.is_verified(),
            accepted_wrong_signature: rehearsed.accepted_forgery(),
            attempt: AttemptView::of(rehearsed.attempt),
            wrong_signature_attempt: rehearsed.forgery.map(AttemptView::of),
        }
    }
}

pub(super) async fn rehearse(
    State(engine): State<Api>,
    access: Access<KeysRotate>,
    Params(params): Params<PageParams>,
    OptionalJson(body): OptionalJson<Rehearse>,
) -> Result<Response, Problem> {
    let page = params.page(&engine, List::Rehearsals(access.tenant_id))?;
    let wish = Rehearsal {
        before: page.after.map(WebhookId::from_bytes),
        limit: page.limit,
        with_forgeries: body.wrong_signature,
    };
    let actor = Actor::of(&access.caller);
    let Performance { kid, rehearsed, next } = engine.rehearse(actor, access.tenant_id, wish).await?;
    let refused = rehearsed.iter().filter(|rehearsed| !rehearsed.is_verified()).count();
    let accepted = rehearsed.iter().filter(|rehearsed| rehearsed.accepted_forgery() == Some(true)).count();
    let views = rehearsed.into_iter().map(RehearsedView::of).collect();
    let Page { data, pagination } = page.made_of(views, next.map(|id| *id.as_bytes()));
    let performed = Performed {
        kid: kid.to_string(),
        could_not_verify: refused,
        accepted_wrong_signature: body.wrong_signature.then_some(accepted),
        data,
        pagination,
    };
    Ok(axum::Json(performed).into_response())
}
