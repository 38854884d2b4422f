//! `/v1/admin/audit-log`: who did what, as it was written down. Whether that can be believed is found out by
//! `signet keys audit`, with a database and not with an answer in hand.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::caller::{Access, Admin};
use crate::api::openapi::shapes;
use crate::api::page::{List, PageParams, Params};
use crate::api::problem::Problem;
use crate::domain::audit::{Entry, Head, INSTALLATION};
use crate::store::audit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogParams {
    limit: Option<String>,
    cursor: Option<String>,
    /// `tenant`, or `installation` for what concerns none.
    log: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryView {
    number: u32,
    #[schema(value_type = shapes::Timestamp)]
    at: String,
    /// `signet`, `command-line`, `configuration`, `admin-key`, or the id of an API key.
    actor: String,
    action: String,
    /// What it was done to; absent when that is the tenant or the installation itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    subject: Option<String>,
    /// Byte for byte what the hash covers; as a text where somebody has put something else there.
    #[schema(value_type = shapes::Json)]
    detail: Detail,
    /// The head of the log up to here, as `signet keys audit --expect` takes it.
    head: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Detail {
    Json(Box<RawValue>),
    Text(String),
}

impl EntryView {
    fn of(entry: Entry) -> Self {
        let Entry { number, at, actor, action, subject, detail, hash } = entry;
        Self {
            number,
            at: at.to_string(),
            actor,
            action,
            subject: Some(subject).filter(|subject| !subject.is_empty()),
            detail: serde_json::from_str(&detail).map_or(Detail::Text(detail), Detail::Json),
            head: Head { number, hash }.to_string(),
        }
    }
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<Admin>,
    Params(params): Params<LogParams>,
) -> Result<Response, Problem> {
    let tenant_id = match params.log.as_deref() {
        None | Some("tenant") => access.tenant_id,
        Some("installation") => access.instance_wide().map(|_| INSTALLATION)?,
        Some(_) => return Err(Problem::invalid_one("log", "is tenant or installation")),
    };
    let page = PageParams { limit: params.limit, cursor: params.cursor }.page(&engine, List::AuditLog(tenant_id))?;
    let before = page.after.map(|position| u32::try_from(u128::from_be_bytes(position)).unwrap_or_default());
    let mut reader = engine.store.read().await?;
    let fetched = audit::latest(reader.conn(), tenant_id, before, page.fetch()).await?;
    let position = |entry: &Entry| u128::from(entry.number).to_be_bytes();
    Ok(axum::Json(page.show(fetched, position, EntryView::of)).into_response())
}
