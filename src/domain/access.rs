//! API keys and pull keys: how they are written, what they allow, and to whom.
//!
//! An API key is `sk_live_`, thirty random base62 characters and a six-character checksum of them, so that a mistyped or
//! made-up key is refused without asking the database, and a secret scanner can tell a leaked one from noise:
//! `sk_live_[0-9A-Za-z]{36}`. A pull key, with which the receiver of one webhook collects its deliveries, is written likewise
//! after `pull_live_`.

use super::id::{ApiKeyId, TenantId};
use super::secret::Secret;
use super::time::Timestamp;

const API_KEY_PREFIX: &str = "sk_live_";
const PULL_KEY_PREFIX: &str = "pull_live_";
const RANDOM_CHARS: usize = 30;
const CHECKSUM_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many pull keys of one webhook are taken at a time: the latest, and those before it until their overlaps end.
pub const PULL_KEYS_MAX: usize = 8;

/// The longest label of an API key, in characters.
pub const LABEL_CHARS_MAX: usize = 100;

/// A whole API key with a true checksum. It is shown once and kept only as its digest.
#[derive(Debug, Clone)]
pub struct ApiKeySecret(Secret<String>);

impl ApiKeySecret {
    /// How many random bytes [`ApiKeySecret::from_random`] wants.
    pub const RANDOM_BYTES: usize = 32;

    /// Writes random bytes as a key: about 178 bits of them survive.
    pub fn from_random(random: &[u8; Self::RANDOM_BYTES]) -> Self {
        Self(written(API_KEY_PREFIX, random))
    }

    /// Reads a key that a caller presented; `None` when its shape or checksum is off.
    pub fn parse(text: &str) -> Option<Self> {
        read(API_KEY_PREFIX, text).map(Self)
    }

    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// The last four characters, by which people tell keys apart.
    pub fn tail(&self) -> String {
        let text = self.reveal();
        text[text.len() - 4..].to_owned()
    }
}

/// A whole pull key with a true checksum. It is shown once and kept only as its digest.
#[derive(Debug, Clone)]
pub struct PullKey(Secret<String>);

impl PullKey {
    /// As for an API key.
    pub fn from_random(random: &[u8; ApiKeySecret::RANDOM_BYTES]) -> Self {
        Self(written(PULL_KEY_PREFIX, random))
    }

    /// Reads a key that a caller presented; `None` when its shape or checksum is off.
    pub fn parse(text: &str) -> Option<Self> {
        read(PULL_KEY_PREFIX, text).map(Self)
    }

    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

fn written(prefix: &str, random: &[u8; ApiKeySecret::RANDOM_BYTES]) -> Secret<String> {
    let (high, low) = random.split_at(16);
    let mut text = String::from(prefix);
    for half in [high, low] {
        let mut number = half.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
        for _ in 0..RANDOM_CHARS / 2 {
            text.push(base62_digit(number % 62));
            number /= 62;
        }
    }
    text.push_str(&checksum(&text[prefix.len()..]));
    Secret::new(text)
}

fn read(prefix: &str, text: &str) -> Option<Secret<String>> {
    let rest = text.strip_prefix(prefix)?;
    let well_formed =
        rest.len() == RANDOM_CHARS + CHECKSUM_CHARS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !well_formed {
        return None;
    }
    let (random, sum) = rest.split_at(RANDOM_CHARS);
    (checksum(random) == sum).then(|| Secret::new(text.to_owned()))
}

/// Base62 of the CRC-32 (ISO-HDLC) of the random part, most significant digit first.
fn checksum(random: &str) -> String {
    let mut number = u128::from(crc32fast::hash(random.as_bytes()));
    let mut digits = [0_u8; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(number % 62).unwrap_or_default();
        number /= 62;
    }
    digits.into_iter().map(|digit| base62_digit(u128::from(digit))).collect()
}

fn base62_digit(value: u128) -> char {
    usize::try_from(value).ok().and_then(|at| BASE62.get(at)).map_or('0', |byte| char::from(*byte))
}

/// The text is no label that a key may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the label is at most {LABEL_CHARS_MAX} characters, none of them a control character")]
pub struct MalformedLabel;

/// Whether a key may be labelled so.
pub fn check_label(text: &str) -> Result<(), MalformedLabel> {
    let fits = text.chars().count() <= LABEL_CHARS_MAX && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(MalformedLabel) }
}

