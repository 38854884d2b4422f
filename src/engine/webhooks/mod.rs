//! Registering, changing and testing webhooks.

mod secrets;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::clock::NoRandomness;
use super::keys::{KeysError, MayNotSign};
use super::{Engine, audit};
use crate::domain::audit::{Action, Actor};
use crate::domain::delivery::{Attempt, DeliveryKey, Ending};
use crate::domain::event::Event;
use crate::domain::event_type::{EventType, Subscription};
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    Activation, CustomHeaders, DeliveryRate, DisabledReason, Format, Handling, HeaderName, MalformedHeader, News,
    Occurrence, Webhook, WebhookState, WebhookUrl,
};
use crate::signing::{Confidential, SigningError, TooManySecrets};
use crate::store::deliveries::Ended;
use crate::store::{StoreError, catalogue, deliveries, events, webhooks};

pub use secrets::RotatedSecret;

/// How often a change is tried again when somebody else changed the webhook meanwhile.
const RACES_MAX: u32 = 5;

/// What somebody wishes of a webhook.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub tenant_id: TenantId,
    pub url: WebhookUrl,
    pub subscriptions: Vec<Subscription>,
    pub description: String,
    pub format: Format,
    pub audience: Option<String>,
    pub headers: CustomHeaders,
    /// Its signing secret, if it has one already; else one is made.
    pub secret: Option<Secret<String>>,
    pub handling: Handling,
    pub activation: Option<Activation>,
    pub is_enabled: bool,
}

/// What somebody wishes to change of a webhook; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub url: Option<WebhookUrl>,
    pub subscriptions: Option<Vec<Subscription>>,
    pub description: Option<String>,
    pub format: Option<Format>,
    /// By default its URL without the query.
    pub audience: Choice<String>,
    /// Headers to add or to put in the place of others, and, without a value, to take away.
    pub headers: Vec<(HeaderName, Option<Secret<String>>)>,
    pub retry_policy: Choice<RetryPolicy>,
    pub timeout: Choice<Duration>,
    pub rate: Choice<DeliveryRate>,
    pub activation: Choice<Activation>,
    pub is_enabled: Option<bool>,
}

impl Change {
    /// What is changed, by the names of its members.
    fn members(&self) -> Vec<&'static str> {
        let Self { url, subscriptions, description, format, audience, headers, is_enabled, .. } = self;
        let Self { retry_policy, timeout, rate, activation, .. } = self;
        let named = [
            ("url", url.is_some()),
            ("events", subscriptions.is_some()),
            ("description", description.is_some()),
            ("format", format.is_some()),
            ("audience", audience.is_changed()),
            ("headers", !headers.is_empty()),
            ("retry", retry_policy.is_changed()),
            ("timeout_seconds", timeout.is_changed()),
            ("rate_limit", rate.is_changed()),
            ("activation", activation.is_changed()),
            ("enabled", is_enabled.is_some()),
        ];
        named.into_iter().filter_map(|(name, is_changed)| is_changed.then_some(name)).collect()
    }
}

/// What is to become of something that a webhook may choose and need not.
#[derive(Debug, Clone, Default)]
pub enum Choice<T> {
    #[default]
    Unchanged,
    /// As by default.
    Standard,
    Own(T),
}

impl<T> Choice<T> {
    fn is_changed(&self) -> bool {
        !matches!(self, Self::Unchanged)
    }

    fn over(self, present: Option<T>) -> Option<T> {
        match self {
            Self::Unchanged => present,
            Self::Standard => None,
            Self::Own(value) => Some(value),
        }
    }
}

/// A sample was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    MayNotSign(#[from] MayNotSign),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A webhook was not registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    MayNotSign(#[from] MayNotSign),
    /// One answer for every address that may not be reached, so that nobody can map a network by asking.
    #[error("the URL's host may not be reached by webhooks")]
    Blocked,
    #[error(transparent)]
    Header(#[from] MalformedHeader),
    #[error("is whsec_ and base64 of 24 to 64 bytes; leave it out to have one made")]
    MalformedSecret,
    #[error(transparent)]
    TooManySecrets(#[from] TooManySecrets),
    #[error("the webhook is being changed by somebody else")]
    Contended,
}

impl From<KeysError> for WebhookError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Store(error) => Self::Store(error),
            KeysError::Signing(error) => Self::Signing(error),
            // No ring takes a step here.
            KeysError::Stuck => Self::Signing(SigningError::Unopenable),
        }
    }
}

/// A test delivery that was made, and what came of it.
pub struct Probe {
    pub event_id: EventId,
    pub attempt: Attempt,
}

