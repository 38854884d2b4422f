//! Answers that one of the registered keys signed for this question are believed, and no others; keys that are not public
//! are refused.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::domain::id::TenantId;
use crate::domain::token::TokenType;
use crate::signing::{KeyProvider as _, Making, MasterKeys, Providers, Signer};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const BOUND: Bound<'static> = Bound { jti: "hk_1", audience: "https://a.example", now: NOW };
const CLAIMS: &str = r#"{"jti":"hk_1","aud":"https://a.example","iat":1700000000,"allow":true}"#;

fn key_pair(algorithm: Algorithm) -> (Signer, Value) {
    let master_keys = MasterKeys::parse(&format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(43))).unwrap();
    let providers = Providers::new(Arc::new(master_keys), None, Making::Local);
    let made = providers.make(TenantId::from_bytes([1; 16]), algorithm).unwrap();
    (providers.open(&made.sealed).unwrap(), serde_json::from_str(made.public.as_str()).unwrap())
}

fn signed(signer: &Signer, claims: &str) -> String {
    let mut token = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(signer.sign_onto(&mut token, TokenType::Jwt, claims.as_bytes())).unwrap();
    token
}

fn refusal(jwk: Value) -> &'static str {
    AnswerKeys::of(&[jwk]).err().map_or("accepted", |malformed| malformed.why)
}

#[test]
fn an_answer_of_every_algorithm_is_believed_under_its_own_key_alone() {
    let pairs = Algorithm::ALL.map(key_pair);
    let all: Vec<Value> = pairs.iter().map(|(_, jwk)| jwk.clone()).collect();
    let all = AnswerKeys::of(&all).unwrap();

    for (at, (signer, jwk)) in pairs.iter().enumerate() {
        let token = signed(signer, CLAIMS);
        let mut nameless = jwk.clone();
        for member in ["kid", "alg", "use"] {
            nameless.as_object_mut().unwrap().remove(member);
        }
        let others: Vec<Value> = pairs.iter().filter(|(_, other)| other != jwk).map(|(_, jwk)| jwk.clone()).collect();

        assert_eq!(all.verify(&token, &BOUND).as_deref(), Some(CLAIMS.as_bytes()), "{at}");
        assert!(AnswerKeys::of(&[nameless]).unwrap().verify(&token, &BOUND).is_some(), "{at}");
        assert!(AnswerKeys::of(&others).unwrap().verify(&token, &BOUND).is_none(), "{at}");
    }
}

