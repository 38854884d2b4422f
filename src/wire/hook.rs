//! Questions to authentication hooks, and what is answered. The platform's payload goes out as it came; who asks, and that
//! nothing was altered on the way, is in the headers three times: for receivers of HelloJohn, for libraries of Standard
//! Webhooks, and as a token that needs no shared secret.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Deserialize as Derived, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::standard;
use crate::domain::dialect::HeaderPrefix;
use crate::domain::hook::HookKind;
use crate::domain::hook::decision::{Claim, Misread, Said};
use crate::domain::id::ExecutionId;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenTtl, TokenType, Validity};
use crate::signing::digest::{WebhookSecret, base64url, sha256};
use crate::signing::{AnswerKeys, Bound, Signer, SigningError};

/// How deep a claim may be nested; its value is nested again in a token.
const CLAIM_LEVELS_MAX: u32 = 32;

/// A question, and with whose keys it is signed.
pub struct Question<'a> {
    pub id: ExecutionId,
    pub kind: HookKind,
    /// The hook's URL without its query.
    pub audience: &'a str,
    pub issuer: &'a str,
    pub prefix: &'a HeaderPrefix,
    pub signer: &'a Signer,
    /// Every secret that signs now, newest first.
    pub secrets: &'a [&'a WebhookSecret],
    pub payload: &'a [u8],
}

/// The headers of a question, but for the one that has room for one signature.
pub struct Letter {
    pub headers: [(&'static str, String); 3],
    pub own_headers: Vec<(String, String)>,
}

/// The claims of the token.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: [&'a str; 1],
    iat: i64,
    exp: i64,
    jti: &'a str,
    hook: &'a str,
    body_sha256: &'a str,
}

/// Writes the headers. Waits only for a key that signs elsewhere.
pub async fn letter(question: &Question<'_>, now: Timestamp) -> Result<Letter, SigningError> {
    let Question { id, kind, prefix, payload, .. } = question;
    let (id, digest) = (id.to_string(), base64url(&sha256(payload)));
    let Validity { iat, exp } = Validity::starting(now, TokenTtl::SHORTEST);
    let (iss, aud) = (question.issuer, [question.audience]);
    let claims = Claims { iss, aud, iat, exp, jti: &id, hook: kind.as_str(), body_sha256: &digest };
    let claims = serde_json::to_vec(&claims).map_err(|_| SigningError::Signature)?;
    let mut token = String::with_capacity(question.signer.token_len(TokenType::Hook, claims.len()));
    question.signer.sign_onto(&mut token, TokenType::Hook, &claims).await?;
    let own_headers = vec![(prefix.header("Hook"), kind.as_str().to_owned()), (prefix.header("Hook-Token"), token)];
    Ok(Letter { headers: standard::headers(id, now, payload, (question.secrets, &[])), own_headers })
}

/// The header that HelloJohn's receivers verify, under the whole text of one secret.
pub fn signature(prefix: &HeaderPrefix, secret: &WebhookSecret, payload: &[u8]) -> (String, String) {
    (prefix.header("Hook-Signature"), format!("sha256={}", secret.authenticate_by_text(&[payload])))
}

/// Reads an answer, which one of these keys must have signed if there are any.
pub fn read(body: &[u8], trusted: Option<(&AnswerKeys, Bound<'_>)>) -> Result<Said, Misread> {
    let Some((keys, bound)) = trusted else { return said(body) };
    let token = token(body).ok_or(Misread::Untrusted)?;
    said(&keys.verify(&token, &bound).ok_or(Misread::Untrusted)?)
}

/// A compact JWS, which is the whole body or the member `token` of an object.
fn token(body: &[u8]) -> Option<String> {
    #[derive(Derived)]
    struct Wrapped {
        token: String,
    }

    let body = body.trim_ascii();
    if body.first() == Some(&b'{') {
        return serde_json::from_slice::<Wrapped>(body).ok().map(|wrapped| wrapped.token);
    }
    std::str::from_utf8(body).ok().map(str::to_owned)
}

/// An answer as it is written. What is not known is passed over: receivers answer other things besides.
#[derive(Derived)]
struct Written {
    #[serde(default)]
    allow: Option<bool>,
    /// Words that nobody can read are no reason to let anybody in.
    #[serde(default)]
    reason: Option<Value>,
    #[serde(default)]
    claims: Option<Members>,
}

fn said(json: &[u8]) -> Result<Said, Misread> {
    // The parser would take a list for an object, member by member.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Misread::Malformed);
    }
    // All of it: what the parser passes over it does not look at.
    let json = std::str::from_utf8(json).map_err(|_| Misread::Malformed)?;
    let Written { allow, reason, claims } = serde_json::from_str(json).map_err(|_| Misread::Malformed)?;
    let claims = claims.map(|members| members.0);
    if !claims.iter().flatten().all(|claim| is_unambiguous(&claim.json, CLAIM_LEVELS_MAX)) {
        return Err(Misread::Malformed);
    }
    let reason = reason.and_then(|reason| reason.as_str().map(str::to_owned));
    Ok(Said { allow, reason, claims })
}

/// The members of an object, with their values as they are written. One that stands there twice is none: whoever reads the
/// token later may take the other value.
struct Members(Vec<Claim>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members, A::Error> {
                let (mut names, mut claims) = (HashSet::new(), Vec::new());
                while let Some(name) = members.next_key::<String>()? {
                    let value = members.next_value::<Box<RawValue>>()?;
                    if !names.insert(name.clone()) {
                        return Err(de::Error::custom("a member stands there twice"));
                    }
                    claims.push(Claim { name, json: value.get().to_owned() });
                }
                Ok(Members(claims))
            }
        }

