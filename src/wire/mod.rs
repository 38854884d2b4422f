//! How a delivery is written: one file per format, all of them pure.
//!
//! A format turns an event and what is known of its receiver into headers and a body. It decides nothing about when or
//! whether, and opens no connection. Every format carries the Standard Webhooks headers besides its own.

pub mod action;
pub mod hook;
pub mod set;
pub mod signed;
pub mod standard;
pub mod token;
pub mod users;

use std::fmt;
use std::io::{self, Write as _};

use bytes::Bytes;
use url::Url;

use crate::domain::dialect::Dialect;
use crate::domain::event::Event;
use crate::domain::id::WebhookId;
use crate::domain::key_ring::Kid;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenTtl, TokenType};
use crate::domain::webhook::Format;
use crate::signing::digest::WebhookSecret;
use crate::signing::{Signer, SigningError, WebhookKeyPair};

const JSON: &str = "application/json";
/// What ids, an event type and an instant add up to at most, roughly: it saves growing, no more.
const OPENING_BYTES: usize = 256;

/// Who a delivery is from, who it is for, and what they agreed on.
pub struct Envelope<'a> {
    pub webhook_id: WebhookId,
    pub format: Format,
    pub url: &'a Url,
    pub issuer: &'a str,
    pub subject: &'a str,
    pub audience: &'a str,
    pub ttl: TokenTtl,
    pub token_type: TokenType,
    pub dialect: &'a Dialect,
    /// Signs tokens; nobody where the format carries none.
    pub signer: Option<&'a Signer>,
    /// Every secret that signs now, newest first.
    pub secrets: Vec<&'a WebhookSecret>,
    /// Every key pair of the webhook's own that signs now, newest first.
    pub key_pairs: Vec<&'a WebhookKeyPair>,
}

/// Which attempt it is, and when it is made.
#[derive(Debug, Clone, Copy)]
pub struct Occasion {
    /// Counted from 1.
    pub attempt: u32,
    pub now: Timestamp,
}

/// A delivery as it goes over the wire.
pub struct Letter {
    /// Where to, if not to the webhook's URL as it is.
    pub url: Option<Url>,
    pub content_type: &'static str,
    /// What every delivery has.
    pub headers: [(&'static str, String); 4],
    /// What the format has besides.
    pub own_headers: Vec<(String, String)>,
    pub body: Bytes,
    /// The key that signed the token in it, if there is one.
    pub kid: Option<Kid>,
}

/// What is particular to a format: the one value that its file makes.
struct Style {
    content_type: &'static str,
    /// Whether its body is, or holds, a token that the tenant's key signs.
    carries_token: bool,
    /// What stands in the place of data that was encrypted, which not every format's receivers know.
    encrypted: Option<fn(&str) -> String>,
    draft: for<'a> fn(&'a Event, &'a Envelope<'a>, Timestamp) -> io::Result<Draft<'a>>,
    /// What else the letter needs once its body is there.
    dress: fn(&Event, &Envelope<'_>, Occasion, &mut Letter),
}

/// A body, but for the signature of a token in it.
enum Draft<'a> {
    Whole(Vec<u8>),
    Token {
        before: [&'a str; 3],
        token_type: TokenType,
        /// As JSON.
        claims: Vec<u8>,
        after: &'static str,
    },
}

fn style(format: Format) -> &'static Style {
    match format {
        Format::Token => &token::STYLE,
        Format::Signed => &signed::STYLE,
        Format::Standard => &standard::STYLE,
        Format::Action => &action::STYLE,
        Format::Set => &set::STYLE,
    }
}

/// Whether deliveries of this format are verified with the tenant's published keys.
pub fn carries_token(format: Format) -> bool {
    style(format).carries_token
}

/// Whether receivers of this format know data that is encrypted.
pub fn carries_jwe(format: Format) -> bool {
    style(format).encrypted.is_some()
}

/// What stands in the place of an event's data that was encrypted (RFC 7516, compact).
pub fn in_place_of_data(format: Format, jwe: &str) -> Option<Bytes> {
    style(format).encrypted.map(|written| Bytes::from(written(jwe)))
}

/// Writes the body of one attempt. Every attempt is signed afresh, so a retry hours later carries a token that lives.
pub async fn body(event: &Event, envelope: &Envelope<'_>, now: Timestamp) -> Result<Bytes, SigningError> {
    let draft = (style(envelope.format).draft)(event, envelope, now).map_err(|_| SigningError::Signature)?;
    let (before, token_type, claims, after) = match draft {
        Draft::Whole(body) => return Ok(Bytes::from(body)),
        Draft::Token { before, token_type, claims, after } => (before, token_type, claims, after),
    };
    let signer = envelope.signer.ok_or(SigningError::Signature)?;
    let around = before.iter().map(|part| part.len()).sum::<usize>() + after.len();
    let mut body = String::with_capacity(around + signer.token_len(token_type, claims.len()));
    body.extend(before);
    signer.sign_onto(&mut body, token_type, &claims).await?;
    body.push_str(after);
    Ok(Bytes::from(body))
}

/// Puts a body into its envelope.
pub fn seal(event: &Event, body: Bytes, envelope: &Envelope<'_>, occasion: Occasion) -> Letter {
    let style = style(envelope.format);
    let [id, timestamp, signature] =
        standard::headers(event.id.to_string(), occasion.now, &body, (&envelope.secrets, &envelope.key_pairs));
    let mut letter = Letter {
        url: None,
        content_type: style.content_type,
        headers: [id, timestamp, signature, ("webhook-attempt", occasion.attempt.to_string())],
        own_headers: Vec::new(),
        body,
        kid: envelope.signer.map(|signer| signer.kid().clone()),
    };
    (style.dress)(event, envelope, occasion, &mut letter);
    letter
}

/// The same delivery with signatures that no receiver must accept, to find those that do. Only for one that carries a token.
pub fn forged(letter: Letter) -> Letter {
    // The header's signature was made of the body as it was, so it is wrong with it.
    Letter { body: token::with_wrong_signature(&letter.body), ..letter }
}

/// A text as JSON has it: a JWE holds no character that would have to be escaped.
fn as_text(jwe: &str) -> String {
    format!(r#""{jwe}""#)
}

/// For formats that have nothing besides.
fn as_it_is(_: &Event, _: &Envelope<'_>, _: Occasion, _: &mut Letter) {}

/// An object of members that are written already, whose last one is an event's data. That was found to be JSON when it was
/// accepted and goes through untouched, so that its numbers leave as they came.
fn with_data<'a>(opening: fmt::Arguments<'_>, event: &Event) -> io::Result<Draft<'a>> {
    let mut body = Vec::with_capacity(OPENING_BYTES + event.payload.len());
    body.write_fmt(opening)?;
    body.extend_from_slice(&event.payload);
    body.push(b'}');
    Ok(Draft::Whole(body))
}

#[cfg(test)]
mod tests;
