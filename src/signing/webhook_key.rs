//! The key pair of a webhook whose deliveries carry signatures v1a of Standard Webhooks: Ed25519 (RFC 8032), of that webhook
//! alone. Its private half is never shown; only its text is kept, sealed.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::secret::Secret;

const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// A key pair, ready to sign.
pub struct WebhookKeyPair {
    pair: Ed25519KeyPair,
}

impl WebhookKeyPair {
    /// How the private half of these random bytes is kept.
    pub fn text(random: &[u8; 32]) -> Secret<String> {
        Secret::new(format!("{PRIVATE_PREFIX}{}", *Zeroizing::new(STANDARD.encode(random))))
    }

    /// Reads what [`WebhookKeyPair::text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let seed = Zeroizing::new(STANDARD.decode(text.strip_prefix(PRIVATE_PREFIX)?).ok()?);
        Some(Self { pair: Ed25519KeyPair::from_seed_unchecked(&seed).ok()? })
    }

    /// The half for everybody: `whpk_` and base64 of its 32 bytes.
    pub fn public_text(&self) -> String {
        format!("{PUBLIC_PREFIX}{}", STANDARD.encode(self.pair.public_key().as_ref()))
    }

    /// The signature of a message, in base64; `None` when the library cannot sign.
    pub fn sign(&self, message: &[u8]) -> Option<String> {
        self.pair.try_sign(message).ok().map(|signature| STANDARD.encode(signature.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_signs_as_the_first_example_of_rfc_8032() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];

        let pair = WebhookKeyPair::parse(WebhookKeyPair::text(&seed).reveal()).unwrap();

        assert_eq!(pair.public_text(), "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        let signature = "5VZDAMNgrHKQhuLMgG6CioSHfx64\
            5dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==";
        assert_eq!(pair.sign(b"").unwrap(), signature);
    }

    #[test]
    fn what_is_no_private_half_is_not_read() {
        for text in ["", "whsk_", "whsk_AAAA", "whsec_AAAA", "whsk_!"] {
            assert!(WebhookKeyPair::parse(text).is_none(), "{text}");
        }
    }
}
