//! Keys and signatures in number: what one library signs, another one verifies, and no key is written too short.
//!
//! aws-lc signs. OpenSSL verifies, as a receiver whose library is built on it would, from the key as the JWKS shows it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{self, JwsVerifier};
use serde_json::Value;
use signet::domain::id::TenantId;
use signet::domain::time::Timestamp;
use signet::domain::token::{Algorithm, TokenType};
use signet::signing::{Expected, Jwks, KeyPair, KeyProvider as _, Making, MasterKeys, Providers, Signer, verify};

/// How often each algorithm signs; `SIGNET_ROUND_TRIPS` says otherwise.
const ROUND_TRIPS_STANDARD: usize = 500;
/// How many keys of P-256 are made; `SIGNET_GENERATED_KEYS` says otherwise.
const KEYS_STANDARD: usize = 10_000;
/// After this many signatures, one that begins with a zero byte is certain: each does so once in 256 times.
const ZEROS_SEEN_WITHIN: usize = 20_000;
/// One signature in so many is tampered with in every way, and so is each that begins with a zero byte.
const TAMPERED_EVERY: usize = 50;

/// A key that signs, and the same key as others see it.
struct Issuer {
    signer: Signer,
    jwks: Jwks,
    verifier: Box<dyn JwsVerifier>,
}

fn issuer(algorithm: Algorithm) -> Issuer {
    let master_keys = MasterKeys::parse(&format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(43))).unwrap();
    let pair = KeyPair::generate(algorithm).unwrap();
    let sealed = pair.seal(&master_keys, TenantId::from_bytes([1; 16])).unwrap();
    let public = pair.public().unwrap();
    let jwk = Jwk::from_bytes(public.as_str()).unwrap();
    let verifier: Box<dyn JwsVerifier> = match algorithm {
        Algorithm::Es256 => Box::new(jws::ES256.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Es384 => Box::new(jws::ES384.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Rs256 => Box::new(jws::RS256.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::Ps256 => Box::new(jws::PS256.verifier_from_jwk(&jwk).unwrap()),
        Algorithm::EdDsa => Box::new(jws::EdDSA.verifier_from_jwk(&jwk).unwrap()),
    };
    let providers = Providers::new(Arc::new(master_keys), None, Making::Local);
    Issuer { signer: providers.open(&sealed).unwrap(), jwks: Jwks::of(&[public]), verifier }
}

/// How wide a signature of an algorithm is, and where its numbers begin.
fn shape(algorithm: Algorithm) -> (usize, &'static [usize]) {
    match algorithm {
        Algorithm::Es256 => (64, &[0, 32]),
        Algorithm::Es384 => (96, &[0, 48]),
        Algorithm::Rs256 | Algorithm::Ps256 => (256, &[0]),
        // Its numbers are written with their lowest byte first.
        Algorithm::EdDsa => (64, &[]),
    }
}

/// Signs and verifies so often, and on until every number of a signature began with a zero byte once.
fn check_round_trips(algorithm: Algorithm) {
    let (trips, (width, numbers)) = (count("SIGNET_ROUND_TRIPS", ROUND_TRIPS_STANDARD), shape(algorithm));
    let mut issuer = issuer(algorithm);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut zeros, mut tampered) = (vec![0_usize; numbers.len()], 0_usize);
    // A number that is written in fewer bytes than it has is seen by its first byte.
    let is_done = |trip: usize, zeros: &[usize]| trip >= trips && zeros.iter().all(|seen| *seen > 0);
    let mut trip = 0;
    while !is_done(trip, &zeros) {
        assert!(trip < trips.max(ZEROS_SEEN_WITHIN), "no number began with a zero byte: {zeros:?}");
        if trip % 10_000 == 9_999 {
            issuer = self::issuer(algorithm);
        }
        let claims = format!(r#"{{"exp":4102444800,"evt":"user.created","data":{trip}}}"#);
        let mut token = String::new();
        runtime.block_on(issuer.signer.sign_onto(&mut token, TokenType::Jwt, claims.as_bytes())).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();

        assert_eq!(signature.len(), width, "{token}");
        issuer.verifier.verify(message.as_bytes(), &signature).unwrap_or_else(|_| panic!("trip {trip}: {token}"));
        for (seen, at) in zeros.iter_mut().zip(numbers) {
            *seen += usize::from(signature[*at] == 0);
        }
        if trip % TAMPERED_EVERY == 0 || signature[0] == 0 {
            check_refused(&issuer, &token, &claims);
            tampered += 1;
        }
        trip += 1;
    }
    println!(
        "{}: {trip} round trips, 0 failures; {tampered} tampered with, all refused; began with a zero byte: {zeros:?}",
        algorithm.as_str()
    );
}

/// What verifies is refused once any part of it is another.
fn check_refused(issuer: &Issuer, token: &str, claims: &str) {
    let expected = Expected { issuer: None, audience: None, now: Timestamp::from_micros(0) };
    let judge = |token: &str| verify(token, &issuer.jwks.body, &expected);
    assert_eq!(judge(token).unwrap().claims, claims);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for at in [0, bytes.len() / 2 - 1, bytes.len() / 2, bytes.len() - 1] {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        assert!(judge(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(forged))).is_err(), "byte {at} of {token}");
    }
    for forged in [&bytes[1..], &bytes[..bytes.len() - 1], &[], &vec![0; bytes.len()], &[&[0], &bytes[..]].concat()] {
        assert!(judge(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(forged))).is_err(), "{token}");
    }
    let (header, _) = message.split_once('.').unwrap();
    let altered = URL_SAFE_NO_PAD.encode(claims.replacen("user.created", "user.deleted", 1));
    assert!(judge(&format!("{header}.{altered}.{signature}")).is_err(), "{token}");
}

