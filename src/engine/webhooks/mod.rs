//! Registering and changing webhooks.

mod declared;
mod probe;
mod pull_keys;
mod removal;
mod secrets;
mod wish;

use super::clock::NoRandomness;
use super::keys::{KeysError, MayNotSign};
use super::{Engine, audit, encryption};
use crate::domain::audit::{Action, Actor};
use crate::domain::event_type::Subscription;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    DeliveryMethod, DisabledReason, Handling, MalformedClientCertificate, MalformedHeader, MalformedSecret, News,
    Occurrence, Origin, WEBHOOKS_MAX, Webhook, WebhookState, poll_url,
};
use crate::signing::{Confidential, SigningError, TooManySecrets, client_certificate};
use crate::store::{Conn, StoreError, webhooks};

pub use declared::DeclareError;
pub use probe::{Probe, ProbeError};
pub use pull_keys::{Registered, RotatedPullKey};
pub use secrets::RotatedSecret;
pub use wish::{Change, Choice, NewWebhook};

/// How often the declared ones are tried to be brought in line when somebody else changes them meanwhile.
const RACES_MAX: u32 = 5;

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
    /// The same of the URL where a receiver publishes its keys.
    #[error("the host of the key set may not be reached by webhooks")]
    KeySetBlocked,
    /// Receivers of its format do not know data that is encrypted.
    #[error("webhooks of this format are not encrypted")]
    NotEncrypted,
    #[error(transparent)]
    Header(#[from] MalformedHeader),
    #[error(transparent)]
    MalformedSecret(#[from] MalformedSecret),
    #[error(
        "goes with a secret that is whsec_ and base64 of 24 to 64 bytes, and this webhook's is another vendor's; rotate it first"
    )]
    UnsuitableSecret,
    #[error(transparent)]
    MalformedClientCertificate(#[from] MalformedClientCertificate),
    #[error(transparent)]
    TooManySecrets(#[from] TooManySecrets),
    #[error("the tenant has {WEBHOOKS_MAX} webhooks, and no more are taken; delete those that nobody needs")]
    TooMany,
    #[error("the webhook is being changed by somebody else")]
    Contended,
    #[error(
        "how deliveries come to its receiver is chosen when a webhook is made, and never changed; make another one"
    )]
    MethodIsFixed,
    /// These members are for webhooks that deliveries are sent to.
    #[error("its receiver collects its deliveries, and nothing is sent to it")]
    Collects(Vec<&'static str>),
    #[error("deliveries are sent to this webhook, and nobody collects them")]
    IsSentTo,
    #[error("as many pull keys of this webhook are taken as may be; end the old ones, or wait until they have ended")]
    TooManyPullKeys,
    /// Whoever declared it must change it there, or the next start would undo the change.
    #[error("the webhook is declared in the configuration")]
    Declared,
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

impl Engine {
    /// Registers a webhook. Its signing secret is returned this once; it is kept sealed.
    pub async fn register_webhook(&self, actor: Actor, wish: NewWebhook) -> Result<Registered, WebhookError> {
        self.check_reach(wish.url.as_ref(), wish.encryption.as_ref())?;
        encryption::check_format(wish.format, wish.encryption.as_ref())?;
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        // Who registers holds the log, so that nobody else does before this one is counted.
        audit::hold(tx.conn(), wish.tenant_id).await?;
        if webhooks::are_as_many(tx.conn(), wish.tenant_id, WEBHOOKS_MAX).await? {
            return Err(WebhookError::TooMany);
        }
        let (webhook, secret) = self.make_webhook(tx.conn(), actor, Origin::Registered, wish).await?;
        let pull_key = match webhook.method {
            DeliveryMethod::Push => None,
            DeliveryMethod::Pull => Some(self.make_pull_key(tx.conn(), webhook.id, webhook.created_at).await?),
        };
        tx.commit().await?;
        Ok(Registered { webhook, secret, pull_key })
    }

    async fn make_webhook(
        &self,
        conn: &mut Conn,
        actor: Actor,
        origin: Origin,
        wish: NewWebhook,
    ) -> Result<(Webhook, Secret<String>), WebhookError> {
        let now = self.clock.now();
        let state = match (wish.is_enabled, wish.activation) {
            (false, _) => WebhookState::Disabled { at: now, reason: DisabledReason::Requested },
            (true, None) => WebhookState::Enabled,
            (true, Some(_)) => WebhookState::Pending { since: now },
        };
        let id = WebhookId::from_bytes(self.clock.id());
        let method = if wish.url.is_some() { DeliveryMethod::Push } else { DeliveryMethod::Pull };
        let url = wish.url.or_else(|| poll_url(&self.terms.public_url, id));
        let mut webhook = Webhook {
            id,
            tenant_id: wish.tenant_id,
            method,
            url: url.expect("the public URL is one, as was found when it was configured"),
            subscriptions: wish.subscriptions,
            description: wish.description,
            format: wish.format,
            token_type: wish.token_type,
            public_key: None,
            encryption: wish.encryption,
            client_certificate: None,
            audience: wish.audience,
            header_names: wish.headers.names(),
            handling: wish.handling,
            activation: wish.activation,
            origin,
            state,
            version: 1,
            last_delivery_at: None,
            created_at: now,
            updated_at: now,
        };
        let secret = self.signing_secret(wish.secret, webhook.format)?;
        let mut confidential = Confidential::new(secret.clone(), wish.headers);
        if let Some(wish) = &wish.client_certificate {
            let (shown, secret) = client_certificate::read(wish, now)?;
            (webhook.client_certificate, confidential.client) = (Some(shown), Some(secret));
        }
        if wish.has_key_pair {
            webhook.public_key = Some(self.add_key_pair(&mut confidential, now, now)?);
        }
        let made = Action::WebhookMade { id: webhook.id.to_string(), url: webhook.url.audience() };
        audit::record(conn, webhook.tenant_id, (actor, now), &[made]).await?;
        let secret_jwe = self.seal_confidential(conn, webhook.id, &confidential).await?;
        webhooks::insert(conn, &webhook, &secret_jwe).await?;
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
        self.check_reach(change.url.as_ref(), change.encryption.own())?;
        let _place = self.row_waiter().await;
        let mut tx = self.store.write().await?;
        let Some(webhook) = registered(tx.conn(), tenant_id, id).await? else { return Ok(None) };
        if change.method.is_some_and(|method| method != webhook.method) {
            return Err(WebhookError::MethodIsFixed);
        }
        let of_sending = change.of_sending();
        if webhook.method == DeliveryMethod::Pull && !of_sending.is_empty() {
            return Err(WebhookError::Collects(of_sending));
        }
        if change.members().is_empty() {
            return Ok(Some(webhook));
        }
        let changed = self.write_change(tx.conn(), actor, webhook, change).await?;
        let changed = changed.ok_or(WebhookError::Contended)?;
        tx.commit().await?;
        self.look_again();
        Ok(Some(changed))
    }

    /// Writes a changed webhook over the version it was made from; `None` when that is not the current one any more. Whoever
    /// calls this has the queue looked at after the commit: there may be news in it.
    async fn write_change(
        &self,
        conn: &mut Conn,
        actor: Actor,
        webhook: Webhook,
        change: &Change,
    ) -> Result<Option<Webhook>, WebhookError> {
        let (id, tenant_id) = (webhook.id, webhook.tenant_id);
        let before = looks(&webhook);
        let (mut changed, news) = self.changed(webhook, change);
        encryption::check_format(changed.format, changed.encryption.as_ref())?;
        let now = changed.updated_at;
        let both = before.into_iter().zip(looks(&changed));
        let seen =
            both.filter(|(before, after)| before != after).map(|((name, before), (_, after))| (name, before, after));
        let action = Action::WebhookChanged { id: id.to_string(), members: change.members(), seen: seen.collect() };
        audit::record(conn, tenant_id, (actor, now), &[action]).await?;
        let secret_jwe = self.seal_changed(conn, &mut changed, change).await?;
        if !webhooks::update(conn, &changed, secret_jwe.as_deref()).await? {
            return Ok(None);
        }
        if let Some(news) = news {
            self.announce_news(conn, &changed, news, now).await?;
        }
        changed.version += 1;
        Ok(Some(changed))
    }

    fn changed(&self, mut webhook: Webhook, change: &Change) -> (Webhook, Option<News>) {
        let now = self.clock.now();
        let Change { url, subscriptions, description, format, token_type, audience, .. } = change.clone();
        let Change { encryption, retry_policy, timeout, rate, activation, is_enabled, .. } = change.clone();
        let url_before = webhook.url.clone();
        webhook.url = url.unwrap_or(webhook.url);
        webhook.subscriptions = subscriptions.unwrap_or(webhook.subscriptions);
        webhook.description = description.unwrap_or(webhook.description);
        webhook.format = format.unwrap_or(webhook.format);
        webhook.token_type = token_type.unwrap_or(webhook.token_type);
        webhook.audience = audience.over(webhook.audience);
        webhook.encryption = encryption.over(webhook.encryption);
        webhook.handling = Handling {
            retry_policy: retry_policy.over(webhook.handling.retry_policy),
            timeout: timeout.over(webhook.handling.timeout),
            rate: rate.over(webhook.handling.rate),
        };
        let activation_before = webhook.activation;
        let due_at = activation_before.and_then(|wish| wish.due_at);
        webhook.activation = activation.over(webhook.activation).map(|wish| wish.still_due(due_at, now));
        let asks_anew = webhook.activation.map(|wish| wish.method) != activation_before.map(|wish| wish.method);
        let moved = webhook.url != url_before;
        let course = [
            moved.then_some(Occurrence::Moved),
            is_enabled.map(|on| if on { Occurrence::SwitchedOn } else { Occurrence::SwitchedOff }),
        ];
        let was_enabled = webhook.state.is_enabled();
        let mut news = None;
        for occurrence in course.into_iter().flatten() {
            let (state, told) = webhook.after(occurrence, now);
            webhook.state = state;
            news = told.or(news);
        }
        // Whoever must show that it wants deliveries shows it before it gets any, and anew at another place.
        let is_unproven = !was_enabled || moved || asks_anew;
        if webhook.activation.is_some() && webhook.state.is_enabled() && is_unproven {
            (webhook.state, news) = webhook.after(Occurrence::MustActivate, now);
        }
        let need_not = match webhook.state {
            WebhookState::Pending { .. } => webhook.activation.is_none(),
            WebhookState::Unproven { .. } => webhook.activation.is_none_or(|wish| wish.every.is_none()),
            WebhookState::Enabled | WebhookState::Failing { .. } | WebhookState::Disabled { .. } => false,
        };
        if need_not {
            (webhook.state, news) = webhook.after(Occurrence::Activated, now);
        }
        webhook.updated_at = now;
        (webhook, news)
    }
}

/// What somebody asks about later who finds that deliveries went elsewhere, or nowhere. A query may hold a secret.
fn looks(webhook: &Webhook) -> [(&'static str, String); 4] {
    let events: Vec<&str> = webhook.subscriptions.iter().map(Subscription::as_str).collect();
    let is_on = !matches!(webhook.state, WebhookState::Disabled { .. });
    let encryption = encryption::told(webhook.encryption.as_ref());
    [
        ("url", webhook.url.audience()),
        ("events", events.join(" ")),
        ("enabled", is_on.to_string()),
        ("encryption", encryption),
    ]
}

/// A webhook that may be changed by whoever asks; `None` when the tenant has no such webhook. The log is held first and then
/// the webhook, like everybody does who needs both: of several changes at the same time, each is made to what the one
/// before has left.
async fn registered(conn: &mut Conn, tenant_id: TenantId, id: WebhookId) -> Result<Option<Webhook>, WebhookError> {
    audit::hold(conn, tenant_id).await?;
    match webhooks::hold(conn, tenant_id, id).await? {
        Some(Webhook { origin: Origin::Declared, .. }) => Err(WebhookError::Declared),
        found => Ok(found),
    }
}
