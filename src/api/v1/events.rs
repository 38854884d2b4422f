//! `/v1/events`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, Ref, Schema};
use utoipa::{PartialSchema as _, ToSchema};

use super::judged::{as_told_before, judged, objections};
use super::payload;
use super::views::DeliveryView;
use crate::api::Api;
use crate::api::body::{self, EventJson, Faults, words};
use crate::api::caller::{Access, EventsWrite, WebhooksRead};
use crate::api::idempotency;
use crate::api::openapi::shapes;
use crate::api::page::{List, PageParams, Params, Path};
use crate::api::problem::{Entry, Problem};
use crate::domain::event::{Event, NewEvent, PAYLOAD_BYTES_MAX, Receipt};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId};
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::engine::ingest::{Accepted, Idempotency, Publication, Reservation};
use crate::store::{deliveries, events};

/// The most events in one batch.
const BATCH_MAX: usize = 1_000;
/// The most deliveries that are shown with one event; the webhooks' own logs have them all.
const DELIVERIES_SHOWN_MAX: u32 = 1_000;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishEvent {
    #[schema(value_type = shapes::PublishedEventType)]
    r#type: String,
    #[schema(value_type = shapes::Json)]
    data: Box<RawValue>,
    #[schema(value_type = Option<shapes::Timestamp>)]
    occurred_at: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishBatch {
    #[schema(schema_with = batch)]
    events: Vec<Box<RawValue>>,
}

/// A batch as it is described: one that is no event is refused on its own.
fn batch() -> Schema {
    let one = AnyOfBuilder::new().item(Ref::from_schema_name("PublishEvent")).item(shapes::Json::schema());
    ArrayBuilder::new().items(one).min_items(Some(1)).max_items(Some(BATCH_MAX)).into()
}

/// An accepted event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(super) struct ReceiptView {
    #[schema(value_type = shapes::EventId)]
    id: String,
    #[schema(value_type = shapes::EventType)]
    r#type: String,
    deliveries: u32,
}

impl ReceiptView {
    fn of(receipt: Receipt) -> Self {
        let Receipt { event_id, event_type, deliveries } = receipt;
        Self { id: event_id.to_string(), r#type: event_type.to_string(), deliveries }
    }
}

pub(super) async fn publish(
    State(engine): State<Api>,
    access: Access<EventsWrite>,
    headers: HeaderMap,
    EventJson { bytes, reservation }: EventJson,
) -> Result<Response, Problem> {
    let event = event(&bytes)?;
    let idempotency = named(&headers, "event", &bytes)?;
    let objections = objections(&engine, access.tenant_id, &[&event], idempotency.as_ref()).await?;
    if let Some(objection) = objections.into_iter().flatten().next() {
        return Err(objection);
    }
    let publication = Publication { tenant_id: access.tenant_id, events: vec![event], idempotency };
    let (mut receipts, replayed) = accept(&engine, publication, reservation).await?;
    let receipt = receipts.pop().map(ReceiptView::of).ok_or_else(Problem::internal)?;
    Ok(idempotency::marked(replayed, (StatusCode::ACCEPTED, axum::Json(receipt)).into_response()))
}

/// What became of one event of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchEntry {
    Accepted(ReceiptView),
    Refused(Entry),
}

/// Every event is judged on its own; those that are acceptable become durable together. 202 when all are, 207 when some
/// are not.
pub(super) async fn publish_batch(
    State(engine): State<Api>,
    access: Access<EventsWrite>,
    headers: HeaderMap,
    EventJson { bytes, reservation }: EventJson,
) -> Result<Response, Problem> {
    let batch: PublishBatch = body::parse(&bytes)?;
    if batch.events.is_empty() || batch.events.len() > BATCH_MAX {
        return Err(Problem::invalid_one("/events", format!("has 1 to {BATCH_MAX} events")));
    }
    let idempotency = named(&headers, "batch", &bytes)?;
    let read: Vec<Result<NewEvent, Problem>> = batch.events.iter().map(|raw| event(raw.get().as_bytes())).collect();
    let (events, refused) = judged(&engine, access.tenant_id, &read, idempotency.as_ref()).await?;
    let (receipts, replayed) = if events.is_empty() {
        (Vec::new(), false)
    } else {
        let publication = Publication { tenant_id: access.tenant_id, events, idempotency };
        accept(&engine, publication, reservation).await?
    };
    let told = if replayed { as_told_before(&engine, read, receipts).await? } else { told(refused, receipts) };
    let is_refused = told.iter().any(Result::is_err);
    let status = if is_refused { StatusCode::MULTI_STATUS } else { StatusCode::ACCEPTED };
    let entries = told.into_iter().map(|told| match told {
        Ok(receipt) => BatchEntry::Accepted(ReceiptView::of(receipt)),
        Err(problem) => BatchEntry::Refused(problem.as_entry()),
    });
    let entries = entries.collect();
    Ok(idempotency::marked(replayed, (status, axum::Json(BatchView { data: entries })).into_response()))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchReceipt)]