        deserializer.deserialize_map(Each)
    }
}

/// Whether no member of an object stands there twice, down to so many levels.
fn is_unambiguous(json: &str, levels: u32) -> bool {
    let Some(inside) = levels.checked_sub(1) else { return false };
    match json.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<Members>(json)
            .is_ok_and(|members| members.0.iter().all(|claim| is_unambiguous(&claim.json, inside))),
        Some(b'[') => serde_json::from_str::<Vec<Box<RawValue>>>(json)
            .is_ok_and(|items| items.iter().all(|item| is_unambiguous(item.get(), inside))),
        // Numbers are left as they are; of texts, only what is Unicode has one meaning.
        Some(b'"') => serde_json::from_str::<String>(json).is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Result<Vec<(String, String)>, Misread> {
        let said = read(json.as_bytes(), None)?;
        Ok(said.claims.unwrap_or_default().into_iter().map(|claim| (claim.name, claim.json)).collect())
    }

    #[test]
    fn an_answer_says_what_it_says_and_nothing_by_accident() {
        let allow = |json: &str| read(json.as_bytes(), None).map(|said| said.allow);

        assert_eq!(allow(r#"{"allow": true, "ok": [1]}"#), Ok(Some(true)));
        assert_eq!(allow(" {\"allow\":false}\n"), Ok(Some(false)));
        for nothing in ["{}", r#"{"allow":null}"#, r#"{"Allow":true}"#, r#"{"ok":true}"#] {
            assert_eq!(allow(nothing), Ok(None), "{nothing}");
        }
        for malformed in [
            "",
            "true",
            "null",
            "[true]",
            "{",
            r#"{"allow":1}"#,
            r#"{"allow":"true"}"#,
            r#"{"allow":true,"allow":false}"#,
            r#"{"allow":true}{"allow":true}"#,
            r#"{"allow":true} x"#,
            "\u{feff}{\"allow\":true}",
            "<html>",
        ] {
            assert_eq!(allow(malformed), Err(Misread::Malformed), "{malformed}");
        }
        assert_eq!(read(b"{\"allow\":true,\"x\":\"\xff\"}", None), Err(Misread::Malformed));
    }

    #[test]
    fn who_is_blocked_is_blocked_whatever_the_reason_is() {
        for reason in ["null", "7", "{\"a\":1}", "[]"] {
            let said = read(format!(r#"{{"allow":false,"reason":{reason}}}"#).as_bytes(), None).unwrap();
            assert_eq!((said.allow, said.reason), (Some(false), None), "{reason}");
        }
    }

    #[test]
    fn claims_come_with_the_digits_that_were_written() {
        let given = r#"{"claims": {"plan": "pro", "big": 12345678901234567890, "rate": 1.10, "deep": {"a": [1e400]}}}"#;

        let text = |name: &str, json: &str| (name.to_owned(), json.to_owned());
        let expected = [
            text("plan", "\"pro\""),
            text("big", "12345678901234567890"),
            text("rate", "1.10"),
            text("deep", r#"{"a": [1e400]}"#),
        ];
        assert_eq!(claims(given).unwrap(), expected);
        assert_eq!(
            [claims("{}"), claims(r#"{"claims":null}"#), claims(r#"{"claims":{}}"#)],
            [const { Ok(Vec::new()) }; 3]
        );
    }

    #[test]
    fn claims_that_somebody_else_would_read_differently_are_refused() {
        for ambiguous in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":"\ud800"}"#,
            "[]",
            "7",
            "\"a\"",
        ] {
            assert_eq!(claims(&format!(r#"{{"claims":{ambiguous}}}"#)), Err(Misread::Malformed), "{ambiguous}");
        }
        let deep = format!(r#"{{"claims":{{"a":{}{}}}}}"#, "[".repeat(8_000), "]".repeat(8_000));
        assert_eq!(claims(&deep), Err(Misread::Malformed));
    }
}
