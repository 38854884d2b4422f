//! `/v1/webhooks`.

mod activate;
mod members;
pub(super) mod pull_keys;
mod view;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::judged::refuse_unknown;
use super::patch::{Patched, not_null};
use super::views::AttemptView;
use crate::api::Api;
use crate::api::body::{Faults, Json, Object, OptionalJson, Pairs, Whole};
use crate::api::caller::{Access, WebhooksRead, WebhooksWrite};
use crate::api::openapi::shapes;
use crate::api::page::{List, PageParams, Params, Path};
use crate::api::problem::Problem;
use crate::domain::audit::Actor;
use crate::domain::event_type::EventType;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::token::TokenType;
use crate::domain::webhook::DeliveryMethod::{Pull, Push};
use crate::domain::webhook::{Format, Handling, PlainHttp, SUBSCRIPTIONS_MAX, Webhook, WebhookUrl};
use crate::engine::Engine;
use crate::engine::webhooks::{Change, NewWebhook, Probe};
use crate::store::webhooks;
use members::{ActivationWish, CertificateWish, EncryptionWish, Retry};

pub(super) use activate::{ActivatedView, activate};
pub(super) use members::overlap;
pub(super) use pull_keys::{RotatePullKey, RotatedPullKeyView};
pub(super) use view::WebhookView;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWebhook {
    /// How deliveries come to the receiver, once and for all: they are sent to `url`, or it collects them.
    #[schema(value_type = Option<shapes::DeliveryMethod>)]
    delivery: Option<String>,
    /// Needed where deliveries are sent.
    #[schema(value_type = Option<shapes::WebhookUrl>)]
    url: Option<String>,
    #[schema(schema_with = subscription_list)]
    events: Vec<String>,
    #[schema(value_type = Option<shapes::WebhookDescription>)]
    description: Option<String>,
    #[schema(value_type = Option<shapes::Format>)]
    format: Option<String>,
    #[schema(value_type = Option<shapes::TokenType>)]
    typ: Option<String>,
    #[schema(value_type = Option<shapes::Audience>)]
    audience: Option<String>,
    #[schema(value_type = Option<shapes::Headers>)]
    headers: Option<Pairs<String>>,
    #[schema(value_type = Option<shapes::Secret>)]
    secret: Option<String>,
    v1a: Option<bool>,
    #[schema(value_type = Option<shapes::EncryptionWish>)]
    encryption: Option<Object<EncryptionWish>>,
    #[schema(value_type = Option<Retry>)]
    retry: Option<Object<Retry>>,
    #[schema(value_type = Option<shapes::Timeout>)]
    timeout_seconds: Option<Whole<u64>>,
    #[schema(value_type = Option<shapes::DeliveryRate>)]
    rate_limit: Option<Whole<u32>>,
    #[schema(value_type = Option<ActivationWish>)]
    activation: Option<Object<ActivationWish>>,
    #[schema(value_type = Option<CertificateWish>)]
    client_certificate: Option<Object<CertificateWish>>,
    enabled: Option<bool>,
}

pub(super) async fn create(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Json(body): Json<CreateWebhook>,
) -> Result<Response, Problem> {
    let names = body.events.clone();
    let wish = body.wish(access.tenant_id, engine.terms.plain_http)?;
    refuse_unknown(&engine, access.tenant_id, &names).await?;
    let registered = engine.register_webhook(Actor::of(&access.caller), wish).await?;
    let view = WebhookView::of(registered.webhook).with(&registered.secret, registered.pull_key.as_ref());
    Ok((StatusCode::CREATED, axum::Json(view)).into_response())
}

