//! How deliveries and attempts are shown, wherever they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::openapi::shapes;
use crate::domain::delivery::{Attempt, Delivery, DeliveryState, FailureKind, Outcome};
use crate::domain::shown::escaped;

/// A delivery, without its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    #[schema(value_type = shapes::WebhookId)]
    webhook_id: String,
    #[schema(value_type = shapes::EventId)]
    event_id: String,
    #[schema(value_type = shapes::EventType)]
    event: String,
    #[schema(value_type = shapes::DeliveryStatus)]
    status: &'static str,
    attempts: u32,
    /// Absent while an attempt is under way, and once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    last_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u16, required = false)]
    last_status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Failure, required = false)]
    last_failure: Option<&'static str>,
}

impl DeliveryView {
    pub(super) fn of(delivery: Delivery) -> Self {
        let (next_attempt_at, ended_at) = match delivery.state {
            DeliveryState::Pending { due_at } | DeliveryState::Failed { due_at } => {
                (due_at.map(|at| at.to_string()), None)
            }
            DeliveryState::Ended { at, .. } => (None, Some(at.to_string())),
        };
        let (last_status_code, last_failure) = delivery.last_outcome.as_ref().map_or((None, None), told);
        Self {
            webhook_id: delivery.key.webhook_id.to_string(),
            event_id: delivery.key.event_id.to_string(),
            event: delivery.event_type.to_string(),
            status: delivery.state.as_str(),
            attempts: delivery.attempts,
            next_attempt_at,
            ended_at,
            last_attempt_at: delivery.last_attempt_at.map(|at| at.to_string()),
            last_status_code,
            last_failure,
        }
    }
}

/// One attempt: what was answered, or why nothing was.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(super) struct AttemptView {
    number: u32,
    #[schema(value_type = shapes::Timestamp)]
    at: String,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u16, required = false)]
    status_code: Option<u16>,
    /// Why there was no answer, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Failure, required = false)]
    failure: Option<&'static str>,
    /// The same in words, with what it was in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    failure_detail: Option<String>,
    response_excerpt: String,
    /// Why the receiver did not take it, where it says so as RFC 8935 2.3 has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = RefusalView, required = false)]
    refusal: Option<RefusalView>,
    #[schema(value_type = Option<shapes::KeyId>)]
    kid: Option<String>,
}

/// An error code, and words for people.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Refusal)]
pub(super) struct RefusalView {
    err: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl RefusalView {
    /// From an answer that fits into the excerpt.
    fn of(attempt: &Attempt) -> Option<Self> {
        let is_refusal = matches!(attempt.outcome, Outcome::Answered { status_code: 400, .. });
        // A list would be read as if it had members in order.
        let is_object = attempt.excerpt.trim_start().starts_with('{');
        let said: Option<Self> =
            if is_refusal && is_object { serde_json::from_str(&attempt.excerpt).ok() } else { None };
        // The excerpt is escaped, and reading it as JSON takes its escapes back.
        let shown = |text: &str| escaped(text, usize::MAX);
        said.map(|said| Self { err: shown(&said.err), description: said.description.as_deref().map(shown) })
    }
}

impl AttemptView {
    pub(super) fn of(attempt: Attempt) -> Self {
        let (status_code, failure) = told(&attempt.outcome);
        let refusal = RefusalView::of(&attempt);
        let (failure_detail, response_excerpt) = match attempt.outcome {
            Outcome::Answered { .. } => (None, attempt.excerpt),
            // No answer came: what is kept says why there was no key.
            Outcome::Failed(FailureKind::EncryptionKey) => (Some(attempt.excerpt), String::new()),
            Outcome::Failed(kind) => (Some(kind.sentence().to_owned()), attempt.excerpt),
        };
        Self {
            number: attempt.number,
            at: attempt.started_at.to_string(),
            duration_ms: (attempt.took_for.as_secs_f64() * 1e6).round() / 1e3,
            status_code,
            failure,
            failure_detail,
            refusal,
            response_excerpt,
            kid: attempt.kid,
        }
    }
}

fn told(outcome: &Outcome) -> (Option<u16>, Option<&'static str>) {
    match outcome {
        Outcome::Answered { status_code, .. } => (Some(*status_code), None),
        Outcome::Failed(kind) => (None, Some(kind.as_str())),
    }
}
