//! Digests and message authentication codes.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::domain::webhook::secret;

/// SHA-256.
pub fn sha256(message: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, message);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// SHA-256 of several parts, each preceded by its length so that no two lists of parts share a digest.
pub fn sha256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// HMAC-SHA256 of several parts, each preceded by its length, under a key that is derived from `secret` for `purpose` alone.
pub fn code_of_parts(secret: &[u8], purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose);
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()));
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

/// Whether two secrets are equal, in a time that does not depend on where they differ.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(&sha256(a), &sha256(b)).is_ok()
}

/// Base64url without padding, as JOSE writes bytes.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The secret that a webhook shares with us, as Standard Webhooks 1.0 writes it or as another vendor has.
pub struct WebhookSecret {
    /// The bytes that the text stands for, and those of the text where it stands for none.
    key: hmac::Key,
    /// The text itself, which is the key to receivers that read no base64.
    text_key: hmac::Key,
}

impl WebhookSecret {
    /// How a secret of these random bytes is shown to its owner.
    pub fn text(random: &[u8; 32]) -> String {
        secret::written(random)
    }

    /// Reads what [`WebhookSecret::text`] wrote, or somebody else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = secret::key(text).ok()?;
        Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), text_key: text_key(text) })
    }

    /// HMAC-SHA256 of the parts in a row, in base64.
    pub fn authenticate(&self, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        STANDARD.encode(context.sign())
    }

    /// HMAC-SHA256 of the parts in a row under the secret's text, in lower-case hex.
    pub fn authenticate_by_text(&self, parts: &[&[u8]]) -> String {
        hex_code(&self.text_key, parts)
    }
}

fn text_key(text: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())
}

fn hex_code(key: &hmac::Key, parts: &[&[u8]]) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut hex = String::with_capacity(64);
    for byte in context.sign().as_ref() {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
        hex.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cut_differently_have_different_digests() {
        assert_ne!(sha256_of_parts(&[b"ab", b"c"]), sha256_of_parts(&[b"a", b"bc"]));
    }

    #[test]
    fn a_code_is_another_one_for_another_secret_purpose_or_cut_of_the_parts() {
        let code = code_of_parts(b"secret", b"purpose", &[b"ab", b"c"]);

        assert_eq!(code, code_of_parts(b"secret", b"purpose", &[b"ab", b"c"]));
        assert_ne!(code, code_of_parts(b"Secret", b"purpose", &[b"ab", b"c"]));
        assert_ne!(code, code_of_parts(b"secret", b"Purpose", &[b"ab", b"c"]));
        assert_ne!(code, code_of_parts(b"secret", b"purpose", &[b"a", b"bc"]));
    }

    #[test]
    fn a_code_under_a_secret_s_text_is_the_one_that_vendors_receivers_compute() {
        // What HelloJohn's sample and open-source build, and UserHub's SDK, compute of these.
        let (key, body) = (text_key("whsec_abc123"), br#"{"id":"evt_1","type":"user.created"}"#.as_slice());
        assert_eq!(hex_code(&key, &[body]), "1e9e07c89d81ebf171216947452f0a6ada830a9034099c2b74d80f78a0ff9630");
        assert_eq!(
            hex_code(&key, &[b"1700000000", b".", body]),
            "fb16da00aee6fb8673f17703d1bfa826e6b63fa36204dcd1d319c7e1ed62ba77"
        );
        assert_eq!(
            hex_code(&text_key("test"), &[b"1700000000", b".", br#"{"challenge": "some-value"}"#]),
            "dc8b36b5daf5883b88b0fcd18d00515905175515225e1c8bbde0268fe707676b"
        );
    }

    #[test]
    fn a_standard_webhooks_signature_is_the_one_that_its_reference_computes() {
        // Made with Python: hmac.new(bytes([7] * 32), b"evt_1.1700000000.{}", "sha256").
        let secret = WebhookSecret::parse(&WebhookSecret::text(&[7; 32])).unwrap();

        let signature = secret.authenticate(&[b"evt_1", b".", b"1700000000", b".", b"{}"]);

        assert_eq!(signature, "a1DASGgVAakARPzCBfaKZ61ux1lULadh72WCLbrcpuA=");
    }

    #[test]
    fn a_secret_of_another_vendor_s_signs_with_its_own_bytes() {
        // Made with Python: hmac.new(b"6B5yry-of-a-vendor", b"evt_1.1700000000.{}", "sha256").
        let secret = WebhookSecret::parse("6B5yry-of-a-vendor").unwrap();
        let parts: [&[u8]; 5] = [b"evt_1", b".", b"1700000000", b".", b"{}"];

        assert_eq!(secret.authenticate(&parts), "8pSBrUAJUxWi8bzLhBStAt5MxPCUIsV9ucpHEzvB/xo=");
        assert_eq!(
            secret.authenticate_by_text(&parts),
            "f29481ad40095315a2f1bccb8414ad02de4cc4f09422c57db9ca47133bc1ff1a"
        );
        assert!(WebhookSecret::parse("too short").is_none());
    }
}
