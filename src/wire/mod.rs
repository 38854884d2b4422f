//! How a delivery is written: one file per format, all of them pure.
//!
//! A format turns an event and what is known of its receiver into headers and a body. It decides nothing about when or
//! whether, and opens no connection. Every format carries the Standard Webhooks headers besides its own.

pub mod standard;
pub mod token;

use bytes::Bytes;

use crate::domain::event::Event;
use crate::domain::id::EventId;
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
    /// Every secret that signs now.
    pub secrets: Vec<&'a WebhookSecret>,
}

/// A delivery as it goes over the wire.
pub struct Letter {
    pub headers: [(&'static str, String); 4],
    /// JSON, whatever the format.
    pub body: Bytes,
    /// The key that signed the token in it.
    pub kid: Kid,
}

/// Writes the body of one attempt. Every attempt is signed afresh, so a retry hours later carries a token that lives.
pub async fn body(event: &Event, envelope: &Envelope<'_>, now: Timestamp) -> Result<Bytes, SigningError> {
    token::body(event, &event.id.to_string(), envelope, Validity::starting(now, envelope.ttl)).await
}

/// The same delivery with signatures that no receiver must accept, to find those that do.
pub fn forged(letter: Letter) -> Letter {
    // The header's signature was made of the body as it was, so it is wrong with it.
    Letter { body: token::with_wrong_signature(&letter.body), ..letter }
}

/// Puts a body into its envelope.
pub fn seal(event_id: EventId, body: Bytes, envelope: &Envelope<'_>, attempt: u32, now: Timestamp) -> Letter {
    let [id, timestamp, signature] = standard::headers(event_id.to_string(), now, &body, &envelope.secrets);
    let headers = [id, timestamp, signature, ("webhook-attempt", attempt.to_string())];
    Letter { headers, body, kid: envelope.signer.kid().clone() }
}
