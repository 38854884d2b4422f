//! Who did what: the entries of the audit log, before and after they are written down.
//!
//! One log is kept for every tenant, and one for the installation. Each is a chain: every entry carries a digest of
//! itself and of the one before it, so that none can be changed, removed or put in between unnoticed. How the digest is
//! made and what the detail of an entry looks like is the engine's affair.

use std::fmt;

use super::access::Caller;
use super::id::{ApiKeyId, TenantId};
use super::key_ring::{KeyState, Kid};
use super::time::Timestamp;
use super::token::Algorithm;

/// The log of what concerns no tenant. No tenant has this id: those of tenants begin with the instant of their making.
pub const INSTALLATION: TenantId = TenantId::from_bytes([0; 16]);

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// By itself, at its start or because it was time.
    Signet,
    /// Somebody with a shell on a machine that has the database and the master key.
    CommandLine,
    /// Somebody with the operator's own key from the settings.
    AdminKey,
    ApiKey(ApiKeyId),
    /// Whoever wrote the configuration that a server was started with.
    Configuration,
}

impl Actor {
    /// Whoever asks over HTTP.
    pub fn of(caller: &Caller) -> Self {
        caller.key_id.map_or(Self::AdminKey, Self::ApiKey)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signet => f.write_str("signet"),
            Self::CommandLine => f.write_str("command-line"),
            Self::AdminKey => f.write_str("admin-key"),
            Self::ApiKey(id) => fmt::Display::fmt(id, f),
            Self::Configuration => f.write_str("configuration"),
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// From here on, everything is written down: the first entry of an installation.
    LogBegun,
    /// A key that is older than the log, as it stood when the log was begun.
    KeyFound {
        kid: Kid,
        state: KeyState,
    },
    /// A key was published that signs at once.
    KeyOpened {
        kid: Kid,
        algorithm: Algorithm,
    },
    /// A key was published that may sign later.
    KeyPublished {
        kid: Kid,
        algorithm: Algorithm,
    },
    /// A key began to sign, instead of another one if there was one.
    KeyPromoted {
        kid: Kid,
        demoted: Option<Kid>,
    },
    /// Somebody had a key sign before every receiver could know it.
    WaitOverruled {
        kid: Kid,
    },
    /// A key left the JWKS without ever having signed.
    KeyWithdrawn {
        kid: Kid,
    },
    /// A key left the JWKS because nobody needs it any more.
    KeyArchived {
        kid: Kid,
    },
    /// A key was taken out of the JWKS, and another one signs from then on if it was the one that signed.
    KeyRevoked {
        kid: Kid,
        successor: Option<Kid>,
        reason: String,
    },
    /// The same for a key that was revoked before, and that a restored backup had brought back.
    RevocationRepeated {
        kid: Kid,
        successor: Option<Kid>,
    },
    /// The margins of a tenant, as sentences.
    PolicyChanged {
        before: String,
        after: String,
    },
    CutOverPlanned {
        algorithm: Algorithm,
        at: Timestamp,
    },
    CutOverCancelled {
        algorithm: Algorithm,
    },
    /// The standby signed a test delivery to every webhook.
    KeyRehearsed {
        kid: Kid,
        webhooks: u32,
        refused: u32,
    },
    /// In the installation's log.
    TenantMade {
        id: String,
        name: String,
    },
    /// Its name and how its tokens look, as a sentence.
    TenantChanged {
        before: String,
        after: String,
    },
    /// In the log of its tenant, or in the installation's if it reaches all of them.
    ApiKeyMade {
        id: String,
        label: String,
        scopes: Vec<&'static str>,
    },
    ApiKeyRevoked {
        id: String,
    },
    /// Its URL without what may be a secret in it.
    WebhookMade {
        id: String,
        url: String,
    },
    /// Some of its members were given other values. Those are written down that somebody would ask about and that are no
    /// secrets, before and after.
    WebhookChanged {
        id: String,
        members: Vec<&'static str>,
        seen: Vec<(&'static str, String, String)>,
    },
    WebhookDeleted {
        id: String,
    },
    /// Event types were described in the catalogue, anew or for the first time. Of very many, not all are named.
    EventTypesDescribed {
        made: usize,
        replaced: usize,
        names: Vec<String>,
    },
    EventTypeForgotten {
        name: String,
    },
    /// Some members of an authentication hook were given other values; none when it was taken away. Its URL stands there
    /// without what may be a secret in it.
    HookChanged {
        kind: &'static str,
        members: Vec<&'static str>,
        url: Option<String>,
    },
    /// What signs the questions to hooks was made, or put in the place of another.
    HookSecretChanged,
    MasterKeyAdded {
        id: String,
    },
    /// Everybody seals under this master key from then on.
    MasterKeySwitched {
        id: String,
    },
    /// What was sealed under an earlier master key is sealed under this one, but for what could not be opened.
    MasterKeyRewrapped {
        id: String,
        records: u64,
        stuck: u64,
    },
    MasterKeyDropped {
        id: String,
    },
}

impl Action {
    /// What it is called. These words are in databases: none of them changes.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::LogBegun => "log.begun",
            Self::KeyFound { .. } => "key.found",
            Self::KeyOpened { .. } => "key.opened",
            Self::KeyPublished { .. } => "key.published",
            Self::KeyPromoted { .. } => "key.promoted",
            Self::WaitOverruled { .. } => "key.wait_overruled",
            Self::KeyWithdrawn { .. } => "key.withdrawn",
            Self::KeyArchived { .. } => "key.archived",
            Self::KeyRevoked { .. } => "key.revoked",
            Self::RevocationRepeated { .. } => "key.revoked_again",
            Self::PolicyChanged { .. } => "policy.changed",
            Self::CutOverPlanned { .. } => "cut_over.planned",
            Self::CutOverCancelled { .. } => "cut_over.cancelled",
            Self::KeyRehearsed { .. } => "key.rehearsed",
            Self::TenantMade { .. } => "tenant.made",
            Self::TenantChanged { .. } => "tenant.changed",
            Self::ApiKeyMade { .. } => "api_key.made",
            Self::ApiKeyRevoked { .. } => "api_key.revoked",
            Self::WebhookMade { .. } => "webhook.made",
            Self::WebhookChanged { .. } => "webhook.changed",
            Self::WebhookDeleted { .. } => "webhook.deleted",
            Self::EventTypesDescribed { .. } => "event_types.described",
            Self::EventTypeForgotten { .. } => "event_type.forgotten",
            Self::HookChanged { .. } => "hook.changed",
            Self::HookSecretChanged => "hook_secret.changed",
            Self::MasterKeyAdded { .. } => "master_key.added",
            Self::MasterKeySwitched { .. } => "master_key.switched",
            Self::MasterKeyRewrapped { .. } => "master_key.rewrapped",
            Self::MasterKeyDropped { .. } => "master_key.dropped",
        }
    }

