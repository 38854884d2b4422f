//! The headers of Standard Webhooks 1.0, which every delivery carries whatever its format.

use crate::domain::time::Timestamp;
use crate::signing::digest::WebhookSecret;

/// `webhook-id`, `webhook-timestamp` and `webhook-signature` (v1: HMAC-SHA256 of `id.timestamp.body`).
pub fn headers(id: String, now: Timestamp, body: &[u8], secret: &WebhookSecret) -> [(&'static str, String); 3] {
    let timestamp = now.as_seconds().to_string();
    let signature = secret.authenticate(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", format!("v1,{signature}"))]
}
