//! What came of a question, and what counts as said: total and pure.
//!
//! Nothing but an explicit answer is one. Whatever else came, 401 included, counts as what the hook has for failures.

use super::{HookFailure, HookKind, HookOutcome, OnFailure};
use crate::domain::delivery::FailureKind;
use crate::domain::shown::plain;

/// The longest reason, in characters: people read it.
pub const REASON_CHARS_MAX: usize = 500;

/// Claims that are the platform's own to set.
pub const RESERVED_CLAIMS: [&str; 13] = [
    "sub",
    "session_id",
    "tenant_id",
    "org_id",
    "role",
    "mfa_verified",
    "email",
    "iat",
    "exp",
    "iss",
    "aud",
    "nbf",
    "jti",
];

/// A claim: its name, and its value as it was written, so that numbers stay exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub name: String,
    pub json: String,
}

/// What an answer says, as far as it says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub allow: Option<bool>,
    pub reason: Option<String>,
    pub claims: Option<Vec<Claim>>,
}

/// An answer that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misread {
    Malformed,
    Untrusted,
}

/// What was heard of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An answer that was read, which came with 200.
    Answer(Result<Said, Misread>),
    /// An answer whose status says all that counts.
    Status(u16),
    Nothing(FailureKind),
}

/// What counts as said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub outcome: HookOutcome,
    pub allow: bool,
    /// Why it was blocked, in its receiver's words.
    pub reason: Option<String>,
    pub claims: Vec<Claim>,
    /// The names of claims that were left out.
    pub ignored_claims: Vec<String>,
    pub failure: Option<HookFailure>,
}

impl Decision {
    /// Nobody is to be asked.
    pub fn not_configured() -> Self {
        Self::of(HookOutcome::NotConfigured, true)
    }

    fn of(outcome: HookOutcome, allow: bool) -> Self {
        Self { outcome, allow, reason: None, claims: Vec::new(), ignored_claims: Vec::new(), failure: None }
    }

    fn failed(failure: HookFailure, kind: HookKind, on_failure: OnFailure) -> Self {
        let outcome = match failure {
            HookFailure::Exchange(FailureKind::Timeout) => HookOutcome::Timeout,
            _ => HookOutcome::Error,
        };
        // What has happened already is not undone.
        let allow = kind.is_told() || on_failure == OnFailure::Allow;
        Self { failure: Some(failure), ..Self::of(outcome, allow) }
    }
}

/// Decides.
pub fn decide(kind: HookKind, on_failure: OnFailure, heard: Heard) -> Decision {
    let said = match heard {
        Heard::Nothing(failure) => return Decision::failed(HookFailure::Exchange(failure), kind, on_failure),
        Heard::Answer(_) | Heard::Status(200..=299) if kind.is_told() => {
            return Decision::of(HookOutcome::Allowed, true);
        }
        Heard::Status(_) => return Decision::failed(HookFailure::Status, kind, on_failure),
        Heard::Answer(Err(Misread::Malformed)) => {
            return Decision::failed(HookFailure::Malformed, kind, on_failure);
        }
        Heard::Answer(Err(Misread::Untrusted)) => {
            return Decision::failed(HookFailure::Untrusted, kind, on_failure);
        }
        Heard::Answer(Ok(said)) => said,
    };
    match (kind, said.allow) {
        // It cannot block. One that says so was asked something else than it believes.
        (HookKind::Jwt, None | Some(true)) => amended(said.claims.unwrap_or_default()),
        (HookKind::Jwt, Some(false)) | (_, None) => Decision::failed(HookFailure::Malformed, kind, on_failure),
        (_, Some(true)) => Decision::of(HookOutcome::Allowed, true),
        (_, Some(false)) => {
            let reason = said.reason.map(|reason| for_people(&reason)).filter(|reason| !reason.is_empty());
            Decision { reason, ..Decision::of(HookOutcome::Blocked, false) }
        }
    }
}

fn amended(claims: Vec<Claim>) -> Decision {
    let (ignored, claims): (Vec<Claim>, Vec<Claim>) =
        claims.into_iter().partition(|claim| RESERVED_CLAIMS.contains(&claim.name.as_str()));
    let outcome = if claims.is_empty() { HookOutcome::Allowed } else { HookOutcome::Amended };
    let ignored_claims = ignored.into_iter().map(|claim| claim.name).collect();
    Decision { claims, ignored_claims, ..Decision::of(outcome, true) }
}

