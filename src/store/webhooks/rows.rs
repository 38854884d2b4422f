//! A webhook as its table holds it.

use std::time::Duration;

use crate::domain::event_type::Subscription;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::retry::RetryPolicy;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenType;
use crate::domain::webhook::{
    Activation, ActivationMethod, ClientCertificate, DeliveryMethod, DeliveryRate, DisabledReason, Encryption, Format,
    Handling, HeaderName, Origin, Webhook, WebhookState, WebhookUrl,
};
use crate::store::Result;
use crate::store::record::{Record, Row};

/// Why a webhook is disabled whose receiver has not shown yet that it wants deliveries.
const PENDING: &str = "pending";

/// The columns that are not written as they are.
pub(super) struct WebhookRow<'w> {
    pub(super) events: String,
    pub(super) disabled_at: Option<i64>,
    pub(super) disabled_reason: Option<&'static str>,
    pub(super) failing_since: Option<i64>,
    pub(super) warned_at: Option<i64>,
    pub(super) unproven_since: Option<i64>,
    pub(super) activation: Option<&'static str>,
    pub(super) challenge_every: Option<i64>,
    pub(super) challenge_due_at: Option<i64>,
    pub(super) header_names: String,
    pub(super) retry_waits: Option<String>,
    pub(super) timeout_seconds: Option<i64>,
    pub(super) rate_limit: Option<i64>,
    pub(super) is_declared: i64,
    pub(super) encryption_jwk: Option<&'w str>,
    pub(super) encryption_jwks_url: Option<&'w str>,
    pub(super) client_chain: Option<String>,
    pub(super) client_subject: Option<String>,
    pub(super) client_expires_at: Option<i64>,
}

impl<'w> WebhookRow<'w> {
    pub(super) fn of(webhook: &'w Webhook) -> Self {
        let Handling { retry_policy, timeout, rate } = &webhook.handling;
        let (disabled_at, disabled_reason) = match webhook.state {
            WebhookState::Enabled | WebhookState::Failing { .. } | WebhookState::Unproven { .. } => (None, None),
            WebhookState::Pending { since } => (Some(since.as_micros()), Some(PENDING)),
            WebhookState::Disabled { at, reason } => (Some(at.as_micros()), Some(reason.as_str())),
        };
        let activation = webhook.activation.as_ref();
        let client = webhook.client_certificate.as_ref();
        let every = activation.and_then(|activation| activation.every);
        let (failing_since, unproven_since, warned_at) = match webhook.state {
            WebhookState::Enabled | WebhookState::Pending { .. } | WebhookState::Disabled { .. } => (None, None, None),
            WebhookState::Failing { since, warned_at } => (Some(since), None, warned_at),
            WebhookState::Unproven { since, warned_at } => (None, Some(since), warned_at),
        };
        Self {
            events: joined(webhook.subscriptions.iter().map(Subscription::as_str)),
            disabled_at,
            disabled_reason,
            failing_since: failing_since.map(Timestamp::as_micros),
            warned_at: warned_at.map(Timestamp::as_micros),
            unproven_since: unproven_since.map(Timestamp::as_micros),
            activation: activation.map(|activation| activation.method.as_str()),
            challenge_every: every.and_then(|every| i64::try_from(every.as_secs()).ok()),
            challenge_due_at: activation.and_then(|activation| activation.due_at).map(Timestamp::as_micros),
            header_names: joined(webhook.header_names.iter().map(HeaderName::as_str)),
            retry_waits: retry_policy.as_ref().map(written),
            timeout_seconds: timeout.and_then(|timeout| i64::try_from(timeout.as_secs()).ok()),
            rate_limit: rate.map(|rate| i64::from(rate.get())),
            is_declared: i64::from(webhook.origin == Origin::Declared),
            encryption_jwk: webhook.encryption.as_ref().and_then(Encryption::jwk),
            encryption_jwks_url: webhook.encryption.as_ref().and_then(Encryption::jwks_url).map(WebhookUrl::as_str),
            client_chain: client.map(|client| client.chain.clone()),
            client_subject: client.map(|client| client.subject.clone()),
            client_expires_at: client.map(|client| client.expires_at.as_micros()),
        }
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" ")
}

fn written(policy: &RetryPolicy) -> String {
    policy.waits().iter().map(|wait| wait.as_secs().to_string()).collect::<Vec<_>>().join(" ")
}

