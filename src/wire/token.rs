//! Format `token`: `{"event","token"}`, the token a JWS that any JOSE library verifies against the JWKS.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Envelope;
use crate::domain::event::Event;
use crate::domain::token::Validity;
use crate::signing::SigningError;

/// The claims of a webhook token. `data` goes through as text: its numbers leave as they came.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: [&'a str; 1],
    iat: i64,
    exp: i64,
    /// The event's id: the same on every attempt and replay, equal to the header `webhook-id`.
    jti: String,
    evt: &'a str,
    data: &'a RawValue,
    evt_at: String,
}

#[derive(Serialize)]
struct Body<'a> {
    event: &'a str,
    token: &'a str,
}

/// The signed body.
pub fn body(event: &Event, envelope: &Envelope<'_>, validity: Validity) -> Result<Bytes, SigningError> {
    let event_type = event.event_type.as_str();
    let claims = Claims {
        iss: envelope.issuer,
        sub: envelope.subject,
        aud: [envelope.audience],
        iat: validity.iat,
        exp: validity.exp,
        jti: event.id.to_string(),
        evt: event_type,
        data: serde_json::from_slice(&event.payload).map_err(|_| SigningError::Signature)?,
        evt_at: event.occurred_at.to_string(),
    };
    let claims = serde_json::to_vec(&claims).map_err(|_| SigningError::Signature)?;
    let token = envelope.signer.sign(&claims)?;
    let body = serde_json::to_vec(&Body { event: event_type, token: &token }).map_err(|_| SigningError::Signature)?;
    Ok(Bytes::from(body))
}
