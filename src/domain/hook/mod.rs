//! Authentication hooks: questions that a platform has Signet put to a tenant's own server while somebody signs up, signs in
//! or is given a token. What an answer means is for [`decision`] alone.

pub mod decision;

use std::time::Duration;

use super::delivery::FailureKind;
use super::id::{ExecutionId, TenantId};
use super::time::Timestamp;
use super::webhook::WebhookUrl;

/// A question is put and answered within this, from the resolution of the receiver's name to the last byte of its answer.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// The largest answer.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How many keys a hook's answers may be signed with.
pub const ANSWER_KEYS_MAX: usize = 8;

/// What a hook is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    PreSignUp,
    PostSignUp,
    PreSignIn,
    PostSignIn,
    PrePasswordReset,
    Jwt,
}

impl HookKind {
    pub const ALL: [Self; 6] =
        [Self::PreSignUp, Self::PostSignUp, Self::PreSignIn, Self::PostSignIn, Self::PrePasswordReset, Self::Jwt];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreSignUp => "pre_sign_up",
            Self::PostSignUp => "post_sign_up",
            Self::PreSignIn => "pre_sign_in",
            Self::PostSignIn => "post_sign_in",
            Self::PrePasswordReset => "pre_password_reset",
            Self::Jwt => "jwt",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether it is told what has happened, and its answer changes nothing.
    pub fn is_told(self) -> bool {
        matches!(self, Self::PostSignUp | Self::PostSignIn)
    }
}

/// What counts as said when nothing was answered, or nothing that can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    Allow,
    Block,
}

impl OnFailure {
    pub const ALL: [Self; 2] = [Self::Allow, Self::Block];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|on_failure| on_failure.as_str() == text)
    }
}

/// Whom a tenant wants asked, and what is believed of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub url: WebhookUrl,
    pub on_failure: OnFailure,
    /// The public keys of which one must have signed its answers, as `signing` wrote them; answers need no signature when
    /// there are none.
    pub answer_keys: Option<String>,
}

/// Why nothing was answered that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookFailure {
    /// No whole answer came.
    Exchange(FailureKind),
    /// It came with another status than 200, redirects among them.
    Status,
    /// It does not say what such an answer says.
    Malformed,
    /// It lacks the signature that was asked for, or is signed for another question or at another time.
    Untrusted,
}

impl HookFailure {
    const OWN: [Self; 3] = [Self::Status, Self::Malformed, Self::Untrusted];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exchange(kind) => kind.as_str(),
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::Untrusted => "untrusted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let own = Self::OWN.into_iter().find(|failure| failure.as_str() == text);
        own.or_else(|| FailureKind::from_record(text).map(Self::Exchange))
    }

    /// Every word that [`HookFailure::as_str`] may answer.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FailureKind::ALL.into_iter().map(FailureKind::as_str).chain(Self::OWN.map(Self::as_str))
    }
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOutcome {
    Allowed,
    Blocked,
    /// Allowed, with claims.
    Amended,
    Timeout,
    Error,
    /// Nobody was asked.
    NotConfigured,
}

impl HookOutcome {
    pub const ALL: [Self; 6] =
        [Self::Allowed, Self::Blocked, Self::Amended, Self::Timeout, Self::Error, Self::NotConfigured];
    /// Those of which there is a log.
    pub const LOGGED: [Self; 5] = [Self::Allowed, Self::Blocked, Self::Amended, Self::Timeout, Self::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Blocked => "blocked",
            Self::Amended => "amended",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::NotConfigured => "not_configured",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// A question that was put, as the log keeps it: neither what was asked nor the claims that were answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    pub id: ExecutionId,
    pub tenant_id: TenantId,
    pub kind: HookKind,
    pub outcome: HookOutcome,
    pub allow: bool,
    pub reason: Option<String>,
    /// With which its receiver answered, if it did.
    pub status_code: Option<u16>,
    pub failure: Option<HookFailure>,
    pub took_for: Duration,
    /// Claims that nobody may set, by their names.
    pub ignored_claims: Vec<String>,
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_what_it_was_written_for() {
        for kind in HookKind::ALL {
            assert_eq!(HookKind::parse(kind.as_str()), Some(kind));
        }
        for outcome in HookOutcome::ALL {
            assert_eq!(HookOutcome::parse(outcome.as_str()), Some(outcome));
        }
        for name in HookFailure::names() {
            assert_eq!(HookFailure::parse(name).map(HookFailure::as_str), Some(name));
        }
        assert_eq!((HookKind::parse("pre_sign"), OnFailure::parse("open")), (None, None));
    }
}