pub(super) fn webhook(row: &Row) -> Result<Webhook> {
    let record = Record::new("webhooks", row);
    let state = match (record.instant_or_null("disabled_at")?, record.instant_or_null("failing_since")?) {
        (Some(since), _) if record.text_or_null("disabled_reason")?.as_deref() == Some(PENDING) => {
            WebhookState::Pending { since }
        }
        (Some(at), _) => WebhookState::Disabled { at, reason: record.word("disabled_reason", DisabledReason::parse)? },
        (None, Some(since)) => WebhookState::Failing { since, warned_at: record.instant_or_null("warned_at")? },
        (None, None) => match record.instant_or_null("unproven_since")? {
            Some(since) => WebhookState::Unproven { since, warned_at: record.instant_or_null("warned_at")? },
            None => WebhookState::Enabled,
        },
    };
    let names = record.text("events")?;
    let subscriptions: std::result::Result<Vec<Subscription>, _> = names.split_whitespace().map(str::parse).collect();
    let header_names = record.text("header_names")?;
    let header_names: Option<Vec<_>> = header_names.split_whitespace().map(HeaderName::from_record).collect();
    Ok(Webhook {
        id: WebhookId::from_bytes(record.id("id")?),
        tenant_id: TenantId::from_bytes(record.id("tenant_id")?),
        method: record.word("delivery_method", DeliveryMethod::parse)?,
        url: record.word("url", WebhookUrl::from_record)?,
        subscriptions: subscriptions.map_err(|_| record.corrupt("events", "not event types"))?,
        description: record.text("description")?,
        format: record.word("format", Format::parse)?,
        token_type: record.word("token_type", TokenType::parse)?,
        public_key: record.text_or_null("public_key")?,
        client_certificate: client_certificate(&record)?,
        audience: record.text_or_null("audience")?,
        encryption: encryption(&record)?,
        header_names: header_names.ok_or_else(|| record.corrupt("header_names", "not names of headers"))?,
        handling: handling(&record)?,
        activation: activation(&record)?,
        origin: if record.int("is_declared")? == 1 { Origin::Declared } else { Origin::Registered },
        state,
        version: record.int("version")?,
        last_delivery_at: record.instant_or_null("last_delivery_at")?,
        created_at: record.instant("created_at")?,
        updated_at: record.instant("updated_at")?,
    })
}

fn encryption(record: &Record<'_>) -> Result<Option<Encryption>> {
    if let Some(jwk) = record.text_or_null("encryption_jwk")? {
        return Ok(Some(Encryption::Key(jwk)));
    }
    if record.text_or_null("encryption_jwks_url")?.is_none() {
        return Ok(None);
    }
    record.word("encryption_jwks_url", WebhookUrl::from_record).map(|url| Some(Encryption::KeySet(url)))
}

fn client_certificate(record: &Record<'_>) -> Result<Option<ClientCertificate>> {
    let (chain, subject) = (record.text_or_null("client_chain")?, record.text_or_null("client_subject")?);
    let expires_at = record.instant_or_null("client_expires_at")?;
    let certificate = chain.zip(subject).zip(expires_at);
    Ok(certificate.map(|((chain, subject), expires_at)| ClientCertificate { subject, expires_at, chain }))
}

fn handling(record: &Record<'_>) -> Result<Handling> {
    let retry_policy = record.text_or_null("retry_waits")?.map(|waits| {
        let seconds: std::result::Result<Vec<u64>, _> = waits.split_whitespace().map(str::parse).collect();
        let policy = seconds.ok().and_then(|seconds| Handling::retry_policy(&seconds).ok());
        policy.ok_or_else(|| record.corrupt("retry_waits", "not a schedule"))
    });
    let timeout = record.int_or_null("timeout_seconds")?.map(|seconds| {
        let timeout = u64::try_from(seconds).ok().and_then(|seconds| Handling::timeout(seconds).ok());
        timeout.ok_or_else(|| record.corrupt("timeout_seconds", "not a timeout"))
    });
    let rate = record.int_or_null("rate_limit")?.map(|count| {
        let rate = u32::try_from(count).ok().and_then(|count| DeliveryRate::per_second(count).ok());
        rate.ok_or_else(|| record.corrupt("rate_limit", "not a rate"))
    });
    Ok(Handling { retry_policy: retry_policy.transpose()?, timeout: timeout.transpose()?, rate: rate.transpose()? })
}

fn activation(record: &Record<'_>) -> Result<Option<Activation>> {
    if record.text_or_null("activation")?.is_none() {
        return Ok(None);
    }
    let method = record.word("activation", ActivationMethod::parse)?;
    let every = record.int_or_null("challenge_every_seconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    let activation = Activation::new(method, every.map(Duration::from_secs));
    let activation = activation.map_err(|_| record.corrupt("challenge_every_seconds", "not an interval"))?;
    Ok(Some(Activation { due_at: record.instant_or_null("challenge_due_at")?, ..activation }))
}