impl Engine {
    /// Registers a webhook. Its signing secret is returned this once; it is kept sealed.
    pub async fn register_webhook(
        &self,
        actor: Actor,
        wish: NewWebhook,
    ) -> Result<(Webhook, Secret<String>), WebhookError> {
        if !self.egress.may_reach(wish.url.as_url()) {
            return Err(WebhookError::Blocked);
        }
        let now = self.clock.now();
        let state = match (wish.is_enabled, wish.activation) {
            (false, _) => WebhookState::Disabled { at: now, reason: DisabledReason::Requested },
            (true, None) => WebhookState::Enabled,
            (true, Some(_)) => WebhookState::Pending { since: now },
        };
        let webhook = Webhook {
            id: WebhookId::from_bytes(self.clock.id()),
            tenant_id: wish.tenant_id,
            url: wish.url,
            subscriptions: wish.subscriptions,
            description: wish.description,
            format: wish.format,
            audience: wish.audience,
            header_names: wish.headers.names(),
            handling: wish.handling,
            activation: wish.activation,
            state,
            version: 1,
            last_delivery_at: None,
            created_at: now,
            updated_at: now,
        };
        let secret = self.signing_secret(wish.secret)?;
        let confidential = Confidential::new(secret.clone(), wish.headers);
        let mut tx = self.store.write().await?;
        let made = Action::WebhookMade { id: webhook.id.to_string(), url: webhook.url.audience() };
        audit::record(tx.conn(), webhook.tenant_id, (actor, now), &[made]).await?;
        let secret_jwe = self.seal_confidential(tx.conn(), webhook.id, &confidential).await?;
        webhooks::insert(tx.conn(), &webhook, &secret_jwe).await?;
        tx.commit().await?;
        Ok((webhook, secret))
    }

    /// Changes a webhook; `None` when the tenant has no such webhook.
    pub async fn change_webhook(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        id: WebhookId,
        change: &Change,
    ) -> Result<Option<Webhook>, WebhookError> {
        if change.url.as_ref().is_some_and(|url| !self.egress.may_reach(url.as_url())) {
            return Err(WebhookError::Blocked);
        }
        for _ in 0..RACES_MAX {
            let mut tx = self.store.write().await?;
            let Some(webhook) = webhooks::get(tx.conn(), tenant_id, id).await? else { return Ok(None) };
            let (mut changed, news) = self.changed(webhook, change);
            let action = Action::WebhookChanged { id: id.to_string(), members: change.members() };
            audit::record(tx.conn(), tenant_id, (actor, changed.updated_at), &[action]).await?;
            let mut secret_jwe = None;
            if !change.headers.is_empty() {
                let mut confidential = self.confidential(tx.conn(), id).await?;
                for (name, value) in change.headers.clone() {
                    match value {
                        Some(value) => confidential.headers.set(name, value)?,
                        None => confidential.headers.remove(&name),
                    }
                }
                changed.header_names = confidential.headers.names();
                secret_jwe = Some(self.seal_confidential(tx.conn(), id, &confidential).await?);
            }
            if webhooks::update(tx.conn(), &changed, secret_jwe.as_deref()).await? {
                if let Some(news) = news {
                    self.announce_news(tx.conn(), &changed, news, changed.updated_at).await?;
                }
                tx.commit().await?;
                if news.is_some() {
                    self.look_again();
                }
                changed.version += 1;
                return Ok(Some(changed));
            }
        }
        Err(WebhookError::Contended)
    }

