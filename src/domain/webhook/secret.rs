//! How the secret that signs a webhook's deliveries is written: as Standard Webhooks 1.0 has it, or, where a receiver had one
//! before it had Signet, as that vendor wrote it.
//!
//! Receivers of the formats `signed` and `action` compute with the secret's text, whatever it says, so any text will do there and
//! none of them has to be configured anew. The others are verified by libraries that expect `whsec_` and base64, and quietly
//! decode what only looks like it.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Format;

const PREFIX: &str = "whsec_";
const BYTES: RangeInclusive<usize> = 24..=64;
/// How long a vendor's own secret may be. A shorter one can be guessed.
pub const CHARS: RangeInclusive<usize> = 16..=256;

/// How long two secrets may sign, in seconds.
pub const OVERLAP_SECONDS_MAX: u64 = 7 * 24 * 3_600;

/// The text is no secret that signs. It is not repeated here: it may be one with a slip of the pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedSecret {
    #[error(
        "is {PREFIX} and base64 of {} to {} bytes, save where the format is signed or action; leave it out to have one made",
        BYTES.start(), BYTES.end()
    )]
    NotStandard,
    #[error("is {} to {} visible ASCII characters; leave it out to have one made", CHARS.start(), CHARS.end())]
    NotVisible,
}

/// A secret of these random bytes, as it is shown to its owner.
pub fn written(random: &[u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(random))
}

/// Reads what [`written`] wrote, or somebody else in the same way.
pub fn read(text: &str) -> Result<Zeroizing<Vec<u8>>, MalformedSecret> {
    let encoded = text.strip_prefix(PREFIX).ok_or(MalformedSecret::NotStandard)?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| MalformedSecret::NotStandard)?);
    if BYTES.contains(&bytes.len()) { Ok(bytes) } else { Err(MalformedSecret::NotStandard) }
}

/// What signatures of Standard Webhooks are made with: the bytes that the text stands for, or those of the text itself where it
/// stands for none.
pub fn key(text: &str) -> Result<Zeroizing<Vec<u8>>, MalformedSecret> {
    let is_visible = CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    match read(text) {
        Err(_) if is_visible => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        Err(_) => Err(MalformedSecret::NotVisible),
        standard => standard,
    }
}

/// Whether a webhook of this format can have the secret.
pub fn suits(text: &str, format: Format) -> Result<(), MalformedSecret> {
    match format {
        Format::Signed | Format::Action => key(text).map(drop),
        Format::Token | Format::Standard | Format::Set => read(text).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_prefix_and_24_to_64_bytes() {
        let of = |bytes: usize| format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]));

        assert_eq!(read(&written(&[7; 32])).unwrap().as_slice(), [7; 32]);
        assert!(read(&of(24)).is_ok() && read(&of(64)).is_ok());
        for wrong in [&of(23), &of(65), &STANDARD.encode([7; 32]), "whsec_", "whsec_!", ""] {
            assert_eq!(read(wrong), Err(MalformedSecret::NotStandard), "{wrong}");
        }
    }

    #[test]
    fn formats_that_sign_with_the_text_take_any_that_is_visible_and_long_enough() {
        let foreign = [
            "6B5yry-of-another-vendor",
            "whsec_not+base64!!",
            "x\"'\\{}[]<>@~`!xxx",
            &"a".repeat(256),
            &"a".repeat(16),
        ];
        for text in foreign {
            for format in Format::ALL {
                let takes_any = matches!(format, Format::Signed | Format::Action);
                let expected = if takes_any { Ok(()) } else { Err(MalformedSecret::NotStandard) };
                assert_eq!(suits(text, format), expected, "{text} {format:?}");
            }
            assert_eq!(key(text).unwrap().as_slice(), text.as_bytes());
        }
        for text in [
            "",
            "test",
            &"a".repeat(15),
            &"a".repeat(257),
            "a secret with blanks",
            "sixteen-chars-\u{e4}-x",
            "sixteen-chars-\n-xx",
        ] {
            assert_eq!(suits(text, Format::Signed), Err(MalformedSecret::NotVisible), "{text}");
            assert!(key(text).is_err() && suits(text, Format::Token).is_err(), "{text}");
        }
        for format in Format::ALL {
            assert_eq!(suits(&written(&[7; 32]), format), Ok(()), "{format:?}");
        }
        assert_eq!(
            key(&written(&[7; 32])).unwrap().as_slice(),
            [7; 32],
            "what is standard is decoded, whatever the format"
        );
    }
}
