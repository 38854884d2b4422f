//! Whom the data of a webhook's deliveries is encrypted to, so that nobody on their way can read it.

use std::fmt;

use super::WebhookUrl;

/// The longest JWK, as JSON text: the largest RSA key that is taken, and room for its other members.
pub const JWK_BYTES_MAX: usize = 4 * 1024;

/// The receiver's own public key, which only the receiver can open what was encrypted to.
#[derive(Clone, PartialEq, Eq)]
pub enum Encryption {
    /// A JWK (RFC 7517), as JSON text. Whether it can be encrypted to is for `signing` to judge.
    Key(String),
    /// Where the receiver publishes its keys, of which the present one is taken.
    KeySet(WebhookUrl),
}

impl Encryption {
    /// The JWK, if there is one.
    pub fn jwk(&self) -> Option<&str> {
        match self {
            Self::Key(jwk) => Some(jwk),
            Self::KeySet(_) => None,
        }
    }

    pub fn jwks_url(&self) -> Option<&WebhookUrl> {
        match self {
            Self::Key(_) => None,
            Self::KeySet(url) => Some(url),
        }
    }
}

/// Before it is judged, a key may be a private one that was written down by mistake.
impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_) => f.write_str("Key(…)"),
            Self::KeySet(url) => f.debug_tuple("KeySet").field(url).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_as_a_key_is_not_printed() {
        let url = WebhookUrl::from_record("https://example.com/keys?key=hunter2").unwrap();

        assert_eq!(format!("{:?}", Encryption::Key(r#"{"d":"hunter2"}"#.to_owned())), "Key(…)");
        assert_eq!(format!("{:?}", Encryption::KeySet(url)), "KeySet(https://example.com/keys)");
    }
}
