//! Format `signed`: an envelope `{id,type,created_at,tenant_id,data}`, and a signature under the webhook's whole secret text in
//! a header that the tenant's dialect names. HelloJohn's receivers verify it.
//!
//! Two of the three schemes have room for one signature, so while two secrets overlap they take turns, the newest first: a
//! receiver that knows either of them verifies one of two attempts in a row, and what it refused comes again seconds later.

use std::io;

use super::{Draft, Envelope, JSON, Letter, Occasion, Style, as_text, with_data};
use crate::domain::dialect::SignatureScheme;
use crate::domain::event::Event;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::time::Timestamp;
use crate::signing::digest::{WebhookSecret, sha256_of_parts};

pub(super) const STYLE: Style =
    Style { content_type: JSON, carries_token: false, encrypted: Some(as_text), draft, dress };

fn draft<'a>(event: &'a Event, _: &'a Envelope<'a>, _: Timestamp) -> io::Result<Draft<'a>> {
    // None of these holds a character that JSON escapes.
    with_data(
        format_args!(
            r#"{{"id":"{}","type":"{}","created_at":"{}","tenant_id":"{}","data":"#,
            event.id, event.event_type, event.occurred_at, event.tenant_id
        ),
        event,
    )
}

fn dress(event: &Event, envelope: &Envelope<'_>, occasion: Occasion, letter: &mut Letter) {
    let (prefix, scheme) = (&envelope.dialect.prefix, envelope.dialect.scheme);
    let timestamp = match scheme {
        // Nobody can rely on what is not signed; it says when the event happened, on every attempt alike.
        SignatureScheme::Body => event.occurred_at,
        SignatureScheme::Stamped | SignatureScheme::Inline => occasion.now,
    };
    let timestamp = timestamp.as_seconds().to_string();
    let secrets = by_turns(&envelope.secrets, occasion.attempt);
    letter.own_headers = vec![
        (prefix.header("Signature"), signature(scheme, &secrets, &timestamp, &letter.body)),
        (prefix.header("Event"), event.event_type.to_string()),
        (prefix.header("Delivery-ID"), delivery_id(envelope.webhook_id, event).to_string()),
        (prefix.header("Timestamp"), timestamp),
    ];
}

fn signature(scheme: SignatureScheme, secrets: &[&WebhookSecret], timestamp: &str, body: &[u8]) -> String {
    let stamped = |secret: &&WebhookSecret| secret.authenticate_by_text(&[timestamp.as_bytes(), b".", body]);
    let first = secrets.first();
    match scheme {
        SignatureScheme::Body => {
            format!("sha256={}", first.map(|secret| secret.authenticate_by_text(&[body])).unwrap_or_default())
        }
        SignatureScheme::Stamped => format!("v1={}", first.map(stamped).unwrap_or_default()),
        // Who reads this one may take the first, the last or any.
        SignatureScheme::Inline => {
            secrets.iter().map(stamped).fold(format!("t={timestamp}"), |text, code| format!("{text},v1={code}"))
        }
    }
}

/// The secrets, newest first, from another one on with each attempt.
fn by_turns<'a>(secrets: &[&'a WebhookSecret], attempt: u32) -> Vec<&'a WebhookSecret> {
    let mut secrets = secrets.to_vec();
    let turns = usize::try_from(attempt.saturating_sub(1)).unwrap_or_default();
    let turn = turns.checked_rem(secrets.len()).unwrap_or_default();
    secrets.rotate_left(turn);
    secrets
}

/// The same on every attempt, for receivers go by it to tell a repetition; and another one for each webhook, for two of them
/// may have one receiver. It begins with its event's instant.
fn delivery_id(webhook_id: WebhookId, event: &Event) -> DeliveryId {
    let digest = sha256_of_parts(&[webhook_id.as_bytes(), event.id.as_bytes()]);
    let mut bytes = *event.id.as_bytes();
    bytes[6..].copy_from_slice(&digest[..10]);
    DeliveryId::from_bytes(bytes)
}