fn for_people(reason: &str) -> String {
    plain(reason).chars().take(REASON_CHARS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use HookKind::{Jwt, PostSignIn, PostSignUp, PrePasswordReset, PreSignIn, PreSignUp};
    use HookOutcome::{Allowed, Amended, Blocked, Error, Timeout};
    use OnFailure::{Allow, Block};

    const ASKED: [HookKind; 3] = [PreSignUp, PreSignIn, PrePasswordReset];
    const TOLD: [HookKind; 2] = [PostSignUp, PostSignIn];

    fn check(kinds: &[HookKind], heard: &Heard, expected: [(HookOutcome, bool); 2]) {
        for kind in kinds {
            let decided = [Allow, Block].map(|on_failure| {
                let decision = decide(*kind, on_failure, heard.clone());
                (decision.outcome, decision.allow)
            });
            assert_eq!(decided, expected, "{kind:?}, {heard:?}");
        }
    }

    fn said(allow: Option<bool>) -> Heard {
        Heard::Answer(Ok(Said { allow, ..Said::default() }))
    }

    fn claims(names: &[&str]) -> Heard {
        let claim = |name: &&str| Claim { name: (*name).to_owned(), json: "1.10".to_owned() };
        Heard::Answer(Ok(Said { claims: Some(names.iter().map(claim).collect()), ..Said::default() }))
    }

    #[test]
    fn only_an_explicit_answer_counts_and_all_else_is_what_the_hook_has_for_failures() {
        let failed = [(Error, true), (Error, false)];

        check(&ASKED, &said(Some(true)), [(Allowed, true); 2]);
        check(&ASKED, &said(Some(false)), [(Blocked, false); 2]);
        check(&ASKED, &said(None), failed);
        check(&ASKED, &claims(&["plan"]), failed);
        for kinds in [&ASKED[..], &[Jwt]] {
            check(kinds, &Heard::Answer(Err(Misread::Malformed)), failed);
            check(kinds, &Heard::Answer(Err(Misread::Untrusted)), failed);
            check(kinds, &Heard::Nothing(FailureKind::Timeout), [(Timeout, true), (Timeout, false)]);
            for status in [100, 200, 201, 204, 301, 307, 400, 401, 403, 404, 500, 503] {
                check(kinds, &Heard::Status(status), failed);
            }
            for kind in FailureKind::ALL.into_iter().filter(|kind| *kind != FailureKind::Timeout) {
                check(kinds, &Heard::Nothing(kind), failed);
            }
        }
    }

    #[test]
    fn what_has_happened_is_allowed_whatever_comes_of_telling_it() {
        for status in [200, 201, 204, 299] {
            check(&TOLD, &Heard::Status(status), [(Allowed, true); 2]);
        }
        for status in [199, 302, 401, 500] {
            check(&TOLD, &Heard::Status(status), [(Error, true); 2]);
        }
        check(&TOLD, &said(Some(false)), [(Allowed, true); 2]);
        check(&TOLD, &Heard::Answer(Err(Misread::Malformed)), [(Allowed, true); 2]);
        check(&TOLD, &Heard::Nothing(FailureKind::Timeout), [(Timeout, true); 2]);
        check(&TOLD, &Heard::Nothing(FailureKind::Dns), [(Error, true); 2]);
    }

    #[test]
    fn claims_are_added_and_a_hook_that_adds_them_cannot_block() {
        check(&[Jwt], &claims(&["plan", "team_id"]), [(Amended, true); 2]);
        check(&[Jwt], &claims(&[]), [(Allowed, true); 2]);
        check(&[Jwt], &said(None), [(Allowed, true); 2]);
        check(&[Jwt], &said(Some(true)), [(Allowed, true); 2]);
        check(&[Jwt], &said(Some(false)), [(Error, true), (Error, false)]);
    }

    #[test]
    fn no_answer_sets_a_claim_that_is_the_platforms_own() {
        let names: Vec<&str> = RESERVED_CLAIMS.into_iter().chain(["plan", "Sub", "sub "]).collect();

        let decision = decide(Jwt, Block, claims(&names));
        let nothing_left = decide(Jwt, Block, claims(&["sub"]));

        let kept: Vec<&str> = decision.claims.iter().map(|claim| claim.name.as_str()).collect();
        assert_eq!(kept, ["plan", "Sub", "sub "]);
        assert_eq!(decision.ignored_claims, RESERVED_CLAIMS);
        assert_eq!((nothing_left.outcome, nothing_left.ignored_claims), (Allowed, vec!["sub".to_owned()]));
    }

    #[test]
    fn a_reason_is_what_people_can_read() {
        let reason = |text: &str| {
            let said = Said { allow: Some(false), reason: Some(text.to_owned()), claims: None };
            decide(PreSignUp, Allow, Heard::Answer(Ok(said))).reason
        };

        assert_eq!(reason("Only @acme.com.").as_deref(), Some("Only @acme.com."));
        assert_eq!(reason("a\u{1b}[31mb\r\n\0c\u{85}\u{202e}").as_deref(), Some("a[31mbc"));
        assert_eq!(reason(&"ü".repeat(501)).map(|reason| reason.chars().count()), Some(500));
        assert_eq!([reason(""), reason(" \n\t")], [None, None]);
    }

    #[test]
    fn a_failure_is_named() {
        let failure = |heard| decide(PreSignUp, Allow, heard).failure.map(HookFailure::as_str);

        assert_eq!(failure(Heard::Nothing(FailureKind::TooLarge)), Some("too_large"));
        assert_eq!(failure(Heard::Nothing(FailureKind::Timeout)), Some("timeout"));
        assert_eq!(failure(Heard::Status(302)), Some("status"));
        assert_eq!(failure(Heard::Answer(Err(Misread::Untrusted))), Some("untrusted"));
        assert_eq!(failure(said(None)), Some("malformed"));
        assert_eq!(failure(said(Some(false))), None);
    }
}
