//! Why a call has no answer that could be passed on, and what whoever asked is told then.
//!
//! What a caller is told must not be taken for what Signet says of itself: every failure of a receiver has a code of its own,
//! and none of them is a 401, which would be about the caller's key.

use std::time::Duration;

use super::Code;
use crate::domain::delivery::FailureKind;

/// The most of a receiver's words that are passed on, in characters.
pub const MESSAGE_CHARS_MAX: usize = 500;

/// A call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The receiver refused.
    Refused {
        code: Code,
        message: String,
        retry_after: Option<Duration>,
    },
    /// The receiver could not verify that it was us who asked.
    Unverified {
        message: String,
    },
    /// What it answered is no answer to what it was asked.
    Malformed {
        detail: String,
    },
    Unanswered(FailureKind),
}

/// What whoever asked is told: an HTTP status, and a word for programs to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub code: &'static str,
}

impl Failure {
    /// What a receiver says with a code and a message.
    pub fn said(code: Code, message: &str, retry_after: Option<Duration>) -> Self {
        let is_unverified = code == Code::Unknown && is_of_verification(message);
        let message = bounded(message);
        if is_unverified { Self::Unverified { message } } else { Self::Refused { code, message, retry_after } }
    }

    /// An answer that is none, and what is wrong with it.
    pub fn malformed(detail: impl AsRef<str>) -> Self {
        Self::Malformed { detail: bounded(detail.as_ref()) }
    }

    /// The table.
    pub fn told(&self) -> Told {
        let (status, code) = match self {
            Self::Refused { code, .. } => return told_of(*code),
            Self::Unverified { .. } => (502, "receiver_unverified"),
            Self::Malformed { .. } | Self::Unanswered(FailureKind::TooLarge) => (502, "receiver_malformed"),
            Self::Unanswered(FailureKind::Timeout) => (504, "receiver_timeout"),
            Self::Unanswered(
                FailureKind::Dns
                | FailureKind::Blocked
                | FailureKind::Connect
                | FailureKind::Tls(_)
                | FailureKind::Protocol,
            ) => (502, "receiver_unreachable"),
            Self::Unanswered(FailureKind::EncryptionKey | FailureKind::Internal) => (500, "internal"),
        };
        Told { status, code }
    }

    /// When the receiver wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { code: Code::ResourceExhausted | Code::Unavailable, retry_after, .. } => *retry_after,
            Self::Refused { .. } | Self::Unverified { .. } | Self::Malformed { .. } | Self::Unanswered(_) => None,
        }
    }

    /// Whether what was asked may have been done all the same.
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::Malformed { .. } => true,
            Self::Unanswered(kind) => {
                matches!(kind, FailureKind::Timeout | FailureKind::Protocol | FailureKind::TooLarge)
            }
            Self::Refused { .. } | Self::Unverified { .. } => false,
        }
    }
}

/// Definite answers keep their meaning; what only says that something went wrong there is a bad gateway here.
fn told_of(code: Code) -> Told {
    let (status, code) = match code {
        Code::InvalidArgument => (422, "receiver_invalid_argument"),
        Code::NotFound => (404, "receiver_not_found"),
        Code::AlreadyExists => (409, "receiver_already_exists"),
        Code::FailedPrecondition => (409, "receiver_failed_precondition"),
        Code::PermissionDenied => (403, "receiver_permission_denied"),
        Code::ResourceExhausted => (429, "receiver_resource_exhausted"),
        Code::Unimplemented => (501, "receiver_unimplemented"),
        Code::Unavailable => (503, "receiver_unavailable"),
        Code::DeadlineExceeded => (504, "receiver_deadline_exceeded"),
        Code::Unauthenticated => (502, "receiver_unauthenticated"),
        Code::Cancelled => (502, "receiver_cancelled"),
        Code::Unknown => (502, "receiver_unknown"),
        Code::Aborted => (502, "receiver_aborted"),
        Code::OutOfRange => (502, "receiver_out_of_range"),
        Code::Internal => (502, "receiver_internal"),
        Code::DataLoss => (502, "receiver_data_loss"),
    };
    Told { status, code }
}

/// Whether these are the words with which UserHub's SDKs refuse what they cannot verify; all they say beside is `UNKNOWN`.
fn is_of_verification(message: &str) -> bool {
    const WHOLE: [&str; 4] =
        ["Signing secret is required", "Headers are required", "Body is required", "Signatures do not match"];
    const ENDS: [&str; 4] = [
        "-Action header is missing",
        "-Timestamp header is missing",
        "-Signature header is missing",
        "-Signature header normalized to nothing",
    ];
    const BEGINNINGS: [&str; 3] =
        ["Timestamp is invalid: ", "Timestamp is too far in the past: ", "Timestamp is too far in the future: "];
    WHOLE.contains(&message)
        || ENDS.iter().any(|end| message.ends_with(end))
        || BEGINNINGS.iter().any(|beginning| message.starts_with(beginning))
}