impl CreateWebhook {
    fn wish(self, tenant_id: TenantId, plain_http: PlainHttp) -> Result<NewWebhook, Problem> {
        let mut faults = Faults::default();
        let method = self.delivery.as_deref().map_or(Some(Push), |text| members::method(text, &mut faults));
        let collects = method == Some(Pull);
        if collects {
            members::refuse_of_sending(&self.of_sending(), &mut faults);
        } else if self.url.is_none() {
            faults.add("/url", "is required, unless the receiver collects: \"delivery\": \"pull\"");
        }
        let url = self.url.and_then(|text| faults.take("/url", WebhookUrl::parse(&text, plain_http)));
        let subscriptions = members::subscriptions(&self.events, &mut faults);
        let description = self.description.and_then(|text| members::description(text, &mut faults));
        let format = self.format.map_or(Some(Format::Token), |text| members::format(&text, &mut faults));
        let token_type = self.typ.map_or(Some(TokenType::Jwt), |text| members::token_type(&text, &mut faults));
        let audience = self.audience.and_then(|text| members::audience(text, &mut faults));
        let headers = members::all_headers(self.headers.unwrap_or_default().0, &mut faults);
        let secret = self.secret.map(Secret::new);
        let encryption = self.encryption.and_then(|Object(it)| members::encryption(it, plain_http, &mut faults));
        let handling = Handling {
            retry_policy: self.retry.and_then(|Object(retry)| members::retry_policy(&retry, &mut faults)),
            timeout: self.timeout_seconds.and_then(|seconds| members::timeout(seconds, &mut faults)),
            rate: self.rate_limit.and_then(|count| members::rate(count, &mut faults)),
        };
        let activation = self.activation.and_then(|Object(wish)| members::activation(&wish, &mut faults));
        let client_certificate = self.client_certificate.map(|Object(wish)| wish.into());
        faults.none()?;
        let (Some(format), Some(token_type)) = (format, token_type) else {
            return Err(Problem::internal());
        };
        let (description, is_enabled) = (description.unwrap_or_default(), self.enabled.unwrap_or(true));
        Ok(NewWebhook {
            tenant_id,
            url,
            subscriptions,
            description,
            format,
            token_type,
            audience,
            headers,
            secret,
            has_key_pair: self.v1a.unwrap_or(false),
            encryption,
            handling,
            activation,
            client_certificate,
            is_enabled,
        })
    }

    /// What is said that only webhooks have that deliveries are sent to.
    fn of_sending(&self) -> [(&'static str, bool); 7] {
        [
            ("url", self.url.is_some()),
            ("headers", self.headers.as_ref().is_some_and(|headers| !headers.0.is_empty())),
            ("retry", self.retry.is_some()),
            ("timeout_seconds", self.timeout_seconds.is_some()),
            ("rate_limit", self.rate_limit.is_some()),
            ("activation", self.activation.is_some()),
            ("client_certificate", self.client_certificate.is_some()),
        ]
    }
}

pub(super) async fn list(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Params(params): Params<PageParams>,
) -> Result<Response, Problem> {
    let page = params.page(&engine, List::Webhooks(access.tenant_id))?;
    let mut reader = engine.store.read().await?;
    let before = page.after.map(WebhookId::from_bytes);
    let fetched = webhooks::list(reader.conn(), access.tenant_id, before, page.fetch()).await?;
    let public_url = &engine.terms.public_url;
    Ok(axum::Json(page.show(fetched, |webhook| *webhook.id.as_bytes(), |it| WebhookView::of(it.under(public_url))))
        .into_response())
}

pub(super) async fn show(
    State(engine): State<Api>,
    access: Access<WebhooksRead>,
    Path(id): Path<String>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let mut reader = engine.store.read().await?;
    let webhook = webhooks::get(reader.conn(), access.tenant_id, webhook_id(&id)?).await?;
    let view = |webhook: Webhook| WebhookView::of(webhook.under(&engine.terms.public_url));
    webhook.map(|webhook| axum::Json(view(webhook))).ok_or_else(missing)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeWebhook {
    /// What it is already: it never changes.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::DeliveryMethod, required = false)]
    delivery: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::WebhookUrl, required = false)]
    url: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(schema_with = subscription_list, required = false)]
    events: Option<Vec<String>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::WebhookDescription, required = false)]
    description: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::Format, required = false)]
    format: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::TokenType, required = false)]
    typ: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<shapes::Audience>)]
    audience: Patched<String>,
    /// A merge patch of its own: what is not named stays.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = shapes::HeaderChanges, required = false)]
    headers: Option<Pairs<Option<String>>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    v1a: Option<bool>,
    /// Replaced as a whole.
    #[serde(default)]
    #[schema(value_type = Option<shapes::EncryptionWish>)]
    encryption: Patched<Object<EncryptionWish>>,
    #[serde(default)]
    #[schema(value_type = Option<Retry>)]
    retry: Patched<Object<Retry>>,
    #[serde(default)]
    #[schema(value_type = Option<shapes::Timeout>)]
    timeout_seconds: Patched<Whole<u64>>,
    #[serde(default)]
    #[schema(value_type = Option<shapes::DeliveryRate>)]
    rate_limit: Patched<Whole<u32>>,
    #[serde(default)]
    #[schema(value_type = Option<ActivationWish>)]
    activation: Patched<Object<ActivationWish>>,
    #[serde(default)]
    #[schema(value_type = Option<CertificateWish>)]
    client_certificate: Patched<Object<CertificateWish>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = bool, required = false)]
    enabled: Option<bool>,
}

