//! Format `set`: a Security Event Token (RFC 8417) as the whole body, pushed as RFC 8935 has it. It has neither `exp` nor `sub`,
//! which the Shared Signals Framework forbids; whom it concerns is said by `sub_id` (RFC 9493).

use std::borrow::Cow;
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Draft, Envelope, Letter, Occasion, Style};
use crate::domain::event::Event;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenType, Validity};

pub(super) const STYLE: Style =
    Style { content_type: "application/secevent+jwt", carries_token: true, encrypted: Some(as_object), draft, dress };

/// An event is an object. It names nobody, so `sub_id` is the tenant's and there is no `txn`: what the data says of whom it
/// concerns is part of what was encrypted, and stands nowhere beside it.
fn as_object(jwe: &str) -> String {
    format!(r#"{{"jwe":"{jwe}"}}"#)
}

/// What the names of claims and an event's URI add up to at most, roughly: it saves growing, no more.
const CLAIMS_BYTES: usize = 512;

/// The claims that stand before `sub_id` and `events`.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    /// The event's id: the same on every attempt and replay, so that a receiver knows it again (RFC 8935 2.2).
    jti: &'a str,
    aud: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    txn: Option<Cow<'a, str>>,
    /// When it happened.
    toe: i64,
}

/// What an event's data may say of whom it concerns. Each is looked at in this order.
#[derive(Default, Deserialize)]
struct Told<'a> {
    /// A subject identifier as it shall be sent.
    #[serde(borrow, default)]
    sub_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    txn: Option<&'a RawValue>,
}

/// A subject identifier, as far as all of them are alike (RFC 9493 3).
#[derive(Deserialize)]
struct SubjectId<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

fn draft<'a>(event: &'a Event, envelope: &'a Envelope<'a>, now: Timestamp) -> io::Result<Draft<'a>> {
    // An object alone has members; a list would be read as if it had them in order.
    let is_object = event.payload.trim_ascii_start().starts_with(b"{");
    let told = Some(&event.payload).filter(|_| is_object).and_then(|data| serde_json::from_slice(data).ok());
    let told: Told<'_> = told.unwrap_or_default();
    let before = Claims {
        iss: envelope.issuer,
        iat: Validity::starting(now, envelope.ttl).iat,
        jti: &event.id.to_string(),
        aud: [envelope.audience],
        txn: told.txn.and_then(|txn| serde_json::from_str(txn.get()).ok()),
        toe: event.occurred_at.as_seconds(),
    };
    let mut claims = Vec::with_capacity(CLAIMS_BYTES + event.payload.len());
    serde_json::to_writer(&mut claims, &before)?;
    // The object is opened again for what follows.
    claims.pop();
    claims.extend_from_slice(br#","sub_id":"#);
    write_subject(&mut claims, &told, event)?;
    claims.extend_from_slice(br#","events":{"#);
    serde_json::to_writer(&mut claims, &envelope.dialect.event_uri(envelope.issuer, &event.event_type))?;
    claims.push(b':');
    // Each event is an object (RFC 8417 2.2), which data need not be. Its bytes go through untouched, numbers and all.
    claims.extend_from_slice(if is_object { b"" } else { br#"{"data":"# });
    claims.extend_from_slice(&event.payload);
    claims.extend_from_slice(if is_object { b"}}" } else { b"}}}" });
    Ok(Draft::Token { before: [""; 3], token_type: TokenType::SecurityEvent, claims, after: "" })
}

/// The data's own subject identifier; or else the id that it names, which only the two sides understand; or else the tenant's,
/// whom everything concerns.
fn write_subject(claims: &mut Vec<u8>, told: &Told<'_>, event: &Event) -> io::Result<()> {
    let is_subject = |given: &&RawValue| {
        let subject = serde_json::from_str::<SubjectId<'_>>(given.get());
        given.get().starts_with('{') && subject.is_ok_and(|subject| !subject.format.is_empty())
    };
    if let Some(given) = told.sub_id.filter(is_subject) {
        claims.extend_from_slice(given.get().as_bytes());
        return Ok(());
    }
    let of_user = || told.user.and_then(|user| serde_json::from_str::<Identified<'_>>(user.get()).ok());
    let named = told.user_id.or_else(|| of_user().map(|user| user.id)).or(told.id).and_then(identifier);
    let id = named.unwrap_or_else(|| event.tenant_id.to_string());
    claims.extend_from_slice(br#"{"format":"opaque","id":"#);
    serde_json::to_writer(&mut *claims, &id)?;
    claims.write_all(b"}")
}

/// A text as it is, and a number in its own digits; nothing else identifies anybody.
fn identifier(value: &RawValue) -> Option<String> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(text).ok().filter(|id| !id.is_empty()),
        b'-' | b'0'..=b'9' => Some(text.to_owned()),
        _ => None,
    }
}

fn dress(_: &Event, _: &Envelope<'_>, _: Occasion, letter: &mut Letter) {
    letter.own_headers = vec![("accept".to_owned(), "application/json".to_owned())];
}
