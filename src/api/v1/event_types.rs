//! `/v1/event-types`: the catalogue.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::payload;
use crate::api::Api;
use crate::api::body::{Faults, Json, words};
use crate::api::caller::{Access, WebhooksRead, WebhooksWrite};
use crate::api::openapi::shapes;
use crate::api::page::{List, PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::catalogue::{
    DESCRIPTION_CHARS_MAX, Described, Description, Preset, SAMPLE_BYTES_MAX, SCHEMA_BYTES_MAX,
};
use crate::domain::event_type::EventType;
use crate::engine::catalogue::{CatalogueError, Place, Put, Wish};
use crate::store::catalogue;

/// An event type as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypeEntry)]
pub(super) struct EventTypeView {
    #[schema(value_type = shapes::EventType)]
    name: String,
    description: String,
    group: bool,
    #[schema(value_type = shapes::JsonSchemaOrNull)]
    schema: Option<Box<RawValue>>,
    #[schema(value_type = shapes::Json)]
    sample: Option<Box<RawValue>>,
    /// The preset that it came with, unchanged.
    #[schema(value_type = Option<shapes::Preset>)]
    preset: Option<&'static str>,
    #[schema(value_type = shapes::Timestamp)]
    created_at: String,
    #[schema(value_type = shapes::Timestamp)]
    updated_at: String,
}

impl EventTypeView {
    fn of(described: Described) -> Self {
        let Described { name, description, created_at, updated_at, .. } = described;
        let json = |bytes: Option<Bytes>| bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            name: name.to_string(),
            description: description.text,
            group: description.is_group,
            schema: json(description.schema),
            sample: json(description.sample),
            preset: description.preset.map(Preset::as_str),
            created_at: created_at.to_string(),
            updated_at: updated_at.to_string(),
        }
    }
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    let page = params.page(&engine, List::EventTypes(access.tenant_id))?;
    let mut reader = engine.store.read().await?;
    let fetched = catalogue::list(reader.conn(), access.tenant_id, page.after, page.fetch()).await?;
    Ok(axum::Json(page.show(fetched, |described| described.id, EventTypeView::of)).into_response())
}

pub(super) async fn show(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let name: EventType = name.parse().map_err(|_| missing())?;
    let mut reader = engine.store.read().await?;
    let described = catalogue::get(reader.conn(), access.tenant_id, &name).await?.ok_or_else(missing)?;
    Ok(axum::Json(EventTypeView::of(described)).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutEventType {
    #[schema(value_type = Option<shapes::EventTypeDescription>)]
    description: Option<String>,
    group: Option<bool>,
    #[schema(value_type = shapes::JsonSchemaOrNull, required = false)]
    schema: Option<Box<RawValue>>,
    #[schema(value_type = shapes::Json, required = false)]
    sample: Option<Box<RawValue>>,
}

pub(super) async fn put(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(name): Path<String>,
    Json(body): Json<PutEventType>,
) -> Result<Response, Problem> {
    let wish = body.wish(&name)?;
    let mut described = engine.describe(Actor::of(&access.caller), access.tenant_id, vec![wish]).await?;
    let (put, described) = described.pop().ok_or_else(Problem::internal)?;
    let status = if put == Put::Made { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(EventTypeView::of(described))).into_response())
}

impl PutEventType {
    fn wish(self, name: &str) -> Result<Wish, Problem> {
        let mut faults = Faults::default();
        let name = faults.take("name", name.parse::<EventType>());
        if name.as_ref().is_some_and(EventType::is_reserved) {
            faults.add("name", "begins with signet, which is kept for what Signet itself has to tell");
        }
        let text = self.description.unwrap_or_default();
        if text.chars().count() > DESCRIPTION_CHARS_MAX || text.contains('\0') {
            faults.add("/description", format!("is at most {DESCRIPTION_CHARS_MAX} characters, none of them U+0000"));
        }
        let schema = self.schema.and_then(|schema| json(schema, "/schema", SCHEMA_BYTES_MAX, &mut faults));
        let sample = self.sample.and_then(|sample| json(sample, "/sample", SAMPLE_BYTES_MAX, &mut faults));
        faults.none()?;
        let is_group = self.group.unwrap_or_default();
        Ok(Wish {
            name: name.ok_or_else(Problem::internal)?,
            description: Description { text, is_group, schema, sample, preset: None },
            place: Place { schema: "/schema".to_owned(), sample: "/sample".to_owned(), ..Place::default() },
        })
    }
}

/// JSON that is kept as it came, and that everybody reads alike.
fn json(value: Box<RawValue>, pointer: &str, bytes_max: usize, faults: &mut Faults) -> Option<Bytes> {
    let size = value.get().len();
    if size > bytes_max {
        faults.add(pointer, format!("has {size} bytes, and may have {bytes_max}"));
        return None;
    }
    faults.take(pointer, payload::check(value.get()).map_err(|error| words(&error)))?;
    Some(Bytes::from(String::from(Box::<str>::from(value)).into_bytes()))
}

pub(super) async fn remove(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let name: EventType = name.parse().map_err(|_| missing())?;
    match engine.delete_event_type(Actor::of(&access.caller), access.tenant_id, &name).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing()),
    }
}

/// What an import has made of the catalogue.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Imported {
    #[schema(value_type = Vec<shapes::EventType>)]
    made: Vec<String>,
    #[schema(value_type = Vec<shapes::EventType>)]
    replaced: Vec<String>,
}

impl Imported {
    fn of(put: Vec<(Put, Described)>) -> Self {
        let mut imported = Self::default();
        for (put, described) in put {
            let names = if put == Put::Made { &mut imported.made } else { &mut imported.replaced };
            names.push(described.name.to_string());
        }
        imported
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    #[schema(value_type = shapes::OpenApiDocument)]
    openapi: Value,
}

pub(super) async fn import(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Json(body): Json<Import>,
) -> Result<Response, Problem> {
    let put =
        engine.import_openapi(Actor::of(&access.caller), access.tenant_id, body.openapi).await.map_err(|error| {
            match error {
                CatalogueError::Faulty(faults) => {
                    CatalogueError::Faulty(faults.into_iter().map(|fault| fault.beneath("/openapi")).collect())
                }
                other => other,
            }
        })?;
    Ok(axum::Json(Imported::of(put)).into_response())
}

pub(super) async fn load_preset(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let preset = Preset::parse(&name).ok_or_else(|| {
        let known = Preset::ALL.map(Preset::as_str).join(" and ");
        Problem::not_found(&format!("preset; there are {known}"))
    })?;
    let put = engine.load_preset(Actor::of(&access.caller), access.tenant_id, preset).await?;
    Ok(axum::Json(Imported::of(put)).into_response())
}

pub(super) fn missing() -> Problem {
    Problem::not_found("event type")
}
