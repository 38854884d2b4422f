//! Tokens of ours verify; forgeries are refused for the right reason.

use std::sync::Arc;

use super::*;
use crate::domain::id::TenantId;
use crate::domain::token::TokenType;
use crate::signing::{Jwks, KeyProvider as _, Making, MasterKeys, Providers, Signer};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const CLAIMS: &str = r#"{"iss":"https://a.example","aud":["https://b.example/hooks"],"iat":1699999995,"exp":1700000295,"evt":"user.created","data":1e400}"#;

fn issuer(algorithm: Algorithm) -> (Signer, Jwks) {
    let master_keys = MasterKeys::parse(&format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(43))).unwrap();
    let providers = Providers::new(Arc::new(master_keys), None, Making::Local);
    let made = providers.make(TenantId::from_bytes([1; 16]), algorithm).unwrap();
    (providers.open(&made.sealed).unwrap(), Jwks::of(&[made.public]))
}

fn signed(signer: &Signer) -> String {
    signed_claims(signer, CLAIMS)
}

fn signed_claims(signer: &Signer, claims: &str) -> String {
    signed_as(signer, TokenType::Jwt, claims)
}

fn signed_as(signer: &Signer, token_type: TokenType, claims: &str) -> String {
    let mut token = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(signer.sign_onto(&mut token, token_type, claims.as_bytes())).unwrap();
    token
}

fn expected() -> Expected<'static> {
    Expected { issuer: Some("https://a.example"), audience: Some("https://b.example/hooks"), now: NOW }
}

fn forged_header(token: &str, header: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

#[test]
fn a_token_of_every_algorithm_verifies_with_its_claims_untouched() {
    for algorithm in Algorithm::ALL {
        let (signer, jwks) = issuer(algorithm);

        let verified = verify(&signed(&signer), &jwks.body, &expected()).unwrap();

        assert_eq!(verified.claims, CLAIMS);
        assert_eq!(verified.kid, signer.kid().as_str());
    }
}

#[test]
fn the_header_holds_alg_kid_and_typ_alone() {
    let (signer, _) = issuer(Algorithm::Es256);
    let token = signed(&signer);

    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();

    let kid = signer.kid();
    assert_eq!(String::from_utf8(header).unwrap(), format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT"}}"#));
    assert_eq!(token.split('.').next_back().unwrap().len(), 86);
}

#[test]
fn a_forged_token_is_refused_for_its_reason() {
    let (signer, jwks) = issuer(Algorithm::Es256);
    let (stranger, _) = issuer(Algorithm::Es256);
    let token = signed(&signer);
    let kid = signer.kid();
    let refused = |token: &str| verify(token, &jwks.body, &expected()).unwrap_err();

    let altered = token.replacen(".ey", ".eY", 1);
    assert!(matches!(refused(&altered), Rejection::Signature));
    let unsigned = forged_header(&token, r#"{"alg":"none","kid":"x"}"#);
    assert_eq!(refused(&unsigned), Rejection::Algorithm("none".to_owned()));
    let confused = forged_header(&token, &format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
    assert_eq!(refused(&confused), Rejection::Algorithm("HS256".to_owned()));
    let swapped = forged_header(&token, &format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#));
    assert!(matches!(refused(&swapped), Rejection::AlgorithmMismatch { .. }));
    let pointing = forged_header(&token, &format!(r#"{{"alg":"ES256","kid":"{kid}","jku":"https://evil.example"}}"#));
    assert_eq!(refused(&pointing), Rejection::HeaderMember("jku".to_owned()));
    assert!(matches!(refused(&signed(&stranger)), Rejection::UnknownKid { .. }));
    assert_eq!(refused("abc"), Rejection::NotCompact);
}

#[test]
fn a_signature_that_lacks_its_leading_zero_is_refused() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
        let (signer, jwks) = issuer(algorithm);
        let sign = |at: u32| signed_claims(&signer, &CLAIMS.replacen("1e400", &at.to_string(), 1));
        let signature = |token: &str| URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
        // One signature in 256 is such a one.
        let token = (0..100_000).map(sign).find(|token| signature(token)[0] == 0).unwrap();
        let (message, _) = token.rsplit_once('.').unwrap();
        let cut = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature(&token)[1..]));

        assert!(verify(&token, &jwks.body, &expected()).is_ok());
        assert_eq!(verify(&cut, &jwks.body, &expected()).unwrap_err(), Rejection::Signature);
    }
}

#[test]
fn a_token_for_somebody_else_or_another_time_is_refused() {
    let (signer, jwks) = issuer(Algorithm::EdDsa);
    let token = signed(&signer);
    let refused = |expected: &Expected<'_>| verify(&token, &jwks.body, expected).unwrap_err();

    let elsewhere = Expected { audience: Some("https://c.example"), ..expected() };
    assert!(matches!(refused(&elsewhere), Rejection::Audience { .. }));
    let otherwise = Expected { issuer: Some("https://c.example"), ..expected() };
    assert!(matches!(refused(&otherwise), Rejection::Issuer { .. }));
    let late = Expected { now: Timestamp::from_micros(1_700_000_295_000_000), ..expected() };
    assert!(matches!(refused(&late), Rejection::Expired(_)));
    let early = Expected { now: Timestamp::from_micros(1_699_999_994_000_000), ..expected() };
    assert!(matches!(refused(&early), Rejection::IssuedInFuture(_)));
}

#[test]
fn a_security_event_token_verifies_without_an_end_and_only_under_its_own_type() {
    let (signer, jwks) = issuer(Algorithm::Es256);
    let claims = |rest: &str| {
        format!(r#"{{"iss":"https://a.example","aud":["https://b.example/hooks"],"iat":1699999995,{rest}}}"#)
    };
    let check = |token_type, rest: &str| {
        let token = signed_as(&signer, token_type, &claims(rest));
        verify(&token, &jwks.body, &expected()).map(|verified| verified.claims)
    };
    let rest = r#""jti":"evt_1","events":{"urn:a":{}}"#;

    assert_eq!(check(TokenType::SecurityEvent, rest), Ok(claims(rest)));
    assert_eq!(check(TokenType::Jwt, rest), Err(Rejection::NoExpiry));
    for rest in [
        r#""jti":"evt_1""#,
        r#""events":{"urn:a":{}}"#,
        r#""jti":"evt_1","events":{}"#,
        r#""jti":"evt_1","events":{"urn:a":1}"#,
        r#""jti":"evt_1","events":{"urn:a":{},"urn:b":{}}"#,
        r#""jti":"evt_1","exp":1700000295,"evt":"user.created""#,
    ] {
        assert_eq!(check(TokenType::SecurityEvent, rest), Err(Rejection::NoSecurityEvent), "{rest}");
    }
    let foreign = Expected { audience: Some("https://c.example"), ..expected() };
    let token = signed_as(&signer, TokenType::SecurityEvent, &claims(rest));
    assert!(matches!(verify(&token, &jwks.body, &foreign), Err(Rejection::Audience { .. })));
}
