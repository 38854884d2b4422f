//! A webhook as it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::members::MASK;
use crate::api::openapi::shapes;
use crate::domain::access::PullKey;
use crate::domain::secret::Secret;
use crate::domain::webhook::{Activation, ClientCertificate, DeliveryRate, Encryption, Origin, Webhook, WebhookState};

/// Its signing secret and its pull key are shown once, when it is made.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(in crate::api::v1) struct WebhookView {
    #[schema(value_type = shapes::WebhookId)]
    id: String,
    #[schema(value_type = shapes::DeliveryMethod)]
    delivery: &'static str,
    /// Where deliveries are sent to, or where they are collected.
    #[schema(value_type = shapes::Url)]
    url: String,
    #[schema(value_type = Vec<shapes::Subscription>)]
    events: Vec<String>,
    description: String,
    #[schema(value_type = shapes::Format)]
    format: &'static str,
    #[schema(value_type = shapes::TokenType)]
    typ: &'static str,
    audience: String,
    /// Its own headers, with a mask for each value.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    headers: BTreeMap<String, &'static str>,
    /// Whether its owner wants it to be sent deliveries; `status` tells whether it is.
    enabled: bool,
    /// Whether the operator declares it in the configuration; the API then changes nothing of it.
    declared: bool,
    #[schema(value_type = shapes::WebhookStatus)]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    failing_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::DisabledReason, required = false)]
    disabled_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    disabled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Secret, required = false)]
    signing_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::PullKey, required = false)]
    pull_key: Option<String>,
    /// Whether a key pair of its own signs its deliveries, and that one's public half.
    v1a: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::PublicKey, required = false)]
    public_key: Option<String>,
    /// What its deliveries show receivers that want to know who comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = CertificateView, required = false)]
    client_certificate: Option<CertificateView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = EncryptionView, required = false)]
    encryption: Option<EncryptionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = RetryView, required = false)]
    retry: Option<RetryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false)]
    rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ActivationView, required = false)]
    activation: Option<ActivationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    last_delivery_at: Option<String>,
    #[schema(value_type = shapes::Timestamp)]
    created_at: String,
    #[schema(value_type = shapes::Timestamp)]
    updated_at: String,
}

/// Whom the data of its deliveries is encrypted to.
#[derive(Serialize, ToSchema)]
#[schema(as = Encryption)]
pub(in crate::api::v1) struct EncryptionView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::EncryptionKey, required = false)]
    jwk: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Url, required = false)]
    jwks_url: Option<String>,
}

impl EncryptionView {
    fn of(encryption: &Encryption) -> Self {
        Self {
            // What is kept was written by us.
            jwk: encryption.jwk().and_then(|jwk| RawValue::from_string(jwk.to_owned()).ok()),
            jwks_url: encryption.jwks_url().map(|url| url.as_str().to_owned()),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = OwnRetry)]
pub(in crate::api::v1) struct RetryView {
    /// The wait before each attempt after the first, in seconds.
    schedule: Vec<u64>,
}

/// A client certificate, without its private key.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientCertificate)]
pub(in crate::api::v1) struct CertificateView {
    subject: String,
    #[schema(value_type = shapes::Timestamp)]
    expires_at: String,
    /// The chain as PEM, its own certificate first.
    certificate: String,
}

impl CertificateView {
    fn of(certificate: ClientCertificate) -> Self {
        let ClientCertificate { subject, expires_at, chain } = certificate;
        Self { subject, expires_at: expires_at.to_string(), certificate: chain }
    }
}

/// What its receiver must show before it is sent anything.
#[derive(Serialize, ToSchema)]
#[schema(as = Activation)]
pub(in crate::api::v1) struct ActivationView {
    #[schema(value_type = shapes::ActivationMethod)]
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    every_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    due_at: Option<String>,
    /// Since when it has not shown it, however much it acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Timestamp, required = false)]
    unproven_since: Option<String>,
}

impl ActivationView {
    fn of(activation: Activation, state: WebhookState) -> Self {
        let unproven_since = match state {
            WebhookState::Unproven { since, .. } => Some(since.to_string()),
            _ => None,
        };
        Self {
            unproven_since,
            method: activation.method.as_str(),
            every_seconds: activation.every.map(|every| every.as_secs()),
            due_at: activation.due_at.filter(|_| state.is_enabled()).map(|at| at.to_string()),
        }
    }
}

impl WebhookView {
    pub(super) fn of(webhook: Webhook) -> Self {
        let (disabled_at, disabled_reason) = match webhook.state {
            WebhookState::Enabled
            | WebhookState::Failing { .. }
            | WebhookState::Unproven { .. }
            | WebhookState::Pending { .. } => (None, None),
            WebhookState::Disabled { at, reason } => (Some(at.to_string()), Some(reason.as_str())),
        };
        let retry = webhook.handling.retry_policy.as_ref();
        Self {
            id: webhook.id.to_string(),
            delivery: webhook.method.as_str(),
            url: webhook.url.as_str().to_owned(),
            events: webhook.subscriptions.iter().map(|subscription| subscription.as_str().to_owned()).collect(),
            audience: webhook.effective_audience(),
            headers: webhook.header_names.iter().map(|name| (name.to_string(), MASK)).collect(),
            enabled: webhook.state.is_switched_on(),
            declared: webhook.origin == Origin::Declared,
            status: webhook.state.as_str(),
            failing_since: match webhook.state {
                WebhookState::Failing { since, .. } | WebhookState::Unproven { since, .. } => Some(since.to_string()),
                _ => None,
            },
            format: webhook.format.as_str(),
            typ: webhook.token_type.as_str(),
            description: webhook.description,
            disabled_reason,
            disabled_at,
            signing_secret: None,
            encryption: webhook.encryption.as_ref().map(EncryptionView::of),
            pull_key: None,
            v1a: webhook.public_key.is_some(),
            public_key: webhook.public_key,
            client_certificate: webhook.client_certificate.map(CertificateView::of),
            retry: retry.map(|policy| RetryView { schedule: policy.waits().iter().map(Duration::as_secs).collect() }),
            timeout_seconds: webhook.handling.timeout.map(|timeout| timeout.as_secs()),
            rate_limit: webhook.handling.rate.map(DeliveryRate::get),
            activation: webhook.activation.map(|activation| ActivationView::of(activation, webhook.state)),
            last_delivery_at: webhook.last_delivery_at.map(|at| at.to_string()),
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
        }
    }

    /// Shows the signing secret and what its receiver collects with, this once.
    pub(super) fn with(self, secret: &Secret<String>, pull_key: Option<&PullKey>) -> Self {
        let pull_key = pull_key.map(|key| key.reveal().to_owned());
        Self { signing_secret: Some(secret.reveal().clone()), pull_key, ..self }
    }
}
