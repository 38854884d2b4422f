//! A webhook as it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::members::MASK;
use crate::domain::secret::Secret;
use crate::domain::webhook::{Activation, DeliveryRate, Webhook, WebhookState};

/// Its signing secret is shown once, when it is made.
#[derive(Serialize)]
pub(in crate::api::v1) struct WebhookView {
    id: String,
    url: String,
    events: Vec<String>,
    description: String,
    format: &'static str,
    audience: String,
    /// Its own headers, with a mask for each value.
    headers: BTreeMap<String, &'static str>,
    enabled: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<ActivationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivery_at: Option<String>,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct RetryView {
    /// The wait before each attempt after the first, in seconds.
    schedule: Vec<u64>,
}

/// What its receiver must show before it is sent anything.
#[derive(Serialize)]
struct ActivationView {
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
}

impl ActivationView {
    fn of(activation: Activation) -> Self {
        Self {
            method: activation.method.as_str(),
            every_seconds: activation.every.map(|every| every.as_secs()),
            due_at: activation.due_at.map(|at| at.to_string()),
        }
    }
}

impl WebhookView {
    pub(super) fn of(webhook: Webhook) -> Self {
        let (disabled_at, disabled_reason) = match webhook.state {
            WebhookState::Enabled | WebhookState::Failing { .. } | WebhookState::Pending { .. } => (None, None),
            WebhookState::Disabled { at, reason } => (Some(at.to_string()), Some(reason.as_str())),
        };
        let retry = webhook.handling.retry_policy.as_ref();
        Self {
            id: webhook.id.to_string(),
            url: webhook.url.as_str().to_owned(),
            events: webhook.subscriptions.iter().map(|subscription| subscription.as_str().to_owned()).collect(),
            audience: webhook.effective_audience(),
            headers: webhook.header_names.iter().map(|name| (name.to_string(), MASK)).collect(),
            enabled: webhook.state.is_enabled(),
            status: webhook.state.as_str(),
            failing_since: match webhook.state {
                WebhookState::Failing { since, .. } => Some(since.to_string()),
                _ => None,
            },
            format: webhook.format.as_str(),
            description: webhook.description,
            disabled_reason,
            disabled_at,
            signing_secret: None,
            retry: retry.map(|policy| RetryView { schedule: policy.waits().iter().map(Duration::as_secs).collect() }),
            timeout_seconds: webhook.handling.timeout.map(|timeout| timeout.as_secs()),
            rate_limit: webhook.handling.rate.map(DeliveryRate::get),
            activation: webhook.activation.map(ActivationView::of),
            last_delivery_at: webhook.last_delivery_at.map(|at| at.to_string()),
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
        }
    }

    /// Shows the signing secret, this once.
    pub(super) fn with(self, secret: &Secret<String>) -> Self {
        Self { signing_secret: Some(secret.reveal().clone()), ..self }
    }
}
