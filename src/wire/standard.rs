//! The headers of Standard Webhooks 1.0, which every delivery carries whatever its format.

use crate::domain::time::Timestamp;
use crate::signing::digest::WebhookSecret;

/// `webhook-id`, `webhook-timestamp` and `webhook-signature` (v1: HMAC-SHA256 of `id.timestamp.body`, one for each secret,
/// separated by spaces).
pub fn headers(id: String, now: Timestamp, body: &[u8], secrets: &[&WebhookSecret]) -> [(&'static str, String); 3] {
    let timestamp = now.as_seconds().to_string();
    let mut signatures = String::new();
    for secret in secrets {
        let separator = if signatures.is_empty() { "v1," } else { " v1," };
        signatures.push_str(separator);
        signatures.push_str(&secret.authenticate(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]));
    }
    [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signatures)]
}
