//! `/v1/webhooks/{id}/poll`: where receivers collect. For Security Event Tokens it is what RFC 8936 says; for the other formats the same
//! request is answered with what would have been sent.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::webhooks::{missing, webhook_id};
use crate::api::Api;
use crate::api::body::{Faults, Object, OptionalJson, Whole};
use crate::api::caller::Collecting;
use crate::api::openapi::shapes;
use crate::api::page::Path;
use crate::api::problem::Problem;
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::Format;
use crate::engine::mailbox::{Collected, Handed, LEASE_MAX, LIMIT_MAX, LIMIT_STANDARD, Poll, Refused};

/// How many deliveries one request acknowledges or refuses.
pub(super) const WORDS_MAX: usize = 1_000;

/// What is wanted, and what became of what was collected before (RFC 8936 2.2). What is not known here is left out of account for Security
/// Event Tokens, and refused for the other formats.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = Poll)]
pub(super) struct PollWish {
    /// How many deliveries at most, of which no more than 100 come at a time; 50 by default, and 0 for none: it is then answered at once.
    #[serde(rename = "maxEvents")]
    #[schema(value_type = Option<u32>)]
    max_events: Option<Whole<u64>>,
    /// Whether it is answered at once although there is nothing; by default, half a minute is waited for something.
    #[serde(rename = "returnImmediately")]
    return_immediately: Option<bool>,
    /// The ids of deliveries that were taken in, and are never handed over again.
    #[schema(schema_with = acknowledgements)]
    ack: Option<Vec<String>>,
    /// Deliveries that will not be taken, by their ids, and why.
    #[serde(rename = "setErrs")]
    #[schema(value_type = Option<BTreeMap<String, SetError>>)]
    set_errs: Option<BTreeMap<String, Object<SetError>>>,
    /// For how many seconds nobody else is given what this request is: 60 by default, and 0 for Security Event Tokens.
    #[schema(value_type = Option<shapes::PollLease>)]
    lease_seconds: Option<Whole<u64>>,
    #[serde(flatten)]
    #[schema(ignore)]
    others: BTreeMap<String, Value>,
}

/// Why a delivery is not taken (RFC 8936 2.6).
#[derive(Deserialize, ToSchema)]
pub(super) struct SetError {
    err: String,
    description: Option<String>,
}

fn acknowledgements() -> Schema {
    shapes::list_of::<shapes::EventId>(0, WORDS_MAX)
}

impl PollWish {
    fn parse(self, format: Format) -> Result<Poll, Problem> {
        let mut faults = Faults::default();
        let (ack, set_errs) = (self.ack.unwrap_or_default(), self.set_errs.unwrap_or_default());
        for (pointer, count) in [("/ack", ack.len()), ("/setErrs", set_errs.len())] {
            if count > WORDS_MAX {
                faults.add(pointer, format!("names more than {WORDS_MAX} deliveries; say the rest in another request"));
            }
        }
        let lease = self.lease_seconds.map(|Whole(seconds)| std::time::Duration::from_secs(seconds));
        if lease.is_some_and(|lease| lease > LEASE_MAX) {
            faults.add("/lease_seconds", format!("is a number of seconds from 0 to {}", LEASE_MAX.as_secs()));
        }
        if format != Format::Set {
            let known = "maxEvents, returnImmediately, ack, setErrs, lease_seconds";
            for name in self.others.keys() {
                let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                faults.add(pointer, format!("is no member of a poll; those are: {known}"));
            }
        }
        faults.none()?;
        let wanted = self.max_events.map_or(LIMIT_STANDARD.into(), |Whole(wanted)| wanted);
        // What was never an id of ours was never handed over either.
        let acknowledged = ack.iter().filter_map(|id| id.parse::<EventId>().ok());
        let refused = set_errs.into_iter().filter_map(|(id, Object(SetError { err, description }))| {
            Some(Refused { event_id: id.parse().ok()?, err, description })
        });
        Ok(Poll {
            acknowledged: acknowledged.collect(),
            refused: refused.collect(),
            limit: u32::try_from(wanted).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
            lease,
            waits: !self.return_immediately.unwrap_or(false),
        })
    }
}

/// What there is for a receiver.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = PollAnswer)]
pub(super) enum CollectedView {
    Sets(SetsView),
    Deliveries(DeliveriesView),
}

/// Security Event Tokens by their `jti` (RFC 8936 2.3).
#[derive(Serialize, ToSchema)]
#[schema(as = PolledSets)]
pub(super) struct SetsView {
    sets: BTreeMap<String, String>,
    /// Whether there is more at this moment.
    #[serde(rename = "moreAvailable", skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    more_available: bool,
}

/// Deliveries of the other formats, the oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = PolledDeliveries)]
pub(super) struct DeliveriesView {
    deliveries: Vec<HandedView>,
    #[serde(rename = "moreAvailable", skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    more_available: bool,
}

/// What would have been sent: a receiver verifies it with the same library.
#[derive(Serialize, ToSchema)]
#[schema(as = PolledDelivery)]
pub(super) struct HandedView {
    #[schema(value_type = shapes::EventId)]
    id: String,
    /// How often it was handed over, this time included.
    attempt: u32,
    /// Until when nobody else is given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    lease_until: Option<String>,
    headers: BTreeMap<String, String>,
    content_type: &'static str,
    /// Byte for byte what is signed, in UTF-8.
    body: String,
}

impl CollectedView {
    fn of(Collected { format, deliveries, has_more: more_available }: Collected) -> Self {
        if format == Format::Set {
            let sets = deliveries.into_iter().map(|handed| (handed.event_id.to_string(), handed.body));
            return Self::Sets(SetsView { sets: sets.collect(), more_available });
        }
        let deliveries = deliveries.into_iter().map(HandedView::of).collect();
        Self::Deliveries(DeliveriesView { deliveries, more_available })
    }
}

impl HandedView {
    fn of(handed: Handed) -> Self {
        Self {
            id: handed.event_id.to_string(),
            attempt: handed.attempt,
            lease_until: handed.leased_until.map(|at: Timestamp| at.to_string()),
            headers: handed.headers.into_iter().collect(),
            content_type: handed.content_type,
            body: handed.body,
        }
    }
}

pub(super) async fn poll(
    State(engine): State<Api>,
    Collecting(collector): Collecting,
    Path(id): Path<String>,
    OptionalJson(body): OptionalJson<PollWish>,
) -> Result<Response, Problem> {
    if webhook_id(&id)? != collector.webhook_id {
        return Err(missing());
    }
    let collected = engine.poll(&collector, &body.parse(collector.format)?).await?;
    let mut response = axum::Json(CollectedView::of(collected)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
