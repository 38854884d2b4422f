//! `/v1/admin/keys`: a tenant's key ring.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::body::OptionalJson;
use crate::api::caller::{Access, KeysRead, KeysRotate};
use crate::api::page::Path;
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::key_ring::{Key, KeyState, Kid, Step};
use crate::domain::time::Timestamp;
use crate::engine::rotate::Haste;

/// How many steps a plan shows.
const PLAN_ENTRIES: usize = 6;
const REASON_CHARS_MAX: usize = 200;

#[derive(Debug, Serialize)]
struct KeyView {
    kid: String,
    algorithm: &'static str,
    state: &'static str,
    published_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    activated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
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

#[derive(Debug, Serialize)]
struct Ring {
    jwks_uri: String,
    data: Vec<KeyView>,
}

pub(super) async fn list(State(engine): State<Api>, access: Access<KeysRead>) -> Result<Response, Problem> {
    let keys = engine.keys_of(access.tenant_id).ok_or_else(Problem::unavailable)?;
    let data = keys.ring.keys().iter().map(KeyView::of).collect();
    Ok(axum::Json(Ring { jwks_uri: format!("{}/.well-known/jwks.json", keys.issuer), data }).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    /// Also when some receivers cannot have heard of the standby.
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Rotated {
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Revoked {
    #[serde(rename = "revoked_kid")]
    kid: String,
    active_kid: Option<String>,
    /// How many webhooks are told by an event that the new key signs.
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
    let keys = engine.keys_of(access.tenant_id).ok_or_else(Problem::unavailable)?;
    let active_kid = keys.ring.active().map(|key| key.kid.to_string());
    Ok(axum::Json(Revoked { kid, active_kid, webhooks_told: revoked.told }).into_response())
}

#[derive(Debug, Serialize)]
struct Plan {
    data: Vec<PlannedStep>,
}

#[derive(Debug, Serialize)]
struct PlannedStep {
    at: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retires_kid: Option<String>,
}

impl PlannedStep {
    fn of((at, step): (Timestamp, Step)) -> Self {
        let (action, kid, retires_kid) = match step {
            Step::Open => ("open", None, None),
            Step::Publish { .. } => ("publish", None, None),
            Step::Promote { kid, demoted } => ("promote", Some(kid), demoted),
            Step::Withdraw { kid } => ("withdraw", Some(kid), None),
            Step::Archive { kid } => ("archive", Some(kid), None),
        };
        let text = |kid: Option<Kid>| kid.map(|kid| kid.to_string());
        Self { at: at.to_string(), action, kid: text(kid), retires_kid: text(retires_kid) }
    }
}

pub(super) async fn plan(State(engine): State<Api>, access: Access<KeysRead>) -> Result<Response, Problem> {
    let keys = engine.keys_of(access.tenant_id).ok_or_else(Problem::unavailable)?;
    let plan = keys.ring.plan(&keys.policy, &engine.situation().await?, PLAN_ENTRIES);
    Ok(axum::Json(Plan { data: plan.into_iter().map(PlannedStep::of).collect() }).into_response())
}
