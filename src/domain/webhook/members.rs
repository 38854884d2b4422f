//! What each member of a webhook may be, whoever writes it: a request, or the configuration. Whoever reads one says which of
//! its members are wrong, all at once, so nothing here stops at the first.

use std::time::Duration;

use super::{
    AUDIENCE_CHARS_MAX, CustomHeaders, DESCRIPTION_CHARS_MAX, DeliveryRate, Encryption, Format, Handling, HeaderName,
    MalformedHeader, PlainHttp, SUBSCRIPTIONS_MAX, WebhookUrl,
};
use crate::domain::event_type::Subscription;
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;
use crate::domain::token::TokenType;

/// What is shown in the place of a header's value.
pub const MASK: &str = "***";

/// Collects what is wrong with members. A pointer is a JSON pointer (RFC 6901) into the webhook.
pub trait Faults {
    fn add(&mut self, pointer: impl Into<String>, detail: impl ToString);

    /// Keeps the value, or notes why there is none.
    fn take<T, E: ToString>(&mut self, pointer: impl Into<String>, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(pointer, error);
                None
            }
        }
    }
}

pub fn subscriptions(names: &[String], faults: &mut impl Faults) -> Vec<Subscription> {
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

pub fn description(text: String, faults: &mut impl Faults) -> Option<String> {
    let fits = text.chars().count() <= DESCRIPTION_CHARS_MAX && !text.contains('\0');
    let wanted = format!("is at most {DESCRIPTION_CHARS_MAX} characters, none of them U+0000");
    faults.take("/description", fits.then_some(text).ok_or(wanted))
}

pub fn format(text: &str, faults: &mut impl Faults) -> Option<Format> {
    let known: Vec<&str> = Format::ALL.into_iter().map(Format::as_str).collect();
    faults.take("/format", Format::parse(text).ok_or_else(|| format!("is one of: {}", known.join(", "))))
}

pub fn token_type(text: &str, faults: &mut impl Faults) -> Option<TokenType> {
    let known = TokenType::CHOICES.map(TokenType::as_str).join(", ");
    faults.take("/typ", TokenType::parse(text).ok_or_else(|| format!("is one of: {known}")))
}

pub fn audience(text: String, faults: &mut impl Faults) -> Option<String> {
    let fits = (1..=AUDIENCE_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let wanted = format!("is 1 to {AUDIENCE_CHARS_MAX} characters, none of them a control character");
    faults.take("/audience", fits.then_some(text).ok_or(wanted))
}

/// Headers by name; one without a value is to be taken away. Names are compared as HTTP does, whatever their case.
pub fn headers(
    named: impl IntoIterator<Item = (String, Option<String>)>,
    faults: &mut impl Faults,
) -> Vec<(HeaderName, Option<Secret<String>>)> {
    let mut headers: Vec<(HeaderName, Option<Secret<String>>)> = Vec::new();
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

/// The headers of one that has none yet.
pub fn all_headers(named: impl IntoIterator<Item = (String, String)>, faults: &mut impl Faults) -> CustomHeaders {
    let mut all = CustomHeaders::default();
    for (name, value) in headers(named.into_iter().map(|(name, value)| (name, Some(value))), faults) {
        match value.ok_or(MalformedHeader::Value).and_then(|value| all.set(name.clone(), value)) {
            // Said already, where the value is at fault.
            Ok(()) | Err(MalformedHeader::Value) => {}
            Err(error) => faults.add("/headers", error),
        }
    }
    all
}

/// Whom its data is encrypted to: a JWK as it was written, or the URL of a set of them.
pub fn encryption(
    (jwk, jwks_url): (Option<String>, Option<String>),
    plain_http: PlainHttp,
    faults: &mut impl Faults,
) -> Option<Encryption> {
    match (jwk, jwks_url) {
        (Some(jwk), None) => Some(Encryption::Key(jwk)),
        (None, Some(url)) => {
            faults.take("/encryption/jwks_url", WebhookUrl::parse(&url, plain_http)).map(Encryption::KeySet)
        }
        (None, None) => {
            faults.add("/encryption", "has neither `jwk` nor `jwks_url`; write one of them");
            None
        }
        (Some(_), Some(_)) => {
            faults.add("/encryption", "has both `jwk` and `jwks_url`; write one of them");
            None
        }
    }
}

/// A schedule of waits in seconds.
pub fn retry_policy(schedule: &[u64], faults: &mut impl Faults) -> Option<RetryPolicy> {
    faults.take("/retry/schedule", Handling::retry_policy(schedule))
}

pub fn timeout(seconds: u64, faults: &mut impl Faults) -> Option<Duration> {
    faults.take("/timeout_seconds", Handling::timeout(seconds))
}

pub fn rate(count: u32, faults: &mut impl Faults) -> Option<DeliveryRate> {
    faults.take("/rate_limit", DeliveryRate::per_second(count))
}
