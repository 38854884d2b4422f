//! Standard Webhooks 1.0: the headers that every delivery carries whatever its format, and format `standard`, which adds the
//! payload `{type,timestamp,data}` that it recommends.

use std::io;

use super::{Draft, Envelope, JSON, Style, as_it_is, as_text, with_data};
use crate::domain::event::Event;
use crate::domain::time::Timestamp;
use crate::signing::WebhookKeyPair;
use crate::signing::digest::WebhookSecret;

pub(super) const STYLE: Style =
    Style { content_type: JSON, carries_token: false, encrypted: Some(as_text), draft, dress: as_it_is };

fn draft<'a>(event: &'a Event, _: &'a Envelope<'a>, _: Timestamp) -> io::Result<Draft<'a>> {
    // None of these holds a character that JSON escapes.
    let (event_type, timestamp) = (&event.event_type, event.occurred_at);
    with_data(format_args!(r#"{{"type":"{event_type}","timestamp":"{timestamp}","data":"#), event)
}

/// `webhook-id`, `webhook-timestamp` and `webhook-signature`: of `id.timestamp.body`, one for each secret (v1: HMAC-SHA256) and
/// for each key pair (v1a: Ed25519), separated by spaces. Receivers take the first that they can verify.
pub(super) fn headers(
    id: String,
    now: Timestamp,
    body: &[u8],
    (secrets, key_pairs): (&[&WebhookSecret], &[&WebhookKeyPair]),
) -> [(&'static str, String); 3] {
    let timestamp = now.as_seconds().to_string();
    let mut signatures = String::new();
    for secret in secrets {
        let separator = if signatures.is_empty() { "v1," } else { " v1," };
        signatures.push_str(separator);
        signatures.push_str(&secret.authenticate(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]));
    }
    if !key_pairs.is_empty() {
        let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        for signature in key_pairs.iter().filter_map(|key_pair| key_pair.sign(&message)) {
            signatures.extend([" v1a,", &signature]);
        }
    }
    [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signatures)]
}
