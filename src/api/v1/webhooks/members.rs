//! What each member of a webhook may be.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use crate::api::body::{Faults, Whole};
use crate::api::openapi::shapes;
use crate::domain::event_type::Subscription;
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;
use crate::domain::webhook::{
    AUDIENCE_CHARS_MAX, Activation, ActivationMethod, CustomHeaders, DESCRIPTION_CHARS_MAX, DeliveryRate, Format,
    Handling, HeaderName, MalformedHeader, SUBSCRIPTIONS_MAX, WAITS_MAX,
};

/// What is shown in the place of a header's value.
pub(super) const MASK: &str = "***";
/// How long two secrets may sign.
pub(super) const OVERLAP_SECONDS_MAX: u64 = 7 * 24 * 3_600;
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
    let wait = shapes::integer(1, 604_800).description(Some("Seconds before the next attempt."));
    ArrayBuilder::new().items(wait).max_items(Some(WAITS_MAX)).into()
}

pub(super) fn subscriptions(names: &[String], faults: &mut Faults) -> Vec<Subscription> {
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

pub(super) fn description(text: String, faults: &mut Faults) -> Option<String> {
    let fits = text.chars().count() <= DESCRIPTION_CHARS_MAX && !text.contains('\0');
    let wanted = format!("is at most {DESCRIPTION_CHARS_MAX} characters, none of them U+0000");
    faults.take("/description", fits.then_some(text).ok_or(wanted))
}

pub(super) fn format(text: &str, faults: &mut Faults) -> Option<Format> {
    let known: Vec<&str> = Format::ALL.into_iter().map(Format::as_str).collect();
    faults.take("/format", Format::parse(text).ok_or_else(|| format!("is one of: {}", known.join(", "))))
}

pub(super) fn audience(text: String, faults: &mut Faults) -> Option<String> {
    let fits = (1..=AUDIENCE_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let wanted = format!("is 1 to {AUDIENCE_CHARS_MAX} characters, none of them a control character");
    faults.take("/audience", fits.then_some(text).ok_or(wanted))
}

/// Headers by name; null takes one away. Names are compared as HTTP does, whatever their case.
pub(super) fn headers(
    named: BTreeMap<String, Option<String>>,
    faults: &mut Faults,
) -> Vec<(HeaderName, Option<Secret<String>>)> {
    let mut headers: Vec<(HeaderName, Option<Secret<String>>)> = Vec::with_capacity(named.len());
    for (text, value) in named {
        let pointer = format!("/headers/{}", text.replace('~', "~0").replace('/', "~1"));
        let Some(name) = faults.take(&pointer, HeaderName::parse(&text)) else { continue };
        if headers.iter().any(|(present, _)| *present == name) {
            faults.add(pointer, MalformedHeader::Twice);
            continue;
        }
        match value.as_deref() {
            Some(MASK) => faults.add(pointer, "is the mask that is shown; send the value, or leave the header out"),
            Some(value) => drop(faults.take(pointer, CustomHeaders::check_value(value))),
            None => {}
        }
        headers.push((name, value.map(Secret::new)));
    }
    headers
}

/// The headers of a new webhook.
pub(super) fn all_headers(named: BTreeMap<String, Option<String>>, faults: &mut Faults) -> CustomHeaders {
    let mut all = CustomHeaders::default();
    for (name, value) in headers(named, faults) {
        match value.ok_or(MalformedHeader::Value).and_then(|value| all.set(name.clone(), value)) {
            // Said already, where the value is at fault.
            Ok(()) | Err(MalformedHeader::Value) => {}
            Err(error) => faults.add("/headers", error),
        }
    }
    all
}

pub(super) fn retry_policy(retry: &Retry, faults: &mut Faults) -> Option<RetryPolicy> {
    let seconds: Vec<u64> = retry.schedule.iter().map(|Whole(seconds)| *seconds).collect();
    faults.take("/retry/schedule", Handling::retry_policy(&seconds))
}

pub(super) fn timeout(Whole(seconds): Whole<u64>, faults: &mut Faults) -> Option<Duration> {
    faults.take("/timeout_seconds", Handling::timeout(seconds))
}

pub(super) fn rate(Whole(count): Whole<u32>, faults: &mut Faults) -> Option<DeliveryRate> {
    faults.take("/rate_limit", DeliveryRate::per_second(count))
}

pub(super) fn overlap(seconds: Option<Whole<u64>>, faults: &mut Faults) -> Duration {
    let seconds = seconds.map_or(OVERLAP_SECONDS_STANDARD, |Whole(seconds)| seconds);
    if seconds > OVERLAP_SECONDS_MAX {
        faults.add("/overlap_seconds", format!("is at most {OVERLAP_SECONDS_MAX}, a week; 0 ends the old one at once"));
    }
    Duration::from_secs(seconds)
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
