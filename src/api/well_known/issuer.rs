//! `webhook-issuer`: everything a receiver needs to set itself up, so that nobody copies numbers out of a manual. Every
//! number here is one that the code goes by.

use std::borrow::Cow;

use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{algorithms, published};
use crate::api::openapi::{Answer, Described, shapes};
use crate::api::problem::Problem;
use crate::domain::delivery::ATTEMPT_WITHIN;
use crate::domain::key_ring::Profile;
use crate::domain::retry::{Jitter, RETRY_AFTER_MAX};
use crate::domain::token::{TokenType, Validity};
use crate::domain::webhook::Format;
use crate::engine::Terms;
use crate::engine::keys::TenantKeys;

/// How far a receiver's clock may be off and still accept every token: what is dated back on this side covers one that is
/// behind by so much, and one that is ahead should allow as much.
const LEEWAY_SECONDS: i64 = Validity::BACKDATED_SECONDS;

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookIssuer)]
struct Document<'a> {
    #[schema(value_type = shapes::Url)]
    issuer: &'a str,
    #[schema(value_type = shapes::Url)]
    jwks_uri: String,
    /// The one in use first.
    #[schema(value_type = Vec<shapes::Algorithm>)]
    signing_alg_values_supported: Vec<&'static str>,
    #[schema(value_type = Vec<shapes::Format>)]
    formats_supported: Vec<&'static str>,
    dialect: Spoken<'a>,
    token: Tokens,
    retries: Retries,
    keys: Keys,
}

/// What headers and URIs are like where that is the tenant's choice.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuerDialect)]
struct Spoken<'a> {
    #[schema(value_type = shapes::HeaderPrefix)]
    header_prefix: &'a str,
    #[schema(value_type = shapes::SignatureScheme)]
    signature_scheme: &'static str,
    #[schema(value_type = shapes::EventBase)]
    event_base: Cow<'a, str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = IssuerTokens)]
struct Tokens {
    /// What its header says as `typ`, unless the webhook chose another one of those below.
    typ: &'static str,
    #[schema(value_type = Vec<shapes::TokenType>)]
    typ_values_supported: Vec<&'static str>,
    /// From its `iat` to its `exp`.
    lifetime_seconds: u16,
    /// By how much its `iat` is earlier than the instant at which it was signed.
    backdated_seconds: i64,
    /// What a receiver should allow its own clock.
    leeway_seconds: i64,
    subject: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = IssuerRetries)]
struct Retries {
    /// How long a receiver may take to answer.
    timeout_seconds: u64,
    /// Before each attempt, from the one before; the first is made at once.
    waits_seconds: Vec<u64>,
    /// By which share a wait may be longer.
    jitter_max: f64,
    /// The longest `Retry-After` that is honoured.
    retry_after_max_seconds: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = IssuerKeys)]
struct Keys {
    #[schema(value_type = shapes::Profile)]
    profile: &'static str,
    /// How long one signs before the next one does.
    period_seconds: u64,
    /// How long one is published before it signs: a receiver that caches the set for less never meets an unknown key.
    publish_ahead_seconds: u64,
    /// How long one stays published after its last signature.
    grace_seconds: u64,
    /// How long the set may be cached.
    jwks_max_age_seconds: u64,
}

pub(super) fn described(id: &str) -> Described {
    let example = json!({
        "issuer": "https://signet.example.com", "jwks_uri": "https://signet.example.com/.well-known/jwks.json",
        "signing_alg_values_supported": ["ES256"], "formats_supported": Format::ALL.map(Format::as_str),
        "dialect": {"header_prefix": "Signet", "signature_scheme": "sha256", "event_base": "https://signet.example.com/events/"},
        "token": {
            "typ": "JWT", "typ_values_supported": ["JWT", "webhook+jwt"], "lifetime_seconds": 300, "backdated_seconds": 5,
            "leeway_seconds": 5, "subject": "signet webhooks",
        },
        "retries": {"timeout_seconds": 30, "waits_seconds": [0, 5, 300], "jitter_max": 0.2, "retry_after_max_seconds": 86_400},
        "keys": {
            "profile": "standard", "period_seconds": 7_776_000, "publish_ahead_seconds": 604_800, "grace_seconds": 604_800,
            "jwks_max_age_seconds": 300,
        },
    });
    let words = "Everything a receiver needs to set itself up, so that nobody copies numbers out of a manual.";
    Described::new(id, "How deliveries are signed and retried", words)
        .answers::<Document>(Answer::ok("The document."), example, &[])
        .refuses([Problem::unavailable()])
}

pub(super) fn shown(keys: &TenantKeys, terms: &Terms) -> Response {
    let (profile, margins): (Profile, _) = (keys.policy.profile(), keys.policy.margins());
    let dialect = &keys.tenant.dialect;
    let document = Document {
        issuer: &keys.issuer,
        jwks_uri: format!("{}/.well-known/jwks.json", keys.issuer),
        signing_alg_values_supported: algorithms(keys),
        formats_supported: Format::ALL.map(Format::as_str).to_vec(),
        dialect: Spoken {
            header_prefix: dialect.prefix.as_str(),
            signature_scheme: dialect.scheme.as_str(),
            event_base: dialect.event_base_of(&keys.issuer),
        },
        token: Tokens {
            typ: TokenType::Jwt.as_str(),
            typ_values_supported: TokenType::CHOICES.map(TokenType::as_str).to_vec(),
            lifetime_seconds: keys.tenant.token_ttl.as_seconds(),
            backdated_seconds: Validity::BACKDATED_SECONDS,
            leeway_seconds: LEEWAY_SECONDS,
            subject: keys.tenant.token_subject.clone(),
        },
        retries: Retries {
            timeout_seconds: ATTEMPT_WITHIN.as_secs(),
            waits_seconds: [0]
                .into_iter()
                .chain(terms.retry_policy.waits().iter().map(|wait| wait.as_secs()))
                .collect(),
            jitter_max: Jitter::SHARE_MAX,
            retry_after_max_seconds: RETRY_AFTER_MAX.as_secs(),
        },
        keys: Keys {
            profile: profile.as_str(),
            period_seconds: margins.period.as_secs(),
            publish_ahead_seconds: margins.publish_ahead.as_secs(),
            grace_seconds: margins.grace.as_secs(),
            jwks_max_age_seconds: profile.jwks_max_age().as_secs(),
        },
    };
    published(&document, keys)
}