    fn changed(&self, mut webhook: Webhook, change: &Change) -> (Webhook, Option<News>) {
        let now = self.clock.now();
        let Change { url, subscriptions, description, format, audience, .. } = change.clone();
        let Change { retry_policy, timeout, rate, activation, is_enabled, .. } = change.clone();
        let url_before = webhook.url.clone();
        webhook.url = url.unwrap_or(webhook.url);
        webhook.subscriptions = subscriptions.unwrap_or(webhook.subscriptions);
        webhook.description = description.unwrap_or(webhook.description);
        webhook.format = format.unwrap_or(webhook.format);
        webhook.audience = audience.over(webhook.audience);
        webhook.handling = Handling {
            retry_policy: retry_policy.over(webhook.handling.retry_policy),
            timeout: timeout.over(webhook.handling.timeout),
            rate: rate.over(webhook.handling.rate),
        };
        let activation_before = webhook.activation;
        webhook.activation = activation.over(webhook.activation);
        let asks_anew = webhook.activation.map(|wish| wish.method) != activation_before.map(|wish| wish.method);
        let moved = webhook.url != url_before;
        let course = [
            moved.then_some(Occurrence::Moved),
            is_enabled.map(|on| if on { Occurrence::SwitchedOn } else { Occurrence::SwitchedOff }),
        ];
        let was_enabled = webhook.state.is_enabled();
        let mut news = None;
        for occurrence in course.into_iter().flatten() {
            let (state, told) = webhook.state.after(occurrence, now);
            webhook.state = state;
            news = told.or(news);
        }
        // Whoever must show that it wants deliveries shows it before it gets any, and anew at another place.
        let is_unproven = !was_enabled || moved || asks_anew;
        if webhook.activation.is_some() && webhook.state.is_enabled() && is_unproven {
            (webhook.state, news) = webhook.state.after(Occurrence::MustActivate, now);
        }
        if webhook.activation.is_none() && matches!(webhook.state, WebhookState::Pending { .. }) {
            (webhook.state, news) = webhook.state.after(Occurrence::Activated, now);
        }
        webhook.updated_at = now;
        (webhook, news)
    }

    /// Deletes a webhook; answers whether the tenant had it. What is queued for it ends as cancelled when it is due.
    pub async fn delete_webhook(&self, actor: Actor, tenant_id: TenantId, id: WebhookId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let action = Action::WebhookDeleted { id: id.to_string() };
        audit::record(tx.conn(), tenant_id, (actor, now), &[action]).await?;
        let deleted = webhooks::delete(tx.conn(), tenant_id, id, now).await?;
        if deleted {
            tx.commit().await?;
        }
        Ok(deleted)
    }

    /// Sends a sample event to a webhook at once, subscribed or not, enabled or not, and waits for what comes of it. One
    /// attempt, which the delivery log shows. `None` when the tenant has no such webhook.
    pub async fn probe_webhook(
        &self,
        tenant_id: TenantId,
        id: WebhookId,
        event_type: EventType,
    ) -> Result<Option<Probe>, ProbeError> {
        self.take_leave_to_sign().await?;
        let mut reader = self.store.read().await?;
        let found: Result<Vec<_>, StoreError> = webhooks::addressees(reader.conn(), &[id]).await?.into_iter().collect();
        let described = catalogue::get(reader.conn(), tenant_id, &event_type).await?;
        drop(reader);
        let ours = |found: &webhooks::Addressee| found.webhook.tenant_id == tenant_id && !found.is_deleted;
        let Some(addressee) = found?.into_iter().find(ours).map(|found| self.addressee(found)) else {
            return Ok(None);
        };
        let mut event = self.sample_event(tenant_id, event_type);
        if let Some(sample) = described.and_then(|described| described.description.sample) {
            Arc::make_mut(&mut event).payload = sample;
        }
        let attempt = self.attempt(&self.egress, &event, &addressee, 1).await;
        let event_id = event.id;
        self.log_probe(&event, id, &attempt).await?;
        Ok(Some(Probe { event_id, attempt }))
    }

    /// An event that nobody published.
    pub(super) fn sample_event(&self, tenant_id: TenantId, event_type: EventType) -> Arc<Event> {
        let now = self.clock.now();
        Arc::new(Event {
            id: EventId::from_bytes(self.clock.id()),
            tenant_id,
            payload: sample(&event_type),
            event_type,
            occurred_at: now,
            accepted_at: now,
            deliveries: 1,
        })
    }

    /// Writes down a delivery that was made apart from the queue.
    pub(super) async fn log_probe(
        &self,
        event: &Arc<Event>,
        webhook_id: WebhookId,
        attempt: &Attempt,
    ) -> Result<(), StoreError> {
        let key = DeliveryKey { webhook_id, event_id: event.id };
        let ending = if attempt.outcome.is_acknowledged() { Ending::Delivered } else { Ending::Exhausted };
        let ended = Ended { key, ending, attempts: 1, at: self.clock.now() };
        let mut tx = self.store.write().await?;
        events::insert(tx.conn(), std::slice::from_ref(event)).await?;
        deliveries::append(tx.conn(), &[ended]).await?;
        deliveries::append_attempts(tx.conn(), &[(key, attempt)]).await?;
        tx.commit().await
    }
}

/// The data of a test event. An event type is a-z, 0-9, _ and dots, so it needs no escaping.
fn sample(event_type: &EventType) -> Bytes {
    Bytes::from(format!(
        r#"{{"test":true,"message":"A sample of {event_type}, sent because somebody asked for a test."}}"#
    ))
}
