//! What somebody wishes of a webhook: to have one, or to have it otherwise.

use std::time::Duration;

use crate::domain::event_type::Subscription;
use crate::domain::id::TenantId;
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;
use crate::domain::token::TokenType;
use crate::domain::webhook::{
    Activation, ClientCertificateWish, CustomHeaders, DeliveryMethod, DeliveryRate, Encryption, Format, Handling,
    HeaderName, WebhookUrl,
};

/// What somebody wishes of a webhook.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub tenant_id: TenantId,
    /// None for one whose receiver collects.
    pub url: Option<WebhookUrl>,
    pub subscriptions: Vec<Subscription>,
    pub description: String,
    pub format: Format,
    pub token_type: TokenType,
    pub audience: Option<String>,
    pub headers: CustomHeaders,
    /// Its signing secret, if it has one already; else one is made.
    pub secret: Option<Secret<String>>,
    /// Whether a key pair of its own signs its deliveries too.
    pub has_key_pair: bool,
    /// Whom its data is encrypted to: a key that was judged.
    pub encryption: Option<Encryption>,
    pub handling: Handling,
    pub activation: Option<Activation>,
    pub client_certificate: Option<ClientCertificateWish>,
    pub is_enabled: bool,
}

/// What somebody wishes to change of a webhook; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Never another one; said here so that it can be refused.
    pub method: Option<DeliveryMethod>,
    pub url: Option<WebhookUrl>,
    pub subscriptions: Option<Vec<Subscription>>,
    pub description: Option<String>,
    pub format: Option<Format>,
    pub token_type: Option<TokenType>,
    /// By default its URL without the query.
    pub audience: Choice<String>,
    /// Headers to add or to put in the place of others, and, without a value, to take away.
    pub headers: Vec<(HeaderName, Option<Secret<String>>)>,
    /// Another signing secret; the one before signs too for this long.
    pub secret: Option<(Secret<String>, Duration)>,
    pub has_key_pair: Option<bool>,
    /// A key that was judged.
    pub encryption: Choice<Encryption>,
    pub retry_policy: Choice<RetryPolicy>,
    pub timeout: Choice<Duration>,
    pub rate: Choice<DeliveryRate>,
    pub activation: Choice<Activation>,
    pub client_certificate: Choice<ClientCertificateWish>,
    pub is_enabled: Option<bool>,
}

impl Change {
    /// What is changed, by the names of its members.
    pub(super) fn members(&self) -> Vec<&'static str> {
        let Self { url, subscriptions, description, format, token_type, audience, headers, is_enabled, .. } = self;
        let Self {
            secret, has_key_pair, encryption, retry_policy, timeout, rate, activation, client_certificate, ..
        } = self;
        let named = [
            ("url", url.is_some()),
            ("events", subscriptions.is_some()),
            ("description", description.is_some()),
            ("format", format.is_some()),
            ("typ", token_type.is_some()),
            ("audience", audience.is_changed()),
            ("headers", !headers.is_empty()),
            ("secret", secret.is_some()),
            ("v1a", has_key_pair.is_some()),
            ("encryption", encryption.is_changed()),
            ("retry", retry_policy.is_changed()),
            ("timeout_seconds", timeout.is_changed()),
            ("rate_limit", rate.is_changed()),
            ("activation", activation.is_changed()),
            ("client_certificate", client_certificate.is_changed()),
            ("enabled", is_enabled.is_some()),
        ];
        named.into_iter().filter_map(|(name, is_changed)| is_changed.then_some(name)).collect()
    }

    /// What is said that makes no sense for a webhook whose receiver collects.
    pub(super) fn of_sending(&self) -> Vec<&'static str> {
        let of_sending = [
            ("url", self.url.is_some()),
            ("headers", !self.headers.is_empty()),
            ("retry", matches!(self.retry_policy, Choice::Own(_))),
            ("timeout_seconds", matches!(self.timeout, Choice::Own(_))),
            ("rate_limit", matches!(self.rate, Choice::Own(_))),
            ("activation", matches!(self.activation, Choice::Own(_))),
            ("client_certificate", matches!(self.client_certificate, Choice::Own(_))),
        ];
        of_sending.into_iter().filter_map(|(name, is_said)| is_said.then_some(name)).collect()
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
    pub(super) fn is_changed(&self) -> bool {
        !matches!(self, Self::Unchanged)
    }

    pub(super) fn own(&self) -> Option<&T> {
        if let Self::Own(value) = self { Some(value) } else { None }
    }

    /// What is chosen after it.
    pub fn over(self, present: Option<T>) -> Option<T> {
        match self {
            Self::Unchanged => present,
            Self::Standard => None,
            Self::Own(value) => Some(value),
        }
    }
}
