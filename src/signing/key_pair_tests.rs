//! What is written of keys is exact: names, widths and nothing private.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ec::EcPoint;

use super::*;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenType;
use crate::signing::{Expected, Jwks, KeyProvider as _, Making, Providers, verify};

#[test]
fn the_kid_is_the_thumbprint_of_rfc_7638() {
    // RFC 7638 3.1.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let jwk = Jwk::from_bytes(format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#)).unwrap();

    let public = PublicJwk::of(&jwk, Algorithm::Rs256).unwrap();

    assert_eq!(public.kid().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn a_public_key_shows_nothing_private() {
    for algorithm in Algorithm::ALL {
        let public = KeyPair::generate(algorithm).unwrap().public().unwrap();
        let jwk = Jwk::from_bytes(public.as_str()).unwrap();

        assert!(["d", "p", "q", "dp", "dq", "qi", "key_ops"].iter().all(|name| jwk.parameter(name).is_none()));
        assert_eq!(jwk.algorithm(), Some(algorithm.as_str()));
        assert_eq!(jwk.key_use(), Some("sig"));
    }
}

#[test]
fn the_kid_is_the_thumbprint_of_rfc_8037() {
    // RFC 8037 A.3.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let jwk = Jwk::from_bytes(jwk).unwrap();

    let public = PublicJwk::of(&jwk, Algorithm::EdDsa).unwrap();

    assert_eq!(public.kid().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

/// The key pair whose private number is this one.
fn key_pair_of(algorithm: Algorithm, number: u32) -> KeyPair {
    let curve = if algorithm == Algorithm::Es256 { Nid::X9_62_PRIME256V1 } else { Nid::SECP384R1 };
    let group = EcGroup::from_curve_name(curve).unwrap();
    let number = BigNum::from_u32(number).unwrap();
    let mut point = EcPoint::new(&group).unwrap();
    point.mul_generator2(&group, &number, &mut BigNumContext::new().unwrap()).unwrap();
    KeyPair { algorithm, key: Key::Ec(EcKey::from_private_components(&group, &number, &point).unwrap()) }
}

/// A member of a JWK, in bytes.
fn member(jwk: &str, name: &str) -> Vec<u8> {
    let jwk = Jwk::from_bytes(jwk).unwrap();
    URL_SAFE_NO_PAD.decode(jwk.parameter(name).and_then(|value| value.as_str()).unwrap()).unwrap()
}

#[test]
fn coordinates_and_private_numbers_keep_their_leading_zeros() {
    for (algorithm, width) in [(Algorithm::Es256, 32), (Algorithm::Es384, 48)] {
        for name in ["x", "y"] {
            // One key in 256 has such a coordinate. Small private numbers begin with zeros themselves.
            let public = |pair: &KeyPair| member(pair.public().unwrap().as_str(), name);
            let mut pairs = (1..).map(|number| key_pair_of(algorithm, number));
            let pair = pairs.find(|pair| public(pair)[0] == 0).unwrap();

            assert_eq!(public(&pair).len(), width);
            assert_eq!(member(&pair.private_jwk().unwrap(), "d").len(), width);
            check_signs(&pair);
        }
    }
}

/// A key pair that was sealed and opened signs what its public half verifies.
fn check_signs(pair: &KeyPair) {
    let master_keys = MasterKeys::parse(&format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(43))).unwrap();
    let sealed = pair.seal(&master_keys, TenantId::from_bytes([1; 16])).unwrap();
    let signer = Providers::new(Arc::new(master_keys), None, Making::Local).open(&sealed).unwrap();
    let mut token = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(signer.sign_onto(&mut token, TokenType::Jwt, br#"{"exp":4102444800,"evt":"user.created"}"#))
        .unwrap();

    let expected = Expected { issuer: None, audience: None, now: Timestamp::from_micros(0) };
    verify(&token, &Jwks::of(&[pair.public().unwrap()]).body, &expected).unwrap();
}

#[test]
fn a_private_jwk_never_grows_while_it_is_written() {
    for algorithm in Algorithm::ALL {
        let private = KeyPair::generate(algorithm).unwrap().private_jwk().unwrap();

        assert_eq!(private.capacity(), PRIVATE_JWK_BYTES);
    }
}

#[test]
fn a_record_whose_key_was_exchanged_is_refused() {
    let one = KeyPair::generate(Algorithm::Es256).unwrap().public().unwrap();
    let other = KeyPair::generate(Algorithm::Es256).unwrap().public().unwrap();

    assert!(PublicJwk::from_record(one.as_str(), one.kid(), Algorithm::Es256).is_ok());
    assert!(PublicJwk::from_record(other.as_str(), one.kid(), Algorithm::Es256).is_err());
}
