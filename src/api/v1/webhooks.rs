//! `/v1/webhooks`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::patch::{Patched, not_null};
use super::views::AttemptView;
use crate::api::Api;
use crate::api::body::{Faults, Json};
use crate::api::caller::{Access, WebhooksRead, WebhooksWrite};
use crate::api::page::{PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::event_type::{EventType, Subscription};
use crate::domain::id::WebhookId;
use crate::domain::webhook::{
    AUDIENCE_BYTES_MAX, DESCRIPTION_CHARS_MAX, Format, SUBSCRIPTIONS_MAX, Webhook, WebhookState, WebhookUrl,
};
use crate::engine::Engine;
use crate::engine::webhooks::{AudienceChoice, Change, NewWebhook, Probe};
use crate::store::webhooks;

/// A webhook as it is shown. Its signing secret is shown once, when it is made.
#[derive(Serialize)]
pub(super) struct WebhookView {
    id: String,
    url: String,
    events: Vec<String>,
    description: String,
    format: &'static str,
    audience: String,
    enabled: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivery_at: Option<String>,
    created_at: String,
    updated_at: String,
}

impl WebhookView {
    fn of(webhook: Webhook) -> Self {
        let (disabled_at, disabled_reason) = match webhook.state {
            WebhookState::Enabled => (None, None),
            WebhookState::Disabled { at, reason } => (Some(at.to_string()), Some(reason.as_str())),
        };
        Self {
            id: webhook.id.to_string(),
            url: webhook.url.as_str().to_owned(),
            events: webhook.subscriptions.iter().map(|subscription| subscription.as_str().to_owned()).collect(),
            audience: webhook.effective_audience(),
            enabled: webhook.state.is_enabled(),
            status: if webhook.state.is_enabled() { "active" } else { "disabled" },
            format: webhook.format.as_str(),
            description: webhook.description,
            disabled_reason,
            disabled_at,
            signing_secret: None,
            last_delivery_at: webhook.last_delivery_at.map(|at| at.to_string()),
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWebhook {
    url: String,
    events: Vec<String>,
    description: Option<String>,
    format: Option<String>,
    audience: Option<String>,
    enabled: Option<bool>,
}

pub(super) async fn create(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Json(body): Json<CreateWebhook>,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let url = faults.take("/url", WebhookUrl::parse(&body.url, engine.terms.plain_http));
    let subscriptions = subscriptions(&body.events, &mut faults);
    let description = body.description.and_then(|text| description(text, &mut faults)).unwrap_or_default();
    let format = body.format.map_or(Some(Format::Token), |text| format(&text, &mut faults));
    let audience = body.audience.and_then(|text| audience(text, &mut faults));
    faults.none()?;
    let (Some(url), Some(format)) = (url, format) else { return Err(Problem::internal()) };
    let is_enabled = body.enabled.unwrap_or(true);
    let wish =
        NewWebhook { tenant_id: access.tenant_id, url, subscriptions, description, format, audience, is_enabled };
    let (webhook, secret) = engine.register_webhook(wish).await?;
    let view = WebhookView { signing_secret: Some(secret), ..WebhookView::of(webhook) };
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    let page = params.page()?;
    let mut reader = engine.store.read().await?;
    let before = page.after.map(WebhookId::from_bytes);
    let fetched = webhooks::list(reader.conn(), access.tenant_id, before, page.fetch()).await?;
    Ok(axum::Json(page.show(fetched, |webhook| *webhook.id.as_bytes(), WebhookView::of)).into_response())
}

pub(super) async fn show(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Path(id): Path<String>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let mut reader = engine.store.read().await?;
    let webhook = webhooks::get(reader.conn(), access.tenant_id, webhook_id(&id)?).await?;
    webhook.map(|webhook| axum::Json(WebhookView::of(webhook))).ok_or_else(missing)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeWebhook {
    #[serde(default, deserialize_with = "not_null")]
    url: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    events: Option<Vec<String>>,
    #[serde(default, deserialize_with = "not_null")]
    description: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    format: Option<String>,
    #[serde(default)]
    audience: Patched<String>,
    #[serde(default, deserialize_with = "not_null")]
    enabled: Option<bool>,
}

pub(super) async fn change(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(id): Path<String>,
    Json(body): Json<ChangeWebhook>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let id = webhook_id(&id)?;
    let change = body.change(&engine)?;
    let changed = engine.change_webhook(access.tenant_id, id, &change).await?;
    changed.map(|webhook| axum::Json(WebhookView::of(webhook))).ok_or_else(missing)
}

impl ChangeWebhook {
    fn change(self, engine: &Engine) -> Result<Change, Problem> {
        let mut faults = Faults::default();
        let plain_http = engine.terms.plain_http;
        let change = Change {
            url: self.url.and_then(|text| faults.take("/url", WebhookUrl::parse(&text, plain_http))),
            subscriptions: self.events.map(|names| subscriptions(&names, &mut faults)),
            description: self.description.and_then(|text| description(text, &mut faults)),
            format: self.format.and_then(|text| format(&text, &mut faults)),
            audience: match self.audience {
                Patched::Absent => None,
                Patched::Null => Some(AudienceChoice::Url),
                Patched::Value(text) => audience(text, &mut faults).map(AudienceChoice::Text),
            },
            is_enabled: self.enabled,
        };
        faults.none()?;
        Ok(change)
    }
}

pub(super) async fn remove(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match engine.delete_webhook(access.tenant_id, webhook_id(&id)?).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestWebhook {
    event: String,
}

/// What came of a test delivery.
#[derive(Debug, Serialize)]
struct Tested {
    webhook_id: String,
    event_id: String,
    event: String,
    delivered: bool,
    attempt: AttemptView,
}

pub(super) async fn test(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(id): Path<String>,
    Json(body): Json<TestWebhook>,
) -> Result<Response, Problem> {
    let id = webhook_id(&id)?;
    let event_type = body.event.parse::<EventType>().map_err(|error| Problem::invalid_one("/event", error))?;
    let probe = engine.probe_webhook(access.tenant_id, id, event_type).await?;
    let Probe { event_id, attempt } = probe.ok_or_else(missing)?;
    let tested = Tested {
        webhook_id: id.to_string(),
        event_id: event_id.to_string(),
        event: body.event,
        delivered: attempt.outcome.is_acknowledged(),
        attempt: AttemptView::of(attempt),
    };
    Ok(axum::Json(tested).into_response())
}

/// What is not an id cannot be the id of one of theirs either.
pub(super) fn webhook_id(text: &str) -> Result<WebhookId, Problem> {
    text.parse().map_err(|_| missing())
}

pub(super) fn missing() -> Problem {
    Problem::not_found("webhook")
}

fn subscriptions(names: &[String], faults: &mut Faults) -> Vec<Subscription> {
    if names.is_empty() {
        faults.add("/events", "is empty; name at least one event type, or \"*\" for all");
    }
    if names.len() > SUBSCRIPTIONS_MAX {
        faults.add("/events", format!("has more than {SUBSCRIPTIONS_MAX} names; subscribe to a group or to \"*\""));
        return Vec::new();
    }
    let mut subscriptions = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let parsed = name.parse::<Subscription>();
        if let Some(subscription) = faults.take(format!("/events/{at}"), parsed)
            && !subscriptions.contains(&subscription)
        {
            subscriptions.push(subscription);
        }
    }
    subscriptions
}

fn description(text: String, faults: &mut Faults) -> Option<String> {
    let fits = text.chars().count() <= DESCRIPTION_CHARS_MAX && !text.contains('\0');
    let wanted = format!("is at most {DESCRIPTION_CHARS_MAX} characters, none of them U+0000");
    faults.take("/description", fits.then_some(text).ok_or(wanted))
}

fn format(text: &str, faults: &mut Faults) -> Option<Format> {
    let known: Vec<&str> = Format::ALL.into_iter().map(Format::as_str).collect();
    faults.take("/format", Format::parse(text).ok_or_else(|| format!("is one of: {}", known.join(", "))))
}

fn audience(text: String, faults: &mut Faults) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= AUDIENCE_BYTES_MAX && !text.chars().any(char::is_control);
    let wanted = format!("is 1 to {AUDIENCE_BYTES_MAX} bytes of text without control characters");
    faults.take("/audience", fits.then_some(text).ok_or(wanted))
}
