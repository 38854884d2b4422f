//! `/v1/webhooks/{id}/deliveries`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::patch::not_null;
use super::views::{AttemptView, DeliveryView};
use super::webhooks::{missing as missing_webhook, webhook_id};
use crate::api::Api;
use crate::api::body::{Faults, Json};
use crate::api::caller::{Access, DeliveriesReplay, WebhooksRead};
use crate::api::openapi::shapes;
use crate::api::page::{List, PageOf, PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::delivery::{Delivery, DeliveryKey, DeliveryState};
use crate::domain::event_type::Subscription;
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::engine::replay::{Span, Wanted};
use crate::store::deliveries::{self, Filter};
use crate::store::{Conn, webhooks};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryParams {
    limit: Option<String>,
    cursor: Option<String>,
    status: Option<String>,
    event: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl DeliveryParams {
    fn parse(self, engine: &Api, list: List) -> Result<(PageOf, Filter), Problem> {
        let page = PageParams { limit: self.limit, cursor: self.cursor }.page(engine, list)?;
        let mut faults = Faults::default();
        let mut instant = |name: &str, text: Option<String>| {
            let text = text?;
            faults.take(name, Timestamp::parse_rfc3339(&text)).map(EventId::first_at)
        };
        let (from, to) = (instant("from", self.from), instant("to", self.to));
        let wanted = self.event.and_then(|name| faults.take("event", name.parse::<Subscription>()));
        let event_type = wanted.and_then(|wanted| match wanted {
            Subscription::Everything => None,
            Subscription::Beneath(event_type) => Some(event_type),
        });
        let states = self.status.map(|words| states(&words, &mut faults)).unwrap_or_default();
        faults.none()?;
        let cursor = page.after.map(EventId::from_bytes);
        let before = [cursor, to].into_iter().flatten().min();
        Ok((page, Filter { before, from, states, event_type }))
    }
}

/// States in a row, as they are described.
pub(super) fn status_list() -> Schema {
    let one = DeliveryState::NAMES.join("|");
    Schema::from(shapes::text().pattern(Some(format!("^ *({one}) *(, *({one}) *)*$"))).build())
}

fn states(words: &str, faults: &mut Faults) -> Vec<&'static str> {
    let mut states = Vec::new();
    for word in words.split(',').map(str::trim) {
        let known = DeliveryState::NAMES.into_iter().find(|name| *name == word);
        let wanted = format!("{word:?} is none of: {}", DeliveryState::NAMES.join(", "));
        states.extend(faults.take("status", known.ok_or(wanted)));
    }
    states
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Path(id): Path<String>,
    Params(params): Params<DeliveryParams>,
) -> Result<Response, Problem> {
    let list = List::Deliveries(access.tenant_id, webhook_id(&id)?);
    let (page, filter) = params.parse(&engine, list)?;
    let mut reader = engine.store.read().await?;
    let id = existing(reader.conn(), access.tenant_id, &id).await?;
    let fetched = deliveries::list(reader.conn(), id, &filter, page.fetch()).await?;
    Ok(axum::Json(page.show(fetched, |delivery| *delivery.key.event_id.as_bytes(), DeliveryView::of)).into_response())
}

/// A delivery with every attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WholeDelivery {
    #[serde(flatten)]
    delivery: DeliveryView,
    log: Vec<AttemptView>,
}

pub(super) async fn show(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Path((id, event_id)): Path<(String, String)>,
) -> Result<axum::Json<WholeDelivery>, Problem> {
    let mut reader = engine.store.read().await?;
    let webhook_id = existing(reader.conn(), access.tenant_id, &id).await?;
    let key = DeliveryKey { webhook_id, event_id: event_id.parse().map_err(|_| missing())? };
    let delivery = one(reader.conn(), key).await?.ok_or_else(missing)?;
    let attempts = deliveries::attempts(reader.conn(), key).await?;
    let log = attempts.into_iter().map(AttemptView::of).collect();
    Ok(axum::Json(WholeDelivery { delivery: DeliveryView::of(delivery), log }))
}

pub(super) async fn retry(
    State(engine): State<Api>,
    access: Access<DeliveriesReplay>,
    Path((id, event_id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let webhook_id = webhook_id(&id)?;
    let key = DeliveryKey { webhook_id, event_id: event_id.parse().map_err(|_| missing())? };
    engine.retry_delivery(access.tenant_id, key).await?;
    let mut reader = engine.store.read().await?;
    let delivery = one(reader.conn(), key).await?.ok_or_else(missing)?;
    Ok((StatusCode::ACCEPTED, axum::Json(DeliveryView::of(delivery))).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    #[schema(value_type = shapes::Timestamp)]
    from: String,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    to: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::ReplayStatus, required = false)]
    status: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::EventId, required = false)]
    after: Option<String>,
}

/// What a replay has made due.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replayed)]
pub(super) struct ReplayedView {
    #[schema(value_type = shapes::WebhookId)]
    webhook_id: String,
    scheduled: u64,
    complete: bool,
    /// What to send as `after` to go on, when the span is not gone through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::EventId, required = false)]
    after: Option<String>,
}

impl Replay {
    fn parse(self) -> Result<(Wanted, Span), Problem> {
        let mut faults = Faults::default();
        let from = faults.take("/from", Timestamp::parse_rfc3339(&self.from));
        let to = self.to.and_then(|to| faults.take("/to", Timestamp::parse_rfc3339(&to)));
        if from.is_some() && to.is_some() && to < from {
            faults.add("/to", "is before `from`");
        }
        let wanted = match self.status.as_deref() {
            None | Some("failed") => Wanted::Failed,
            Some("all") => Wanted::All,
            Some(_) => {
                faults.add("/status", "is one of: failed, all");
                Wanted::Failed
            }
        };
        let after = self.after.and_then(|after| faults.take("/after", after.parse::<EventId>()));
        faults.none()?;
        Ok((wanted, Span { from: from.ok_or_else(Problem::internal)?, to, after }))
    }
}

pub(super) async fn replay(
    State(engine): State<Api>,
    access: Access<DeliveriesReplay>,
    Path(id): Path<String>,
    Json(body): Json<Replay>,
) -> Result<Response, Problem> {
    let id = webhook_id(&id)?;
    let (wanted, span) = body.parse()?;
    let replayed = engine.replay(access.tenant_id, id, wanted, span).await?;
    let view = ReplayedView {
        webhook_id: id.to_string(),
        scheduled: replayed.scheduled,
        complete: replayed.after.is_none(),
        after: replayed.after.map(|after| after.to_string()),
    };
    Ok((StatusCode::ACCEPTED, axum::Json(view)).into_response())
}

async fn existing(conn: &mut Conn, tenant_id: TenantId, id: &str) -> Result<WebhookId, Problem> {
    let found = webhooks::get(conn, tenant_id, webhook_id(id)?).await?;
    found.map(|webhook| webhook.id).ok_or_else(missing_webhook)
}

async fn one(conn: &mut Conn, key: DeliveryKey) -> Result<Option<Delivery>, Problem> {
    let filter =
        Filter { before: Some(key.event_id.next()), from: Some(key.event_id), states: Vec::new(), event_type: None };
    Ok(deliveries::list(conn, key.webhook_id, &filter, 1).await?.pop())
}

pub(super) fn missing() -> Problem {
    Problem::not_found("delivery")
}
