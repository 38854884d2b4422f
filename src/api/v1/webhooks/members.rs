//! What each member of a webhook may be: mostly what the domain says of it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use crate::api::body::{Faults, Whole};
use crate::api::openapi::shapes;
use crate::api::problem::OF_SENDING;
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;
use crate::domain::webhook::handling::WAIT_MAX;
use crate::domain::webhook::secret::OVERLAP_SECONDS_MAX;
use crate::domain::webhook::{
    Activation, ActivationMethod, ClientCertificateWish, DeliveryMethod, DeliveryRate, Encryption, PlainHttp,
    WAITS_MAX, members,
};
use crate::engine::encryption;

pub(super) use crate::domain::webhook::members::{
    MASK, all_headers, audience, description, format, headers, subscriptions, token_type,
};

pub(super) const OVERLAP_SECONDS_STANDARD: u64 = 24 * 3_600;

/// A schedule of a webhook's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryWish)]
pub(super) struct Retry {
    #[schema(schema_with = waits)]
    schedule: Vec<Whole<u64>>,
}

/// What a schedule may be, as it is described: beside this, all of it lasts 14 days at most.
fn waits() -> Schema {
    let wait = shapes::seconds(Duration::from_secs(1), WAIT_MAX).description(Some("Seconds before the next attempt."));
    ArrayBuilder::new().items(wait).max_items(Some(WAITS_MAX)).into()
}

pub(super) fn retry_policy(retry: &Retry, faults: &mut Faults) -> Option<RetryPolicy> {
    let seconds: Vec<u64> = retry.schedule.iter().map(|Whole(seconds)| *seconds).collect();
    members::retry_policy(&seconds, faults)
}

pub(super) fn timeout(Whole(seconds): Whole<u64>, faults: &mut Faults) -> Option<Duration> {
    members::timeout(seconds, faults)
}

pub(super) fn rate(Whole(count): Whole<u32>, faults: &mut Faults) -> Option<DeliveryRate> {
    members::rate(count, faults)
}

pub(super) fn method(text: &str, faults: &mut Faults) -> Option<DeliveryMethod> {
    let known = DeliveryMethod::ALL.map(DeliveryMethod::as_str).join(", ");
    faults.take("/delivery", DeliveryMethod::parse(text).ok_or_else(|| format!("is one of: {known}")))
}

/// Refuses those of these members that are there.
pub(super) fn refuse_of_sending(members: &[(&str, bool)], faults: &mut Faults) {
    for (name, _) in members.iter().filter(|(_, is_there)| *is_there) {
        faults.add(format!("/{name}"), OF_SENDING);
    }
}

pub(in crate::api::v1) fn overlap(seconds: Option<Whole<u64>>, faults: &mut Faults) -> Duration {
    let seconds = seconds.map_or(OVERLAP_SECONDS_STANDARD, |Whole(seconds)| seconds);
    if seconds > OVERLAP_SECONDS_MAX {
        faults
            .add("/overlap_seconds", format!("is at most {OVERLAP_SECONDS_MAX}, a week; 0 ends all old ones at once"));
    }
    Duration::from_secs(seconds)
}

/// Whom the data of its deliveries is encrypted to: a key, or where the receiver publishes some.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EncryptionWish {
    // As it comes: what a parser would say of it might repeat a private key.
    jwk: Option<Value>,
    jwks_url: Option<String>,
}

pub(super) fn encryption(wish: EncryptionWish, plain_http: PlainHttp, faults: &mut Faults) -> Option<Encryption> {
    let given = (wish.jwk.map(|jwk| jwk.to_string()), wish.jwks_url);
    let judged = members::encryption(given, plain_http, faults).map(encryption::judged).transpose();
    judged.unwrap_or_else(|against| {
        against.into_iter().for_each(|fault| faults.add(fault.pointer, fault.detail));
        None
    })
}

/// What its receiver must show before it is sent anything.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivationWish {
    #[schema(value_type = shapes::ActivationMethod)]
    method: String,
    #[schema(value_type = Option<shapes::ActivationInterval>)]
    every_seconds: Option<Whole<u64>>,
}

pub(super) fn activation(wish: &ActivationWish, faults: &mut Faults) -> Option<Activation> {
    let known: Vec<&str> = ActivationMethod::ALL.into_iter().map(ActivationMethod::as_str).collect();
    let method = ActivationMethod::parse(&wish.method).ok_or_else(|| format!("is one of: {}", known.join(", ")));
    let method = faults.take("/activation/method", method)?;
    faults.take(
        "/activation/every_seconds",
        Activation::new(method, wish.every_seconds.map(|Whole(seconds)| Duration::from_secs(seconds))),
    )
}

/// What deliveries show receivers that want to know who comes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientCertificateWish)]
pub(super) struct CertificateWish {
    #[schema(value_type = shapes::ClientChain)]
    certificate: String,
    #[schema(value_type = shapes::ClientKey)]
    private_key: String,
}

impl From<CertificateWish> for ClientCertificateWish {
    fn from(wish: CertificateWish) -> Self {
        Self { chain: wish.certificate, private_key: Secret::new(wish.private_key) }
    }
}