    /// What it was done to; empty when that is the tenant or the installation itself.
    pub fn subject(&self) -> &str {
        match self {
            Self::KeyFound { kid, .. }
            | Self::KeyOpened { kid, .. }
            | Self::KeyPublished { kid, .. }
            | Self::KeyPromoted { kid, .. }
            | Self::WaitOverruled { kid }
            | Self::KeyWithdrawn { kid }
            | Self::KeyArchived { kid }
            | Self::KeyRevoked { kid, .. }
            | Self::RevocationRepeated { kid, .. }
            | Self::KeyRehearsed { kid, .. } => kid.as_str(),
            Self::TenantMade { id, .. }
            | Self::ApiKeyMade { id, .. }
            | Self::ApiKeyRevoked { id }
            | Self::WebhookMade { id, .. }
            | Self::WebhookChanged { id, .. }
            | Self::WebhookDeleted { id }
            | Self::MasterKeyAdded { id }
            | Self::MasterKeySwitched { id }
            | Self::MasterKeyRewrapped { id, .. }
            | Self::MasterKeyDropped { id } => id,
            Self::EventTypeForgotten { name } => name,
            Self::HookChanged { kind, .. } => kind,
            Self::LogBegun
            | Self::HookSecretChanged
            | Self::EventTypesDescribed { .. }
            | Self::PolicyChanged { .. }
            | Self::TenantChanged { .. }
            | Self::CutOverPlanned { .. }
            | Self::CutOverCancelled { .. } => "",
        }
    }

