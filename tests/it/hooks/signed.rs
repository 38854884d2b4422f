//! Hooks whose answers must be signed: nothing unsigned, foreign, stale or meant for another question is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{ES256, JwsHeader, serialize_compact};
use serde_json::{Value, json};

use super::hooked;
use crate::support::{Received, Receiver, Service};

/// A receiver's key pair.
fn key_pair() -> (Jwk, Value) {
    let pair = ES256.generate_key_pair().unwrap();
    (pair.to_jwk_private_key(), serde_json::from_str(&pair.to_jwk_public_key().to_string()).unwrap())
}

fn signed(key: &Jwk, claims: &Value) -> String {
    let mut header = JwsHeader::new();
    header.set_token_type("JWT");
    let signer = ES256.signer_from_jwk(key).unwrap();
    serialize_compact(claims.to_string().as_bytes(), &header, &signer).unwrap()
}

/// The claims of an answer to a question, as a receiver makes them of the question's own token.
fn claims(received: &Received, said: &Value) -> Value {
    let payload = received.header("signet-hook-token").split('.').nth(1).unwrap();
    let asked: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let mut claims = json!({"jti": asked["jti"], "aud": asked["iss"], "iat": asked["iat"]});
    claims.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    claims
}

/// Has a receiver sign what it says with a key, after changing it.
fn answering(receiver: &Receiver, key: &Jwk, said: Value, change: impl Fn(&mut Value) + Send + Sync + 'static) {
    let key = key.clone();
    receiver.answering_by(move |received| {
        let mut claims = claims(received, &said);
        change(&mut claims);
        (200, signed(&key, &claims))
    });
}

async fn signing(kind: &str) -> (Service, Receiver, Jwk) {
    let (service, receiver) = hooked(kind).await;
    let (private, public) = key_pair();
    service.configured(json!({kind: {"on_failure": "block", "signed_answer": {"keys": [public]}}})).await;
    (service, receiver, private)
}

#[tokio::test]
async fn a_signed_answer_to_this_question_is_believed_bare_or_in_json() {
    let (service, receiver, key) = signing("pre_sign_up").await;

    answering(&receiver, &key, json!({"allow": true}), |_| {});
    let bare = service.asked("pre_sign_up").await;
    let wrapping = key.clone();
    receiver.answering_by(move |received| {
        let token = signed(&wrapping, &claims(received, &json!({"allow": false, "reason": "no"})));
        (200, json!({"token": token, "allow": true}).to_string())
    });
    let wrapped = service.asked("pre_sign_up").await;

    assert_eq!(bare, json!({"allow": true, "outcome": "allowed"}));
    assert_eq!(wrapped, json!({"allow": false, "outcome": "blocked", "reason": "no"}));
}

#[tokio::test]
async fn signed_claims_are_added() {
    let (service, receiver, key) = signing("jwt").await;

    answering(&receiver, &key, json!({"claims": {"plan": "pro", "sub": "x"}}), |_| {});

    let amended = service.asked("jwt").await;
    let expected = json!({"allow": true, "outcome": "amended", "claims": {"plan": "pro"}, "ignored_claims": ["sub"]});
    assert_eq!(amended, expected);
}

#[tokio::test]
async fn no_other_answer_is_believed() {
    let (service, receiver, key) = signing("pre_sign_up").await;
    let (foreign, _) = key_pair();
    let yes = || json!({"allow": true});
    let untrusted = json!({"allow": false, "outcome": "error", "failure": "untrusted"});
    let earlier = receiver.received().len();
    answering(&receiver, &key, yes(), |_| {});
    assert_eq!(service.asked("pre_sign_up").await["outcome"], "allowed");
    let replayed = signed(&key, &claims(&receiver.received()[earlier], &yes()));

    let unsigned = r#"{"allow": true}"#.to_owned();
    let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(&unsigned));
    for body in [unsigned, none, replayed, json!({"token": 7}).to_string(), String::new()] {
        receiver.saying(&body);
        assert_eq!(service.asked("pre_sign_up").await, untrusted, "{body}");
    }
    answering(&receiver, &foreign, yes(), |_| {});
    assert_eq!(service.asked("pre_sign_up").await, untrusted, "a foreign key");
    let changes: [(&str, Value); 3] = [
        ("jti", json!("hk_01HZZZZZZZZZZZZZZZZZZZZZZZ")),
        ("aud", json!("https://a.example")),
        ("iat", json!(1_700_000_000)),
    ];
    for (name, value) in changes {
        answering(&receiver, &key, yes(), move |claims| claims[name] = value.clone());
        assert_eq!(service.asked("pre_sign_up").await, untrusted, "another {name}");
        answering(&receiver, &key, yes(), move |claims| {
            claims.as_object_mut().unwrap().remove(name);
        });
        assert_eq!(service.asked("pre_sign_up").await, untrusted, "no {name}");
    }
    answering(&receiver, &key, json!({}), |_| {});
    assert_eq!(service.asked("pre_sign_up").await["failure"], "malformed", "it says nothing");
}

#[tokio::test]
async fn keys_that_are_damaged_in_the_database_let_nobody_in() {
    let (service, receiver, _) = signing("pre_sign_up").await;
    receiver.saying(r#"{"allow": true}"#);
    service.tamper("update hooks set answer_keys = '[]'").await;
    service.after(std::time::Duration::from_secs(1));

    let answer = service.asks("pre_sign_up").await;

    assert_eq!((answer.status, receiver.received().len()), (500, 0), "{}", answer.text);
}
