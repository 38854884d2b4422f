//! A receiver's key pair, and opening what was encrypted to it, with OpenSSL and the words of the RFCs: nothing here knows the
//! library that encrypts. The examples of the RFCs come first, so that what opens is known to open rightly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey};
use openssl::encrypt::Decrypter;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sha::Sha256;
use openssl::symm::{Cipher, decrypt_aead};
use serde_json::{Value, json};

const CURVES: [(&str, Nid, i32); 3] =
    [("P-256", Nid::X9_62_PRIME256V1, 32), ("P-384", Nid::SECP384R1, 48), ("P-521", Nid::SECP521R1, 66)];

/// Both halves of a key; the private one never leaves the test.
pub(super) struct ReceiversKey {
    pair: PKey<Private>,
    pub(super) kid: &'static str,
}

impl ReceiversKey {
    pub(super) fn x25519(kid: &'static str) -> Self {
        Self { pair: PKey::generate_x25519().unwrap(), kid }
    }

    pub(super) fn rsa(kid: &'static str) -> Self {
        Self { pair: PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap(), kid }
    }

    /// On one of the curves of RFC 7518.
    pub(super) fn on(curve: &str, kid: &'static str) -> Self {
        let (_, nid, _) = CURVES.into_iter().find(|(name, ..)| *name == curve).unwrap();
        let group = EcGroup::from_curve_name(nid).unwrap();
        Self { pair: PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(), kid }
    }

    /// Its public half as a JWK.
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = match self.pair.id() {
            Id::RSA => {
                let rsa = self.pair.rsa().unwrap();
                json!({"kty": "RSA", "n": encoded(&rsa.n().to_vec()), "e": encoded(&rsa.e().to_vec())})
            }
            Id::X25519 => json!({"kty": "OKP", "crv": "X25519", "x": encoded(&self.pair.raw_public_key().unwrap())}),
            _ => {
                let key = self.pair.ec_key().unwrap();
                let (name, _, width) = curve_of(key.group().curve_name().unwrap());
                let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
                let mut context = BigNumContext::new().unwrap();
                key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut context).unwrap();
                let [x, y] = [x, y].map(|number| encoded(&number.to_vec_padded(width).unwrap()));
                json!({"kty": "EC", "crv": name, "x": x, "y": y})
            }
        };
        jwk["kid"] = self.kid.into();
        jwk
    }

    /// The header of a compact JWE and what is in it; `None` when it was not encrypted to this key, or was altered.
    pub(super) fn open(&self, jwe: &str) -> Option<(Value, String)> {
        let parts: Vec<&str> = jwe.split('.').collect();
        let [header, key, iv, text, tag] = parts.try_into().unwrap();
        let said: Value = serde_json::from_slice(&decoded(header)).unwrap();
        let key = match said["alg"].as_str().unwrap() {
            "ECDH-ES" => {
                assert_eq!(key, "");
                let agreed = agreed(&self.pair, &said["epk"])?;
                concat_kdf(&agreed, "A256GCM", ["", ""], 256)
            }
            "RSA-OAEP-256" => {
                let mut decrypter = Decrypter::new(&self.pair).unwrap();
                decrypter.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
                decrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
                decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
                let mut opened = vec![0; decrypter.decrypt_len(&decoded(key)).ok()?];
                let length = decrypter.decrypt(&decoded(key), &mut opened).ok()?;
                opened.truncate(length);
                opened
            }
            other => panic!("what is {other}?"),
        };
        let cipher = Cipher::aes_256_gcm();
        let plain =
            decrypt_aead(cipher, &key, Some(&decoded(iv)), header.as_bytes(), &decoded(text), &decoded(tag)).ok()?;
        Some((said, String::from_utf8(plain).unwrap()))
    }
}

fn curve_of(nid: Nid) -> (&'static str, Nid, i32) {
    CURVES.into_iter().find(|(_, known, _)| *known == nid).unwrap()
}

/// The shared secret of a key pair and a public JWK.
fn agreed(pair: &PKey<Private>, other: &Value) -> Option<Vec<u8>> {
    let member = |name: &str| decoded(other[name].as_str().unwrap());
    let other: PKey<Public> = if other["kty"] == "OKP" {
        PKey::public_key_from_raw_bytes(&member("x"), Id::X25519).unwrap()
    } else {
        let (_, nid, width) = CURVES.into_iter().find(|(name, ..)| other["crv"] == *name).unwrap();
        let (x, y) = (member("x"), member("y"));
        assert_eq!((x.len(), y.len()), (usize::try_from(width).unwrap(), usize::try_from(width).unwrap()));
        let [x, y] = [x, y].map(|bytes| BigNum::from_slice(&bytes).unwrap());
        let group = EcGroup::from_curve_name(nid).unwrap();
        PKey::from_ec_key(EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap()).unwrap()
    };
    let mut deriver = Deriver::new(pair).unwrap();
    deriver.set_peer(&other).ok()?;
    deriver.derive_to_vec().ok()
}

/// The Concat KDF as RFC 7518 4.6.2 has it, of one round of SHA-256.
fn concat_kdf(agreed: &[u8], algorithm: &str, parties: [&str; 2], bits: u32) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(&1_u32.to_be_bytes());
    digest.update(agreed);
    for part in [algorithm, parties[0], parties[1]] {
        digest.update(&u32::try_from(part.len()).unwrap().to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.update(&bits.to_be_bytes());
    digest.finish()[..bits as usize / 8].to_vec()
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn a_key_is_agreed_on_as_in_rfc_7518_appendix_c() {
    let number = |text: &str| BigNum::from_slice(&decoded(text)).unwrap();
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let (x, y) = ("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck");
    let public = EcKey::from_public_key_affine_coordinates(&group, &number(x), &number(y)).unwrap();
    let private = number("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw");
    let bob =
        PKey::from_ec_key(EcKey::from_private_components(&group, &private, public.public_key()).unwrap()).unwrap();
    let alice = json!({
        "kty": "EC", "crv": "P-256",
        "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
    });

    let key = concat_kdf(&agreed(&bob, &alice).unwrap(), "A128GCM", ["Alice", "Bob"], 128);

    assert_eq!(encoded(&key), "VqqN6vgjbSBcIijNcacQGg");
}

#[test]
fn a_secret_is_agreed_on_as_in_rfc_8037_appendix_a_6() {
    let hex = |text: &str| BigNum::from_hex_str(text).unwrap().to_vec_padded(32).unwrap();
    let bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let bob = PKey::private_key_from_raw_bytes(&bob, Id::X25519).unwrap();
    let alice = json!({"kty": "OKP", "crv": "X25519", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"});

    let secret = agreed(&bob, &alice).unwrap();

    assert_eq!(secret, hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
}
