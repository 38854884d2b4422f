//! `/v1/webhooks/{id}/pull-key/rotate`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{members, missing, webhook_id};
use crate::api::Api;
use crate::api::body::{Faults, OptionalJson, Whole};
use crate::api::caller::{Access, WebhooksWrite};
use crate::api::openapi::shapes;
use crate::api::page::Path;
use crate::api::problem::Problem;
use crate::domain::audit::Actor;

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct RotatePullKey {
    /// For how long those before are taken too.
    #[serde(default)]
    #[schema(value_type = Option<shapes::Overlap>)]
    overlap_seconds: Option<Whole<u64>>,
}

/// Another pull key, shown once.
#[derive(Serialize, ToSchema)]
#[schema(as = RotatedPullKey)]
pub(in crate::api::v1) struct RotatedPullKeyView {
    #[schema(value_type = shapes::WebhookId)]
    webhook_id: String,
    #[schema(value_type = shapes::PullKey)]
    pull_key: String,
    #[schema(value_type = shapes::Timestamp)]
    previous_expires_at: String,
}

pub(in crate::api::v1) async fn rotate(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(id): Path<String>,
    OptionalJson(body): OptionalJson<RotatePullKey>,
) -> Result<Response, Problem> {
    let id = webhook_id(&id)?;
    let mut faults = Faults::default();
    let overlap = members::overlap(body.overlap_seconds, &mut faults);
    faults.none()?;
    let rotated = engine.rotate_pull_key(Actor::of(&access.caller), (access.tenant_id, id), overlap).await?;
    let rotated = rotated.ok_or_else(missing)?;
    let view = RotatedPullKeyView {
        webhook_id: id.to_string(),
        pull_key: rotated.key.reveal().to_owned(),
        previous_expires_at: rotated.previous_expires_at.to_string(),
    };
    Ok(axum::Json(view).into_response())
}