pub(super) async fn change(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(id): Path<String>,
    Json(body): Json<ChangeWebhook>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let id = webhook_id(&id)?;
    let names = body.events.clone().unwrap_or_default();
    let change = body.change(&engine)?;
    refuse_unknown(&engine, access.tenant_id, &names).await?;
    let changed = engine.change_webhook(Actor::of(&access.caller), access.tenant_id, id, &change).await?;
    let view = |webhook: Webhook| WebhookView::of(webhook.under(&engine.terms.public_url));
    changed.map(|webhook| axum::Json(view(webhook))).ok_or_else(missing)
}

impl ChangeWebhook {
    fn change(self, engine: &Engine) -> Result<Change, Problem> {
        let mut faults = Faults::default();
        let plain_http = engine.terms.plain_http;
        let change = Change {
            method: self.delivery.and_then(|text| members::method(&text, &mut faults)),
            url: self.url.and_then(|text| faults.take("/url", WebhookUrl::parse(&text, plain_http))),
            subscriptions: self.events.map(|names| members::subscriptions(&names, &mut faults)),
            description: self.description.and_then(|text| members::description(text, &mut faults)),
            format: self.format.and_then(|text| members::format(&text, &mut faults)),
            token_type: self.typ.and_then(|text| members::token_type(&text, &mut faults)),
            audience: self.audience.choice(|text| members::audience(text, &mut faults)),
            headers: self.headers.map(|Pairs(named)| members::headers(named, &mut faults)).unwrap_or_default(),
            has_key_pair: self.v1a,
            encryption: self.encryption.choice(|Object(it)| members::encryption(it, plain_http, &mut faults)),
            retry_policy: self.retry.choice(|Object(retry)| members::retry_policy(&retry, &mut faults)),
            timeout: self.timeout_seconds.choice(|seconds| members::timeout(seconds, &mut faults)),
            rate: self.rate_limit.choice(|count| members::rate(count, &mut faults)),
            activation: self.activation.choice(|Object(wish)| members::activation(&wish, &mut faults)),
            client_certificate: self.client_certificate.choice(|Object(wish)| Some(wish.into())),
            is_enabled: self.enabled,
            secret: None,
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
    match engine.delete_webhook(Actor::of(&access.caller), access.tenant_id, webhook_id(&id)?).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing()),
    }
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateSecret {
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
#[schema(as = RotatedSecret)]
pub(in crate::api::v1) struct RotatedView {
    #[schema(value_type = shapes::WebhookId)]
    webhook_id: String,
    #[schema(value_type = shapes::Secret)]
    signing_secret: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::PublicKey, required = false)]
    public_key: Option<String>,
    #[schema(value_type = shapes::Timestamp)]
    previous_expires_at: String,
}

pub(super) async fn rotate_secret(
    State(engine): State<Api>,
    access: Access<WebhooksWrite>,
    Path(id): Path<String>,
    OptionalJson(body): OptionalJson<RotateSecret>,
) -> Result<Response, Problem> {
    let id = webhook_id(&id)?;
    let mut faults = Faults::default();
    let overlap = members::overlap(body.overlap_seconds, &mut faults);
    let next = body.secret.map(Secret::new);
    faults.none()?;
    let actor = Actor::of(&access.caller);
    let rotated = engine.rotate_secret(actor, (access.tenant_id, id), next, overlap).await?.ok_or_else(missing)?;
    let view = RotatedView {
        webhook_id: id.to_string(),
        signing_secret: rotated.secret.reveal().clone(),
        public_key: rotated.public_key,
        previous_expires_at: rotated.previous_expires_at.to_string(),
    };
    Ok(axum::Json(view).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestWebhook {
    #[schema(value_type = shapes::EventType)]
    event: String,
}

/// What came of a test delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api::v1) struct Tested {
    #[schema(value_type = shapes::WebhookId)]
    webhook_id: String,
    #[schema(value_type = shapes::EventId)]
    event_id: String,
    #[schema(value_type = shapes::EventType)]
    event: String,
    delivered: bool,
    /// Absent where the receiver has yet to collect it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AttemptView, required = false)]
    attempt: Option<AttemptView>,
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
        delivered: attempt.as_ref().is_some_and(|attempt| attempt.outcome.is_acknowledged()),
        attempt: attempt.map(AttemptView::of),
    };
    Ok(axum::Json(tested).into_response())
}

/// What a webhook may subscribe to, as it is described.
fn subscription_list() -> Schema {
    shapes::list_of::<shapes::Subscription>(1, SUBSCRIPTIONS_MAX)
}

/// What is not an id cannot be the id of one of theirs either.
pub(super) fn webhook_id(text: &str) -> Result<WebhookId, Problem> {
    text.parse().map_err(|_| missing())
}

pub(super) fn missing() -> Problem {
    Problem::not_found("webhook")
}