/// A stranger's words, fit to be shown.
fn bounded(words: &str) -> String {
    let mut shown = words.chars().filter(|c| !c.is_control());
    let mut text: String = shown.by_ref().take(MESSAGE_CHARS_MAX).collect();
    if shown.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failure: &Failure) -> (u16, &'static str) {
        let Told { status, code } = failure.told();
        (status, code)
    }

    #[test]
    fn every_code_of_a_receiver_is_told_with_a_status_and_a_word_of_its_own() {
        let expected = [
            ("CANCELLED", 502),
            ("UNKNOWN", 502),
            ("INVALID_ARGUMENT", 422),
            ("DEADLINE_EXCEEDED", 504),
            ("NOT_FOUND", 404),
            ("ALREADY_EXISTS", 409),
            ("PERMISSION_DENIED", 403),
            ("UNAUTHENTICATED", 502),
            ("RESOURCE_EXHAUSTED", 429),
            ("FAILED_PRECONDITION", 409),
            ("ABORTED", 502),
            ("OUT_OF_RANGE", 502),
            ("UNIMPLEMENTED", 501),
            ("INTERNAL", 502),
            ("UNAVAILABLE", 503),
            ("DATA_LOSS", 502),
        ];

        let all = Code::ALL.map(|code| (code.as_str(), told(&Failure::said(code, "", None))));
        let named = expected.map(|(word, status)| (word, status, format!("receiver_{}", word.to_lowercase())));

        assert_eq!(all.map(|(word, (status, code))| (word, status, code.to_owned())), named);
    }

    #[test]
    fn what_comes_without_a_refusal_is_told_by_what_went_wrong() {
        let kinds = FailureKind::ALL.map(|kind| (kind.as_str(), told(&Failure::Unanswered(kind))));
        let unreachable = (502, "receiver_unreachable");

        let expected = [
            ("dns", unreachable),
            ("blocked", unreachable),
            ("connect", unreachable),
            ("tls", unreachable),
            ("timeout", (504, "receiver_timeout")),
            ("protocol", unreachable),
            ("too_large", (502, "receiver_malformed")),
            ("encryption_key", (500, "internal")),
            ("internal", (500, "internal")),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(told(&Failure::malformed("")), (502, "receiver_malformed"));
        let in_doubt = FailureKind::ALL.into_iter().filter(|kind| Failure::Unanswered(*kind).is_in_doubt());
        assert_eq!(in_doubt.map(FailureKind::as_str).collect::<Vec<_>>(), ["timeout", "protocol", "too_large"]);
    }

    #[test]
    fn a_receiver_that_cannot_verify_is_told_from_one_that_fails() {
        for words in [
            "Signing secret is required",
            "Headers are required",
            "Body is required",
            "UserHub-Action header is missing",
            "UserHub-Timestamp header is missing",
            "UserHub-Signature header is missing",
            "UserHub-Signature header normalized to nothing",
            "Timestamp is invalid: x",
            "Timestamp is too far in the past: 1",
            "Timestamp is too far in the future: 9",
            "Signatures do not match",
        ] {
            assert_eq!(told(&Failure::said(Code::Unknown, words, None)), (502, "receiver_unverified"), "{words}");
            assert_eq!(told(&Failure::said(Code::Internal, words, None)), (502, "receiver_internal"), "{words}");
        }
        assert_eq!(told(&Failure::said(Code::Unknown, "the disk is full", None)), (502, "receiver_unknown"));
    }

    #[test]
    fn a_stranger_s_words_are_cut_and_steer_nobody_s_terminal() {
        let words = |message: &str| match Failure::said(Code::NotFound, message, None) {
            Failure::Refused { message, .. } => message,
            other => unreachable!("{other:?}"),
        };

        assert_eq!(words("no\r\n\0 \u{1b}[31muser\u{85}"), "no [31muser");
        assert_eq!(words(&"ä".repeat(500)), "ä".repeat(500));
        assert_eq!(words(&"ä".repeat(501)), format!("{}…", "ä".repeat(500)));
    }

    #[test]
    fn only_who_is_exhausted_or_away_says_when_to_come_back() {
        let second = Some(Duration::from_secs(1));
        let says = |code: &Code| Failure::said(*code, "", second).retry_after() == second;

        let saying: Vec<Code> = Code::ALL.into_iter().filter(says).collect();

        assert_eq!(saying, [Code::ResourceExhausted, Code::Unavailable]);
    }
}
