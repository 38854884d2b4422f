//! How the secret that signs a webhook's deliveries is written (Standard Webhooks 1.0).

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const PREFIX: &str = "whsec_";
const BYTES: RangeInclusive<usize> = 24..=64;

/// How long two secrets may sign, in seconds.
pub const OVERLAP_SECONDS_MAX: u64 = 7 * 24 * 3_600;

/// The text is no such secret. It is not repeated here: it may be one with a slip of the pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is {PREFIX} and base64 of {} to {} bytes; leave it out to have one made", BYTES.start(), BYTES.end())]
pub struct MalformedSecret;

/// A secret of these random bytes, as it is shown to its owner.
pub fn written(random: &[u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(random))
}

/// Reads what [`written`] wrote, or somebody else in the same way.
pub fn read(text: &str) -> Result<Zeroizing<Vec<u8>>, MalformedSecret> {
    let encoded = text.strip_prefix(PREFIX).ok_or(MalformedSecret)?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| MalformedSecret)?);
    if BYTES.contains(&bytes.len()) { Ok(bytes) } else { Err(MalformedSecret) }
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
            assert_eq!(read(wrong), Err(MalformedSecret), "{wrong}");
        }
    }
}
