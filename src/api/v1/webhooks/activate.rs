//! `/v1/webhooks/{id}/activate`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{missing, webhook_id};
use crate::api::Api;
use crate::api::caller::{Access, WebhooksWrite};
use crate::api::openapi::shapes;
use crate::api::page::Path;
use crate::api::problem::Problem;
use crate::domain::audit::Actor;

/// What came of asking a receiver whether it wants deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Activated)]
pub(in crate::api::v1) struct ActivatedView {
    #[schema(value_type = shapes::WebhookId)]
    webhook_id: String,
    activated: bool,
    #[schema(value_type = shapes::WebhookStatus)]
    status: &'static str,
    #[schema(value_type = shapes::ActivationMethod)]
    method: &'static str,
    /// Why it was not activated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    reason: Option<String>,
}

pub(in crate::api::v1) async fn activate(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = webhook_id(&id)?;
    let shown = engine.activate_webhook(Actor::of(&access.caller), access.tenant_id, id).await?.ok_or_else(missing)?;
    let view = ActivatedView {
        webhook_id: id.to_string(),
        activated: shown.refusal.is_none(),
        status: shown.state.as_str(),
        method: shown.method.as_str(),
        reason: shown.refusal.map(|refusal| refusal.to_string()),
    };
    Ok(axum::Json(view).into_response())
}
