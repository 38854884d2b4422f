//! `/v1/hooks/{kind}` and `/v1/admin/hooks`: asking a tenant's hooks, what came of it, and the secret that signs it.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::payload;
use super::webhooks::overlap;
use crate::api::Api;
use crate::api::body::{Faults, OptionalJson, RawJson, Whole, is_object};
use crate::api::caller::{Access, Admin, HooksInvoke};
use crate::api::openapi::shapes;
use crate::api::page::{List, PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::hook::decision::Claim;
use crate::domain::hook::{Execution, HookFailure, HookKind, HookOutcome};
use crate::domain::id::ExecutionId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::engine::hooks::Answered;
use crate::store::hook_log::{self, Filter};

/// What counts as said.
#[derive(Serialize, ToSchema)]
#[schema(as = HookAnswer)]
pub(super) struct AnswerView {
    #[schema(value_type = shapes::ExecutionId)]
    id: String,
    /// Whether to go on.
    allow: bool,
    /// Why not, in the receiver's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    reason: Option<String>,
    /// What to add to the access token; numbers as the receiver wrote them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Claims, required = false)]
    claims: Option<Box<RawValue>>,
    /// Claims that were answered and are not the receiver's to set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    ignored_claims: Vec<String>,
    #[schema(value_type = shapes::HookOutcome)]
    outcome: &'static str,
    /// Why there is no answer that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::HookFailure, required = false)]
    failure: Option<&'static str>,
    duration_ms: f64,
}

impl AnswerView {
    fn of(answered: Answered) -> Self {
        let Answered { id, decision, took_for } = answered;
        Self {
            id: id.to_string(),
            allow: decision.allow,
            reason: decision.reason,
            claims: written(&decision.claims),
            ignored_claims: decision.ignored_claims,
            outcome: decision.outcome.as_str(),
            failure: decision.failure.map(HookFailure::as_str),
            duration_ms: millis(took_for),
        }
    }
}

/// To the microsecond.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

/// Claims as an object, their values untouched.
fn written(claims: &[Claim]) -> Option<Box<RawValue>> {
    if claims.is_empty() {
        return None;
    }
    let name = |claim: &Claim| serde_json::to_string(&claim.name).unwrap_or_default();
    let members: Vec<String> = claims.iter().map(|claim| format!("{}:{}", name(claim), claim.json)).collect();
    RawValue::from_string(format!("{{{}}}", members.join(","))).ok()
}

pub(super) async fn ask(
    State(engine): State<Api>,
    access: Access<HooksInvoke>,
    Path(kind): Path<String>,
    RawJson(body): RawJson,
) -> Result<axum::Json<AnswerView>, Problem> {
    let kind = HookKind::parse(&kind).ok_or_else(no_kind)?;
    let text = std::str::from_utf8(&body).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    payload::check(text).map_err(|error| {
        Problem::malformed(format!("the body is not JSON that every receiver reads alike: {error}"))
    })?;
    if !is_object(&body) {
        return Err(Problem::invalid_one("", "must be a JSON object: {…}"));
    }
    Ok(axum::Json(AnswerView::of(engine.ask_hook(access.tenant_id, kind, body).await?)))
}

/// No hook is called so.
pub(super) fn no_kind() -> Problem {
    Problem::not_found(&format!("kind of hook; there are {}", HookKind::ALL.map(HookKind::as_str).join(", ")))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogParams {
    limit: Option<String>,
    cursor: Option<String>,
    hook: Option<String>,
    outcome: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl LogParams {
    fn filter(self, cursor: Option<[u8; 16]>) -> Result<Filter, Problem> {
        let mut faults = Faults::default();
        let kinds = HookKind::ALL.map(HookKind::as_str).join(", ");
        let kind =
            self.hook.and_then(|name| faults.take("hook", HookKind::parse(&name).ok_or(format!("is one of: {kinds}"))));
        let outcomes = HookOutcome::LOGGED.map(HookOutcome::as_str).join(", ");
        let is_logged = |outcome: &HookOutcome| HookOutcome::LOGGED.contains(outcome);
        let outcome = self.outcome.and_then(|name| {
            let outcome = HookOutcome::parse(&name).filter(is_logged);
            faults.take("outcome", outcome.ok_or(format!("is one of: {outcomes}")))
        });
        let mut instant = |name: &str, text: Option<String>| {
            faults.take(name, Timestamp::parse_rfc3339(&text?)).map(ExecutionId::first_at)
        };
        let (from, to) = (instant("from", self.from), instant("to", self.to));
        faults.none()?;
        let before = [cursor.map(ExecutionId::from_bytes), to].into_iter().flatten().min();
        Ok(Filter { kind, outcome, before, from })
    }
}

/// A question that was put. Neither what was asked nor the claims that were answered are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HookExecution)]
pub(super) struct ExecutionView {
    #[schema(value_type = shapes::ExecutionId)]
    id: String,
    #[schema(value_type = shapes::HookKind)]
    hook: &'static str,
    #[schema(value_type = shapes::HookOutcome)]
    outcome: &'static str,
    allow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    reason: Option<String>,
    /// With which the receiver answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::HookFailure, required = false)]
    failure: Option<&'static str>,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    ignored_claims: Vec<String>,
    #[schema(value_type = shapes::Timestamp)]
    created_at: String,
}

impl ExecutionView {
    fn of(execution: Execution) -> Self {
        Self {
            id: execution.id.to_string(),
            hook: execution.kind.as_str(),
            outcome: execution.outcome.as_str(),
            allow: execution.allow,
            reason: execution.reason,
            status_code: execution.status_code,
            failure: execution.failure.map(HookFailure::as_str),
            duration_ms: millis(execution.took_for),
            ignored_claims: execution.ignored_claims,
            created_at: execution.at.to_string(),
        }
    }
}

pub(super) async fn log(
    State(engine): State<Api>,
    access: Access<Admin>,
    Params(params): Params<LogParams>,
) -> Result<Response, Problem> {
    let page = PageParams { limit: params.limit.clone(), cursor: params.cursor.clone() };
    let page = page.page(&engine, List::Executions(access.tenant_id))?;
    let filter = params.filter(page.after)?;
    let mut reader = engine.store.read().await?;
    let fetched = hook_log::list(reader.conn(), access.tenant_id, &filter, page.fetch()).await?;
    Ok(axum::Json(page.show(fetched, |execution| *execution.id.as_bytes(), ExecutionView::of)).into_response())
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateHookSecret {
    /// For how long the one before signs too.
    #[serde(default)]
    #[schema(value_type = Option<shapes::Overlap>)]
    overlap_seconds: Option<Whole<u64>>,
    #[serde(default)]
    #[schema(value_type = Option<shapes::Secret>)]
    secret: Option<String>,
}

/// Another signing secret, shown once.
#[derive(Serialize, ToSchema)]
#[schema(as = RotatedHookSecret)]
pub(super) struct RotatedView {
    #[schema(value_type = shapes::Secret)]
    signing_secret: String,
    /// Absent when there was none before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    previous_expires_at: Option<String>,
}

pub(super) async fn rotate_secret(
    State(engine): State<Api>,
    access: Access<Admin>,
    OptionalJson(body): OptionalJson<RotateHookSecret>,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let overlap = overlap(body.overlap_seconds, &mut faults);
    faults.none()?;
    let (actor, next) = (Actor::of(&access.caller), body.secret.map(Secret::new));
    let rotated = engine.rotate_hook_secret(actor, access.tenant_id, next, overlap).await?;
    let view = RotatedView {
        signing_secret: rotated.secret.reveal().clone(),
        previous_expires_at: rotated.previous_expires_at.map(|at| at.to_string()),
    };
    Ok(axum::Json(view).into_response())
}
