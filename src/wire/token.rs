//! Format `token`: `{"event","token"}`, the token a JWS that any JOSE library verifies against the JWKS.

use std::io::{self, Write as _};

use bytes::Bytes;
use serde::Serialize;

use super::{Draft, Envelope, JSON, Style, as_it_is, as_text};
use crate::domain::event::Event;
use crate::domain::time::Timestamp;
use crate::domain::token::Validity;

pub(super) const STYLE: Style =
    Style { content_type: JSON, carries_token: true, encrypted: Some(as_text), draft, dress: as_it_is };

/// What an event type, an instant and the names of claims add up to at most, roughly: it saves growing, no more.
const CLAIMS_BYTES: usize = 512;

/// The claims of a webhook token that stand before `data`.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: [&'a str; 1],
    iat: i64,
    exp: i64,
    /// The event's id: the same on every attempt and replay, equal to the header `webhook-id`.
    jti: &'a str,
    evt: &'a str,
}

fn draft<'a>(event: &'a Event, envelope: &'a Envelope<'a>, now: Timestamp) -> io::Result<Draft<'a>> {
    let claims = claims(event, &event.id.to_string(), envelope, Validity::starting(now, envelope.ttl))?;
    // Neither an event type nor a token holds a character that JSON escapes.
    let before = [r#"{"event":""#, event.event_type.as_str(), r#"","token":""#];
    Ok(Draft::Token { before, token_type: envelope.token_type, claims, after: r#""}"# })
}

/// A body whose token's signature begins with another character, and so with other bits.
pub fn with_wrong_signature(body: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    if let Some(dot) = body.iter().rposition(|byte| *byte == b'.')
        && let Some(first) = body.get_mut(dot + 1)
    {
        *first = if *first == b'A' { b'B' } else { b'A' };
    }
    Bytes::from(body)
}

/// The claims as JSON. `data` was found to be JSON when it was accepted and goes through untouched, so that its numbers
/// leave as they came; it is not read again for each attempt.
fn claims(event: &Event, jti: &str, envelope: &Envelope<'_>, validity: Validity) -> io::Result<Vec<u8>> {
    let before = Claims {
        iss: envelope.issuer,
        sub: envelope.subject,
        aud: [envelope.audience],
        iat: validity.iat,
        exp: validity.exp,
        jti,
        evt: event.event_type.as_str(),
    };
    let mut claims = Vec::with_capacity(CLAIMS_BYTES + event.payload.len());
    serde_json::to_writer(&mut claims, &before)?;
    // The object is opened again for what follows.
    claims.pop();
    claims.extend_from_slice(br#","data":"#);
    claims.extend_from_slice(&event.payload);
    write!(claims, r#","evt_at":"{}"}}"#, event.occurred_at)?;
    Ok(claims)
}
