//! Looking for secrets in whatever form they may have got out: as bytes in either order, in hexadecimal, in base64 of both
//! alphabets wherever it begins in a longer text and whether or not its lines are wrapped, in decimal, and as a list of
//! bytes as Rust prints it. DER and PEM are bytes and wrapped base64.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use openssl::bn::BigNum;

/// Of a long secret, the beginning and the end are looked for: what got out may have been cut.
const WINDOW_BYTES: usize = 16;
/// How a line ends, also where that is written out.
const ENDS_OF_LINES: [&str; 4] = ["\n", "\r", r"\n", r"\r"];

/// Secrets that are looked for together.
#[derive(Default)]
pub struct Secrets {
    names: Vec<String>,
    forms: Vec<Vec<u8>>,
}

/// A search for secrets.
pub struct Search {
    names: Vec<String>,
    forms: AhoCorasick,
    ends_of_lines: AhoCorasick,
}

impl Secrets {
    /// Looks for this secret too, a number or a key in bytes, highest first.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= WINDOW_BYTES, "{name} is too short to be told from chance");
        self.add_form(&format!("{name} in decimal"), decimal(secret).into_bytes());
        for (end, window) in [("begins", &secret[..WINDOW_BYTES]), ("ends", &secret[secret.len() - WINDOW_BYTES..])] {
            for (form, text) in forms(window) {
                self.add_form(&format!("how {name} {end}, {form}"), text);
            }
        }
    }

    /// Looks for this text too, as it is.
    pub fn add_text(&mut self, name: &str, text: &str) {
        self.add_form(name, text.as_bytes().to_vec());
    }

    fn add_form(&mut self, name: &str, text: Vec<u8>) {
        self.names.push(name.to_owned());
        self.forms.push(text);
    }

    pub fn search(self) -> Search {
        let ends_of_lines = AhoCorasick::new(ENDS_OF_LINES).unwrap();
        Search { forms: AhoCorasick::new(&self.forms).unwrap(), ends_of_lines, names: self.names }
    }
}

impl Search {
    /// Which secrets are in there, and in which form.
    pub fn found_in(&self, hay: &[u8]) -> BTreeSet<&str> {
        let unwrapped = self.ends_of_lines.replace_all_bytes(hay, &[b""; ENDS_OF_LINES.len()]);
        let found = self.forms.find_overlapping_iter(hay).chain(self.forms.find_overlapping_iter(&unwrapped));
        found.map(|found| self.names[found.pattern().as_usize()].as_str()).collect()
    }
}

/// Every form of a piece of a secret, by name.
fn forms(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let hex = |upper: bool, between: &str| {
        let digits = |byte: &u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
        bytes.iter().map(digits).collect::<Vec<_>>().join(between).into_bytes()
    };
    let list = |between: &str| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(between).into_bytes();
    let mut forms = vec![
        ("raw".to_owned(), bytes.to_vec()),
        ("raw, lowest byte first".to_owned(), bytes.iter().rev().copied().collect()),
        ("in hexadecimal".to_owned(), hex(false, "")),
        ("in capital hexadecimal".to_owned(), hex(true, "")),
        ("in hexadecimal with colons".to_owned(), hex(false, ":")),
        ("in capital hexadecimal with colons".to_owned(), hex(true, ":")),
        ("as a list of bytes".to_owned(), list(", ")),
        ("as a dense list of bytes".to_owned(), list(",")),
    ];
    for before in 0..3 {
        forms.push((
            format!("in base64 after {before} bytes"),
            inside(&STANDARD_NO_PAD.encode(after(before, bytes)), before),
        ));
        forms.push((
            format!("in base64url after {before} bytes"),
            inside(&URL_SAFE_NO_PAD.encode(after(before, bytes)), before),
        ));
    }
    forms
}

fn after(before: usize, bytes: &[u8]) -> Vec<u8> {
    [&vec![0; before], bytes].concat()
}

/// The characters that the bytes after so many others make alone, whatever stands around them.
fn inside(text: &str, before: usize) -> Vec<u8> {
    let (from, to) = ((before * 8).div_ceil(6), (before + WINDOW_BYTES) * 8 / 6);
    text.as_bytes()[from..to].to_vec()
}

fn decimal(secret: &[u8]) -> String {
    BigNum::from_slice(secret).unwrap().to_dec_str().unwrap().to_string()
}

#[test]
fn a_secret_is_found_in_every_form_that_others_write_it_in() {
    use openssl::base64::encode_block;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkey::PKey;

    let key = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
    let secret = key.private_key().to_vec_padded(32).unwrap();
    let pair = PKey::from_ec_key(key.clone()).unwrap();
    let mut secrets = Secrets::default();
    secrets.add("d", &secret);
    let search = secrets.search();
    let number = key.private_key();
    let written = [
        ("raw", secret.clone()),
        ("raw, backwards", secret.iter().rev().copied().collect()),
        ("hexadecimal", number.to_hex_str().unwrap().to_lowercase().into_bytes()),
        ("capital hexadecimal", number.to_hex_str().unwrap().as_bytes().to_vec()),
        ("decimal", number.to_dec_str().unwrap().as_bytes().to_vec()),
        ("base64", encode_block(&secret).into_bytes()),
        ("base64 after one byte", encode_block(&after(1, &secret)).into_bytes()),
        ("base64 after two bytes", encode_block(&after(2, &secret)).into_bytes()),
        ("base64url", URL_SAFE_NO_PAD.encode(&secret).into_bytes()),
        ("SEC 1 in DER", key.private_key_to_der().unwrap()),
        ("SEC 1 in PEM", key.private_key_to_pem().unwrap()),
        ("PKCS #8 in DER", pair.private_key_to_pkcs8().unwrap()),
        ("PKCS #8 in PEM", pair.private_key_to_pem_pkcs8().unwrap()),
        (
            "PEM in JSON",
            serde_json::to_vec(&String::from_utf8(pair.private_key_to_pem_pkcs8().unwrap()).unwrap()).unwrap(),
        ),
        ("Rust's own", format!("{secret:?}").into_bytes()),
        ("cut short", secret[..20].to_vec()),
    ];

    for (name, text) in written {
        let hay = [&b"before "[..], &text, b" after"].concat();
        assert!(!search.found_in(&hay).is_empty(), "{name}: {}", String::from_utf8_lossy(&hay));
    }
    let another = EcKey::generate(key.group()).unwrap();
    assert_eq!(search.found_in(&another.private_key_to_der().unwrap()), BTreeSet::new());
}