    /// The keys that it changed, and the state that each of them is in since then: what the database must agree with.
    pub fn states(&self, at: Timestamp) -> Vec<(&Kid, KeyState)> {
        let signs = KeyState::Active { activated_at: at };
        let revoked = KeyState::Revoked { revoked_at: at };
        match self {
            Self::KeyFound { kid, state } => vec![(kid, *state)],
            Self::KeyOpened { kid, .. } => vec![(kid, signs)],
            Self::KeyPublished { kid, .. } => vec![(kid, KeyState::Pending)],
            Self::KeyPromoted { kid, demoted } => {
                let demoted = demoted.iter().map(|demoted| (demoted, KeyState::Retiring { retired_at: at }));
                std::iter::once((kid, signs)).chain(demoted).collect()
            }
            Self::KeyWithdrawn { kid } | Self::KeyArchived { kid } => vec![(kid, KeyState::Archived)],
            Self::KeyRevoked { kid, successor, .. } | Self::RevocationRepeated { kid, successor } => {
                let successor = successor.iter().map(|successor| (successor, signs));
                std::iter::once((kid, revoked)).chain(successor).collect()
            }
            Self::LogBegun
            | Self::WaitOverruled { .. }
            | Self::PolicyChanged { .. }
            | Self::CutOverPlanned { .. }
            | Self::CutOverCancelled { .. }
            | Self::KeyRehearsed { .. }
            | Self::TenantMade { .. }
            | Self::TenantChanged { .. }
            | Self::ApiKeyMade { .. }
            | Self::ApiKeyRevoked { .. }
            | Self::WebhookMade { .. }
            | Self::WebhookChanged { .. }
            | Self::WebhookDeleted { .. }
            | Self::EventTypesDescribed { .. }
            | Self::EventTypeForgotten { .. }
            | Self::HookChanged { .. }
            | Self::HookSecretChanged
            | Self::MasterKeyAdded { .. }
            | Self::MasterKeySwitched { .. }
            | Self::MasterKeyRewrapped { .. }
            | Self::MasterKeyDropped { .. } => Vec::new(),
        }
    }
}

/// An entry as it was written. Its words are those that the database holds, whoever put them there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1, without gaps.
    pub number: u32,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
    /// SHA-256 of the hash before it and of all of the above.
    pub hash: [u8; 32],
}

/// One entry of a log, by which the whole log up to there is known: what an operator notes elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub number: u32,
    pub hash: [u8; 32],
}

impl Head {
    /// What comes before the first entry.
    pub const NONE: Self = Self { number: 0, hash: [0; 32] };

    /// Reads what was noted.
    pub fn parse(text: &str) -> Result<Self, MalformedHead> {
        let (number, hex) = text.split_once(':').ok_or(MalformedHead)?;
        let number = number.parse::<u32>().ok().filter(|number| *number > 0).ok_or(MalformedHead)?;
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(MalformedHead);
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            let pair = hex.get(2 * at..2 * at + 2).ok_or(MalformedHead)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| MalformedHead)?;
        }
        Ok(Self { number, hash })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.number)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no head of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the head of a log is its number, a colon and 64 hexadecimal digits, as `keys audit` prints it")]
pub struct MalformedHead;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Scope;

    fn kid(text: &str) -> Kid {
        Kid::from_text(text)
    }

    #[test]
    fn whoever_asks_is_named_by_the_key_and_never_by_its_secret() {
        let id = ApiKeyId::from_bytes([7; 16]);
        let caller = Caller { key_id: Some(id), tenant_id: None, scopes: vec![Scope::KeysRotate] };

        assert_eq!(Actor::of(&caller).to_string(), id.to_string());
        assert_eq!(Actor::of(&Caller::operator()).to_string(), "admin-key");
    }

    #[test]
    fn a_change_of_the_key_that_signs_tells_the_states_of_both_keys() {
        let at = Timestamp::from_micros(5);
        let promoted = Action::KeyPromoted { kid: kid("b"), demoted: Some(kid("a")) };
        let revoked = Action::KeyRevoked { kid: kid("b"), successor: Some(kid("c")), reason: String::new() };

        let signs = KeyState::Active { activated_at: at };
        let retiring = KeyState::Retiring { retired_at: at };
        assert_eq!(promoted.states(at), [(&kid("b"), signs), (&kid("a"), retiring)]);
        assert_eq!(revoked.states(at), [(&kid("b"), KeyState::Revoked { revoked_at: at }), (&kid("c"), signs)]);
    }

    #[test]
    fn a_head_survives_being_noted() {
        let mut hash = [0xab; 32];
        hash[0] = 1;
        let head = Head { number: 12, hash };

        assert_eq!(Head::parse(&head.to_string()), Ok(head));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let hex = "ab".repeat(32);

        for text in ["", "12", &hex, &format!("0:{hex}"), &format!("1:{}", &hex[2..]), &format!("1:+{}", &hex[1..])] {
            assert_eq!(Head::parse(text), Err(MalformedHead), "{text}");
        }
    }
}