#[test]
fn an_answer_counts_for_the_question_that_it_names() {
    let (signer, jwk) = key_pair(Algorithm::EdDsa);
    let keys = AnswerKeys::of(&[jwk]).unwrap();
    let is_believed = |claims: &str| keys.verify(&signed(&signer, claims), &BOUND).is_some();

    assert!(is_believed(CLAIMS));
    assert!(is_believed(r#"{"jti":"hk_1","aud":["x","https://a.example"],"iat":1699999940}"#));
    assert!(is_believed(r#"{"jti":"hk_1","aud":"https://a.example","iat":1700000060.0}"#));
    for other in [
        CLAIMS.replace("hk_1", "hk_2"),
        CLAIMS.replace("a.example", "b.example"),
        CLAIMS.replace("a.example", "a.example/"),
        CLAIMS.replace("1700000000", "1699999939"),
        CLAIMS.replace("1700000000", "1700000061"),
        CLAIMS.replace("1700000000", "\"1700000000\""),
        CLAIMS.replace("1700000000", "1e999"),
        CLAIMS.replace("\"jti\":\"hk_1\",", ""),
        CLAIMS.replace("\"aud\":\"https://a.example\",", ""),
        CLAIMS.replace("\"iat\":1700000000,", ""),
        CLAIMS.replace("\"jti\":\"hk_1\"", "\"jti\":\"hk_1\",\"jti\":\"hk_1\""),
        "[\"hk_1\",\"https://a.example\",1700000000]".to_owned(),
        "true".to_owned(),
    ] {
        assert!(!is_believed(&other), "{other}");
    }
}

#[test]
fn what_is_not_signed_as_it_must_be_is_not_believed() {
    let (signer, jwk) = key_pair(Algorithm::Es256);
    let keys = AnswerKeys::of(std::slice::from_ref(&jwk)).unwrap();
    let token = signed(&signer, CLAIMS);
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    // Whoever takes the public key for a shared secret.
    let shared = jws::HS256.signer_from_bytes(jwk.to_string().as_bytes()).unwrap();
    let hmac = josekit::jws::JwsSigner::sign(&shared, format!("{}.{claims}", encode(r#"{"alg":"HS256"}"#)).as_bytes());
    let hmac = URL_SAFE_NO_PAD.encode(hmac.unwrap());

    for forged in [
        format!("{}.{claims}.", encode(r#"{"alg":"none"}"#)),
        format!("{}.{claims}.{hmac}", encode(r#"{"alg":"HS256"}"#)),
        format!("{header}.{}.{signature}", encode(&CLAIMS.replace("true", "null"))),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{token}."),
        format!("{}.{claims}.{signature}", encode(r#"{"alg":"ES384"}"#)),
        format!("{}.{claims}.{signature}", encode(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#)),
        CLAIMS.to_owned(),
        String::new(),
    ] {
        assert!(keys.verify(&forged, &BOUND).is_none(), "{forged}");
    }
    assert!(keys.verify(&token, &BOUND).is_some());
}

#[test]
fn a_key_that_is_not_public_is_refused_and_nothing_of_it_is_kept() {
    let (_, jwk) = key_pair(Algorithm::Es256);
    let with = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };

    for name in PRIVATE {
        assert!(refusal(with(name, json!("c2VjcmV0"))).contains("private"), "{name}");
    }
    assert!(refusal(json!({"kty": "oct", "k": "c2VjcmV0"})).contains("private"));
    assert!(refusal(with("use", json!("enc"))).contains("`use`"));
    assert!(refusal(with("alg", json!("HS256"))).contains("`alg`"));
    assert!(refusal(with("crv", json!("secp256k1"))).contains("ES256"));
    assert!(refusal(with("kid", json!("a".repeat(256)))).contains("`kid`"));
    assert!(refusal(with("kid", json!(7))).contains("no text"));
    assert!(refusal(with("x", json!("AAAA"))).contains("no public key"));
    assert!(refusal(json!("jwk")).contains("JSON object"));
    let kept = AnswerKeys::of(&[with("x5c", json!(["c2VjcmV0"]))]).unwrap();
    assert!(!kept.as_str().contains("c2VjcmV0"));
    assert_eq!(AnswerKeys::from_record(kept.as_str()).unwrap().as_str(), kept.as_str());
}

#[test]
fn a_list_of_keys_and_each_of_them_is_bounded() {
    let (_, jwk) = key_pair(Algorithm::Rs256);
    let rsa = |modulus_bytes: usize, e: &[u8]| json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(vec![0xff; modulus_bytes]), "e": URL_SAFE_NO_PAD.encode(e)});

    assert!(AnswerKeys::of(&[]).is_err_and(|malformed| malformed.at.is_none()));
    assert!(AnswerKeys::of(&vec![jwk.clone(); ANSWER_KEYS_MAX + 1]).is_err_and(|malformed| malformed.at.is_none()));
    assert!(AnswerKeys::of(&[jwk, json!({})]).is_err_and(|malformed| malformed.at == Some(1)));
    assert_eq!(refusal(rsa(256, &[1, 0, 1])), "accepted");
    for (bytes, e) in [(255, &[1, 0, 1][..]), (513, &[1, 0, 1]), (256, &[0xff; 5])] {
        assert!(refusal(rsa(bytes, e)).contains("RSA key of less"), "{bytes} {e:?}");
    }
}