#[test]
fn what_is_signed_with_es256_is_verified_by_another_library() {
    check_round_trips(Algorithm::Es256);
}

#[test]
fn what_is_signed_with_es384_is_verified_by_another_library() {
    check_round_trips(Algorithm::Es384);
}

#[test]
fn what_is_signed_with_rs256_is_verified_by_another_library() {
    check_round_trips(Algorithm::Rs256);
}

#[test]
fn what_is_signed_with_ps256_is_verified_by_another_library() {
    check_round_trips(Algorithm::Ps256);
}

#[test]
fn what_is_signed_with_eddsa_is_verified_by_another_library() {
    check_round_trips(Algorithm::EdDsa);
}

/// Makes keys, and reads each coordinate as the JWKS shows it; answers how many began with a zero byte.
fn check_coordinates(algorithm: Algorithm, keys: usize, width: usize, names: &[&str]) -> Vec<usize> {
    let mut zeros = vec![0_usize; names.len()];
    for _ in 0..keys {
        let public = KeyPair::generate(algorithm).unwrap().public().unwrap();
        let jwk: Value = serde_json::from_str(public.as_str()).unwrap();
        for (seen, name) in zeros.iter_mut().zip(names) {
            let coordinate = URL_SAFE_NO_PAD.decode(jwk[*name].as_str().unwrap()).unwrap();
            assert_eq!(coordinate.len(), width, "{}", public.as_str());
            *seen += usize::from(coordinate[0] == 0);
        }
    }
    println!("{}: {keys} keys, coordinates of {width} bytes; began with a zero byte: {zeros:?}", algorithm.as_str());
    zeros
}

#[test]
fn the_coordinates_of_every_key_are_written_in_full() {
    let keys = count("SIGNET_GENERATED_KEYS", KEYS_STANDARD);

    let zeros = check_coordinates(Algorithm::Es256, keys, 32, &["x", "y"]);
    check_coordinates(Algorithm::Es384, keys / 20, 48, &["x", "y"]);
    check_coordinates(Algorithm::EdDsa, keys / 20, 32, &["x"]);

    let is_seen = zeros.iter().all(|seen| *seen > 0);
    assert!(is_seen || keys < KEYS_STANDARD, "so many keys without one are no chance: {zeros:?}");
}

#[expect(clippy::disallowed_methods, reason = "how much a test does is no setting of the server")]
fn count(variable: &str, standard: usize) -> usize {
    std::env::var(variable).map_or(standard, |count| count.parse().unwrap())
}
