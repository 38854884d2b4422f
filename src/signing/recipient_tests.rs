//! Which keys can be encrypted to, what speaks against the others, and what a JWE looks like.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jwk::alg::rsa::RsaKeyPair;
use serde_json::json;

use super::*;
use crate::signing::thumbprint;

/// Bob's key of RFC 7518, appendix C.
fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
    })
}

/// Its private half.
const P256_PRIVATE: &str = "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw";

/// Bob's key of RFC 8037, appendix A.6.
fn x25519() -> Value {
    json!({"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"})
}

/// The key of RFC 7517, appendix A.1.
fn rsa() -> Value {
    json!({
        "kty": "RSA", "e": "AQAB",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
              tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI\
              SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    })
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn faults(jwk: &Value) -> Vec<(&'static str, String)> {
    let faults = Recipient::read(&jwk.to_string()).err().unwrap_or_default();
    faults.into_iter().map(|JwkFault { member, detail }| (member, detail)).collect()
}

fn members_at_fault(jwk: &Value) -> Vec<&'static str> {
    faults(jwk).into_iter().map(|(member, _)| member).collect()
}

fn header(jwe: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwe.split('.').next().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_key_of_each_kind_is_taken_and_kept_with_its_public_members_alone() {
    for (jwk, algorithm, others) in [
        (p256(), "ECDH-ES", json!({"key_ops": ["deriveBits"], "x5t": "a", "exp": 1.10})),
        (x25519(), "ECDH-ES", json!({"key_ops": []})),
        (rsa(), "RSA-OAEP-256", json!({"key_ops": ["wrapKey", "encrypt"], "ext": true})),
    ] {
        let own = [("use", json!("enc")), ("alg", json!(algorithm)), ("kid", json!("ä \"1\""))];
        let jwk = own.into_iter().fold(jwk, |jwk, (name, value)| with(jwk, name, value));
        let mut given = others;
        given.as_object_mut().unwrap().extend(jwk.as_object().unwrap().clone());

        let recipient = Recipient::read(&given.to_string()).map_err(|faults| format!("{faults:?}")).unwrap();

        assert_eq!(serde_json::from_str::<Value>(recipient.jwk()).unwrap(), jwk);
        let again = Recipient::read(recipient.jwk()).map_err(|faults| format!("{faults:?}")).unwrap();
        assert_eq!(again.jwk(), recipient.jwk());
    }
}

#[test]
fn a_jwe_says_what_it_is_and_for_whom() {
    for (jwk, algorithm, epk) in [
        (p256(), "ECDH-ES", Some(json!(["kty", "crv", "x", "y"]))),
        (x25519(), "ECDH-ES", Some(json!(["kty", "crv", "x"]))),
        (rsa(), "RSA-OAEP-256", None),
    ] {
        let named = Recipient::read(&with(jwk.clone(), "kid", json!("2026-11")).to_string()).ok().unwrap();
        let nameless = Recipient::read(&jwk.to_string()).ok().unwrap();

        let jwe = named.encrypt(br#"{"code":"123456"}"#).unwrap();

        let mut said = header(&jwe);
        let agreed = said.as_object_mut().unwrap().remove("epk");
        assert_eq!(said, json!({"enc": "A256GCM", "cty": "json", "kid": "2026-11", "alg": algorithm}));
        let agreed = agreed.map(|epk| epk.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        assert_eq!(agreed.map(|names| json!(names)), epk);
        assert_eq!(jwe.split('.').count(), 5);
        assert_eq!(jwe.split('.').nth(1) == Some(""), epk.is_some(), "only RSA carries a key");
        assert!(header(&nameless.encrypt(b"{}").unwrap()).get("kid").is_none());
        assert_ne!(named.encrypt(b"{}").unwrap(), named.encrypt(b"{}").unwrap());
    }
}

#[test]
fn what_was_encrypted_to_a_key_opens_with_its_private_half_to_the_byte() {
    let data = br#"{"balance":12345678901234567890.10,"code":"123456"}"#;
    let private = Jwk::from_bytes(with(p256(), "d", json!(P256_PRIVATE)).to_string()).unwrap();
    let pair = RsaKeyPair::generate(2_048).unwrap();

    let to_p256 = Recipient::read(&p256().to_string()).ok().unwrap().encrypt(data).unwrap();
    let to_rsa = Recipient::read(&pair.to_jwk_public_key().to_string()).ok().unwrap().encrypt(data).unwrap();

    let of_p256 = jwe::ECDH_ES.decrypter_from_jwk(&private).unwrap();
    let of_rsa = jwe::RSA_OAEP_256.decrypter_from_jwk(&pair.to_jwk_private_key()).unwrap();
    assert_eq!(jwe::deserialize_compact(&to_p256, &of_p256).unwrap().0, data);
    assert_eq!(jwe::deserialize_compact(&to_rsa, &of_rsa).unwrap().0, data);
}

#[test]
fn every_member_that_cannot_be_is_named() {
    for (jwk, expected) in [
        (json!([]), vec![""]),
        (json!("MIIB"), vec![""]),
        (json!(null), vec![""]),
        (json!({}), vec!["kty"]),
        (json!({"kty": 1}), vec!["kty"]),
        (json!({"kty": "oct", "k": "AAAA"}), vec!["k", "kty"]),
        (json!({"kty": "AKP", "pub": "AAAA"}), vec!["kty"]),
        (json!({"kty": "EC"}), vec!["crv"]),
        (json!({"kty": "EC", "crv": "P-256"}), vec!["x", "y"]),
        (with(p256(), "crv", json!("secp256k1")), vec!["crv"]),
        (with(p256(), "crv", json!("P-384")), vec!["x", "y"]),
        (with(p256(), "x", json!("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ=")), vec!["x"]),
        (with(p256(), "y", json!(7)), vec!["y"]),
        (with(x25519(), "crv", json!("Ed25519")), vec!["crv"]),
        (with(x25519(), "crv", json!("X448")), vec!["crv"]),
        (with(x25519(), "x", json!("AAAA")), vec!["x"]),
        (with(rsa(), "n", json!("AQAB")), vec!["n"]),
        (with(rsa(), "n", json!(URL_SAFE_NO_PAD.encode([0xff; 128]))), vec!["n"]),
        (with(rsa(), "n", json!(URL_SAFE_NO_PAD.encode([0xff; 1_025]))), vec!["n"]),
        (with(rsa(), "n", json!(URL_SAFE_NO_PAD.encode([0xfe; 256]))), vec!["n"]),
        (with(rsa(), "n", json!(URL_SAFE_NO_PAD.encode([&[0][..], &[0xff; 256]].concat()))), vec!["n"]),
        (with(rsa(), "e", json!("AQ")), vec!["e"]),
        (with(rsa(), "e", json!("AQAA")), vec!["e"]),
        (with(rsa(), "e", json!("")), vec!["e"]),
        (with(rsa(), "e", json!("AAEAAQ")), vec!["e"]),
        (with(rsa(), "e", json!("AQAAAAE")), vec!["e"]),
        (with(p256(), "use", json!("sig")), vec!["use"]),
        (with(p256(), "use", json!(["enc"])), vec!["use"]),
        (with(p256(), "alg", json!("ECDH-ES+A256KW")), vec!["alg"]),
        (with(p256(), "alg", json!("ES256")), vec!["alg"]),
        (with(rsa(), "alg", json!("RSA-OAEP")), vec!["alg"]),
        (with(p256(), "key_ops", json!(["verify"])), vec!["key_ops"]),
        (with(p256(), "key_ops", json!("deriveKey")), vec!["key_ops"]),
        (with(rsa(), "key_ops", json!([])), vec!["key_ops"]),
        (with(rsa(), "key_ops", json!(["wrapKey", 1])), vec!["key_ops"]),
        (with(p256(), "kid", json!("")), vec!["kid"]),
        (with(p256(), "kid", json!("k".repeat(257))), vec!["kid"]),
        (with(with(p256(), "use", json!("sig")), "kid", json!(1)), vec!["use", "kid"]),
    ] {
        assert_eq!(members_at_fault(&jwk), expected, "{jwk}");
    }
}

#[test]
fn a_point_that_is_not_on_its_curve_or_agrees_on_nothing_secret_is_refused() {
    let swapped = with(with(p256(), "x", p256()["y"].clone()), "y", p256()["x"].clone());
    // Points of order 4, 1 and 8: what is agreed on with each of them is zero (RFC 7748 6.1).
    let of_order_eight = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    let mut of_order_one = [0; 32];
    of_order_one[0] = 1;

    assert_eq!(faults(&swapped), [("x", "is, with y, no point on P-256".to_owned())]);
    for point in [[0; 32], of_order_one, of_order_eight] {
        assert_eq!(members_at_fault(&with(x25519(), "x", json!(URL_SAFE_NO_PAD.encode(point)))), ["x"], "{point:?}");
    }
}

#[test]
fn a_private_half_is_refused_and_never_repeated() {
    let whole = RsaKeyPair::generate(2_048).unwrap().to_jwk_key_pair();
    let whole: Value = serde_json::from_str(&whole.to_string()).unwrap();

    let of_rsa = faults(&whole);
    let of_p256 = faults(&with(p256(), "d", json!(P256_PRIVATE)));

    let members: Vec<&str> = of_rsa.iter().map(|(member, _)| *member).collect();
    assert_eq!(members, ["d", "p", "q", "dp", "dq", "qi"]);
    assert_eq!(of_p256.len(), 1);
    for (member, detail) in of_rsa.iter().chain(&of_p256) {
        assert!(detail.contains("register the public half"), "{member}: {detail}");
        let value = whole[*member].as_str().unwrap();
        assert!(!detail.contains(value) && !detail.contains(P256_PRIVATE), "{detail}");
    }
}

#[test]
fn a_key_is_known_by_the_thumbprint_of_its_rfc() {
    let of_rfc_7638 = with(with(rsa(), "kid", json!("2011-04-29")), "alg", json!("RS256")).to_string();
    let of_rfc_8037 = r#"{"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kty":"OKP","use":"enc","crv":"Ed25519"}"#;

    assert_eq!(thumbprint(&of_rfc_7638).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint(of_rfc_8037).unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_jwk_that_is_longer_than_any_key_is_refused_unread() {
    let long = with(p256(), "x5c", json!(["A".repeat(JWK_BYTES_MAX)]));

    assert_eq!(members_at_fault(&long), [""]);
    assert!(faults(&long)[0].1.contains("x5c"));
}

/// The kid of the key that is chosen of a set.
fn chosen(keys: &[Value]) -> Option<String> {
    let chosen = Recipient::of_set(json!({"keys": keys}).to_string().as_bytes()).unwrap()?;
    let jwk: Value = serde_json::from_str(chosen.jwk()).unwrap();
    Some(jwk["kid"].as_str().unwrap().to_owned())
}

#[test]
fn of_a_set_the_first_key_for_encryption_is_chosen_then_the_first_that_says_nothing() {
    let named = |jwk: Value, kid: &str| with(jwk, "kid", json!(kid));
    let meant = |jwk: Value, kid: &str| with(named(jwk, kid), "use", json!("enc"));
    let signing = with(named(p256(), "s"), "use", json!("sig"));
    let post_quantum = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "q", "use": "enc"});
    let off_curve = with(meant(p256(), "o"), "y", p256()["x"].clone());
    let private = with(meant(p256(), "p"), "d", json!(P256_PRIVATE));
    let for_es256 = with(named(p256(), "e"), "alg", json!("ES256"));

    let all = [signing, post_quantum, off_curve, private, for_es256, json!("no key"), json!(null)];
    assert_eq!(chosen(&all), None);
    assert_eq!(chosen(&[]), None);
    let first_of = |others: &[Value]| chosen(&[&all[..], others].concat());
    assert_eq!(first_of(&[named(rsa(), "a"), meant(x25519(), "b"), meant(p256(), "c")]).unwrap(), "b");
    assert_eq!(first_of(&[named(rsa(), "a"), named(p256(), "b")]).unwrap(), "a");
    assert_eq!(chosen(&[vec![json!({}); SET_KEYS_MAX], vec![named(p256(), "b")]].concat()), None);
}

#[test]
fn what_is_no_set_is_none() {
    for body in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>", r#"{"keys":[]}}"#] {
        assert_eq!(Recipient::of_set(body.as_bytes()).err(), Some(NoKeySet), "{body}");
    }
}