pub(super) struct BatchView {
    data: Vec<BatchEntry>,
}

/// What became of each event of a batch that is new.
fn told(refused: Vec<Option<Problem>>, receipts: Vec<Receipt>) -> Vec<Result<Receipt, Problem>> {
    let mut receipts = receipts.into_iter();
    let told = refused.into_iter().map(|refused| match refused {
        Some(problem) => Err(problem),
        None => receipts.next().ok_or_else(Problem::internal),
    });
    told.collect()
}

async fn accept(
    engine: &Engine,
    publication: Publication,
    reservation: Reservation,
) -> Result<(Vec<Receipt>, bool), Problem> {
    Ok(match engine.publish(publication, reservation).await? {
        Accepted::Fresh(receipts) => (receipts, false),
        Accepted::Replayed(receipts) => (receipts, true),
    })
}

/// Reads one event. The quick parser does the work; the one that can name a member runs when something is wrong.
fn event(bytes: &[u8]) -> Result<NewEvent, Problem> {
    let body: PublishEvent = match serde_json::from_slice(bytes) {
        Ok(body) if body::is_object(bytes) => body,
        _ => body::parse(bytes)?,
    };
    if body.data.get().len() > PAYLOAD_BYTES_MAX {
        let size = body.data.get().len();
        return Err(Problem::too_large(format!("/data has {size} bytes; an event may have {PAYLOAD_BYTES_MAX}")));
    }
    let mut faults = Faults::default();
    let event_type = faults.take("/type", body.r#type.parse::<EventType>());
    if event_type.as_ref().is_some_and(EventType::is_reserved) {
        faults.add("/type", "begins with signet, which is kept for what Signet itself has to tell");
    }
    let occurred_at = body.occurred_at.and_then(|at| faults.take("/occurred_at", Timestamp::parse_rfc3339(&at)));
    faults.take("/data", payload::check(body.data.get()).map_err(|error| words(&error)));
    faults.none()?;
    let event_type = event_type.ok_or_else(Problem::internal)?;
    let payload = Bytes::from(String::from(Box::<str>::from(body.data)).into_bytes());
    Ok(NewEvent { event_type, payload, occurred_at })
}

/// The caller's name for the request, of which each route has its own.
fn named(headers: &HeaderMap, route: &str, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    Ok(idempotency::key(headers)?.map(|key| Idempotency::new(format!("{route} {key}"), body)))
}

/// An event as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventItself)]
struct EventView {
    #[schema(value_type = shapes::EventId)]
    id: String,
    #[schema(value_type = shapes::EventType)]
    r#type: String,
    #[schema(value_type = shapes::Json)]
    data: Box<RawValue>,
    #[schema(value_type = shapes::Timestamp)]
    occurred_at: String,
    #[schema(value_type = shapes::Timestamp)]
    created_at: String,
}

/// An event on a page.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListedEvent {
    #[serde(flatten)]
    event: EventView,
    /// How many.
    deliveries: u32,
}

/// One event, with its deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct WholeEvent {
    #[serde(flatten)]
    event: EventView,
    deliveries: Vec<DeliveryView>,
}

impl EventView {
    fn of(event: &Event) -> Result<Self, Problem> {
        let data = serde_json::from_slice(&event.payload).map_err(|_| Problem::internal())?;
        Ok(Self {
            id: event.id.to_string(),
            r#type: event.event_type.to_string(),
            data,
            occurred_at: event.occurred_at.to_string(),
            created_at: event.accepted_at.to_string(),
        })
    }
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    let page = params.page(&engine, List::Events(access.tenant_id))?;
    let mut reader = engine.store.read().await?;
    let before = page.after.map(EventId::from_bytes);
    let fetched = events::list(reader.conn(), access.tenant_id, before, page.fetch()).await?;
    let view = |event: &Event| -> Result<ListedEvent, Problem> {
        Ok(ListedEvent { event: EventView::of(event)?, deliveries: event.deliveries })
    };
    let views: Result<Vec<(EventId, ListedEvent)>, Problem> =
        fetched.iter().map(|event| Ok((event.id, view(event)?))).collect();
    Ok(axum::Json(page.show(views?, |(id, _)| *id.as_bytes(), |(_, view)| view)).into_response())
}

pub(super) async fn show(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Path(id): Path<String>,
) -> Result<axum::Json<WholeEvent>, Problem> {
    let missing = || Problem::not_found("event");
    let id: EventId = id.parse().map_err(|_| missing())?;
    let tenant_id: TenantId = access.tenant_id;
    let mut reader = engine.store.read().await?;
    let event = events::get(reader.conn(), tenant_id, id).await?.ok_or_else(missing)?;
    let found = deliveries::of_event(reader.conn(), tenant_id, id, DELIVERIES_SHOWN_MAX).await?;
    let deliveries = found.into_iter().map(DeliveryView::of).collect();
    Ok(axum::Json(WholeEvent { event: EventView::of(&event)?, deliveries }))
}
