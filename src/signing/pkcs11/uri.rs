//! How a row says which key of a token is its private half: a PKCS #11 URI (RFC 7512) with the token, the object's id and
//! its label.

use std::fmt::Write as _;

const SCHEME: &str = "pkcs11:";

/// A key of a token, as its URI names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct KeyUri {
    /// The token's label.
    pub(super) token: String,
    /// `CKA_ID`.
    pub(super) id: Vec<u8>,
    /// `CKA_LABEL`, which names the tenant.
    pub(super) object: String,
}

pub(super) fn is_uri(text: &str) -> bool {
    text.starts_with(SCHEME)
}

impl KeyUri {
    /// Reads what [`KeyUri::text`] wrote. The order of the parts and what else is said do not matter (RFC 7512 2.3).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let path = text.strip_prefix(SCHEME)?.split('?').next()?;
        let part = |name: &str| {
            let mut named = path.split(';').filter_map(|part| part.split_once('=')).filter(|(known, _)| *known == name);
            let (_, value) = named.next()?;
            // A part that stands twice would mean one thing to us and another to somebody else.
            if named.next().is_none() { decoded(value) } else { None }
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        Some(Self { token: text(part("token")?)?, id: part("id")?, object: text(part("object")?)? })
    }

    pub(super) fn text(&self) -> String {
        let mut id = String::with_capacity(self.id.len() * 3);
        // Bytes that are no text are all escaped (RFC 7512 2.3).
        self.id.iter().for_each(|byte| push_escaped(&mut id, *byte));
        format!("{SCHEME}token={};id={id};object={};type=private", encoded(&self.token), encoded(&self.object))
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => push_escaped(&mut encoded, byte),
        }
    }
    encoded
}

fn push_escaped(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "%{byte:02X}");
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri() -> KeyUri {
        KeyUri { token: "my token; 100%".to_owned(), id: vec![0, 0x3b, 0xff], object: "signet tnt_1".to_owned() }
    }

    #[test]
    fn a_uri_survives_being_written_and_read() {
        let text = uri().text();

        assert_eq!(text, "pkcs11:token=my%20token%3B%20100%25;id=%00%3B%FF;object=signet%20tnt_1;type=private");
        assert_eq!(KeyUri::parse(&text), Some(uri()));
    }

    #[test]
    fn the_order_and_what_else_is_said_do_not_matter() {
        let other = "pkcs11:object=signet%20tnt_1;serial=1;id=%00;%ff;x=%zz;token=a";
        assert_eq!(KeyUri::parse(other).map(|uri| uri.id), Some(vec![0]));

        let queried = "pkcs11:object=o;id=%00;token=a?pin-value=1;token=b";
        assert_eq!(KeyUri::parse(queried).map(|uri| uri.token), Some("a".to_owned()));
    }

    #[test]
    fn what_is_no_uri_of_a_key_is_refused() {
        let refused = ["", "eyJ", "pkcs11:", "pkcs11:token=a;id=%0;object=b", "pkcs11:token=a;id=%00"];
        assert!(refused.iter().all(|text| KeyUri::parse(text).is_none()));
        assert_eq!(KeyUri::parse("pkcs11:token=a;id=%00;id=%01;object=b"), None);
    }
}