/// One thing that a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    EventsWrite,
    WebhooksRead,
    WebhooksWrite,
    DeliveriesReplay,
    HooksInvoke,
    KeysRead,
    KeysRotate,
    /// Everything, tenants and API keys included.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 8] = [
        Self::EventsWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::DeliveriesReplay,
        Self::HooksInvoke,
        Self::KeysRead,
        Self::KeysRotate,
        Self::Admin,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::DeliveriesReplay => "deliveries:replay",
            Self::HooksInvoke => "hooks:invoke",
            Self::KeysRead => "keys:read",
            Self::KeysRotate => "keys:rotate",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// An API key as it is remembered.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    /// The tenant it is bound to; `None` reaches every tenant of the instance.
    pub tenant_id: Option<TenantId>,
    pub label: String,
    pub tail: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// Who is asking, as far as rights go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `None` for the operator's own key from the settings.
    pub key_id: Option<ApiKeyId>,
    pub tenant_id: Option<TenantId>,
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// The holder of the operator's own key: every scope, every tenant.
    pub fn operator() -> Self {
        Self { key_id: None, tenant_id: None, scopes: vec![Scope::Admin] }
    }

    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&Scope::Admin) || self.scopes.contains(&scope)
    }

    /// Whether the caller may act across tenants.
    pub fn is_instance_wide(&self) -> bool {
        self.tenant_id.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_with_one_wrong_character_is_refused() {
        let key = ApiKeySecret::from_random(&[9; 32]);
        let mut wrong = key.reveal().to_owned().into_bytes();
        wrong[10] = if wrong[10] == b'a' { b'b' } else { b'a' };

        assert!(ApiKeySecret::parse(&String::from_utf8(wrong).unwrap()).is_none());
        assert!(ApiKeySecret::parse("sk_live_abc123").is_none());
        assert!(ApiKeySecret::parse("").is_none());
    }

    #[test]
    fn a_key_never_prints_itself() {
        assert_eq!(format!("{:?}", ApiKeySecret::from_random(&[9; 32])), "ApiKeySecret(…)");
        assert_eq!(format!("{:?}", PullKey::from_random(&[9; 32])), "PullKey(…)");
    }

    #[test]
    fn a_key_of_one_kind_is_none_of_the_other() {
        let (api, pull) = (ApiKeySecret::from_random(&[9; 32]), PullKey::from_random(&[9; 32]));

        assert!(PullKey::parse(pull.reveal()).is_some_and(|key| key.reveal().starts_with("pull_live_")));
        assert!(PullKey::parse(api.reveal()).is_none() && ApiKeySecret::parse(pull.reveal()).is_none());
        assert!(PullKey::parse(&pull.reveal()[..45]).is_none());
    }

    #[test]
    fn the_admin_scope_allows_everything_else() {
        let scoped = Caller { scopes: vec![Scope::EventsWrite], ..Caller::operator() };

        assert!(Caller::operator().may(Scope::KeysRotate));
        assert!(scoped.may(Scope::EventsWrite));
        assert!(!scoped.may(Scope::WebhooksRead));
    }

    proptest! {
        #[test]
        fn every_key_has_a_true_checksum(random in any::<[u8; 32]>()) {
            let key = ApiKeySecret::from_random(&random);

            prop_assert!(ApiKeySecret::parse(key.reveal()).is_some());
            prop_assert_eq!(key.reveal().len(), 44);
        }
    }
}
