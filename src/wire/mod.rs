//! How a delivery is written: one file per format, all of them pure.
//!
//! A format turns an event and what is known of its receiver into headers and a body. It decides nothing about when or
//! whether, and opens no connection. Every format carries the Standard Webhooks headers besides its own.

pub mod standard;
pub mod token;

use bytes::Bytes;

use crate::domain::event::Event;
use crate::domain::key_ring::Kid;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenTtl, Validity};
use crate::signing::digest::WebhookSecret;
use crate::signing::{Signer, SigningError};

/// Who a delivery is from, who it is for, and what they agreed on.
pub struct Envelope<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub audience: &'a str,
    pub ttl: TokenTtl,
    pub signer: &'a Signer,
    pub secret: &'a WebhookSecret,
}

/// A delivery as it goes over the wire.
pub struct Letter {
    pub headers: [(&'static str, String); 4],
    /// JSON, whatever the format.
    pub body: Bytes,
    /// The key that signed the token in it.
    pub kid: Kid,
}

/// Writes one attempt of a delivery. Every attempt is signed afresh, so a retry hours later carries a token that lives.
pub fn write(event: &Event, envelope: &Envelope<'_>, attempt: u32, now: Timestamp) -> Result<Letter, SigningError> {
    let validity = Validity::starting(now, envelope.ttl);
    let id = event.id.to_string();
    let body = token::body(event, &id, envelope, validity)?;
    let [id, timestamp, signature] = standard::headers(id, now, &body, envelope.secret);
    let headers = [id, timestamp, signature, ("webhook-attempt", attempt.to_string())];
    Ok(Letter { headers, body, kid: envelope.signer.kid().clone() })
}
