//! What a host may look like that somebody writes: what reads as one thing and means another is refused, before anything
//! repairs it. Whether it may be reached is for `egress` to judge.

use std::net::Ipv6Addr;

use unicode_security::confusable_detection::skeleton;
use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection};
use url::{Host, Url};

/// The longest name and the longest part of one (RFC 1035 2.3.4), as they travel.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A host that is not what it looks like, or cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHost {
    #[error("has a host with a character that no host name has; percent-encoding does not belong there either")]
    Character,
    #[error("has an IPv4 address that is not four decimal numbers, such as 192.0.2.1")]
    Numeric,
    #[error("has no IPv6 address between its brackets, such as [2001:db8::1]; a zone does not belong there")]
    Brackets,
    #[error("has a host that means another one than it looks like; write that one, or its form that begins with xn--")]
    Disguised,
    #[error(
        "has a host name of more than {NAME_BYTES_MAX} characters, or a part of one that is empty, longer than {LABEL_BYTES_MAX}, or begins or ends with a hyphen"
    )]
    Label,
}

/// Judges a host as it was written, and what the URL standard made of it.
pub(super) fn check(written: &str, read: &Url) -> Result<(), MalformedHost> {
    match read.host().ok_or(MalformedHost::Character)? {
        Host::Ipv4(address) if address.to_string() == written => Ok(()),
        Host::Ipv4(_) if written.is_ascii() && !written.contains('%') => Err(MalformedHost::Numeric),
        Host::Ipv4(_) => Err(MalformedHost::Disguised),
        Host::Ipv6(address) => {
            let inside = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let is_it = inside.and_then(|text| text.parse::<Ipv6Addr>().ok()) == Some(address);
            if is_it { Ok(()) } else { Err(MalformedHost::Brackets) }
        }
        Host::Domain(name) => {
            check_name(name)?;
            if written.is_ascii() { same(written, name) } else { check_unicode(written, name) }
        }
    }
}

/// Whether this is a name that a host may have, as it travels.
pub fn is_host_name(name: &str) -> bool {
    check_name(name).is_ok()
}

/// Judges a name as it travels.
fn check_name(name: &str) -> Result<(), MalformedHost> {
    // One full stop at its end says that the name is whole.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > NAME_BYTES_MAX {
        return Err(MalformedHost::Label);
    }
    for label in name.split('.') {
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(MalformedHost::Character);
        }
        let fits = (1..=LABEL_BYTES_MAX).contains(&label.len());
        if !fits || label.starts_with('-') || label.ends_with('-') {
            return Err(MalformedHost::Label);
        }
    }
    Ok(())
}

fn same(written: &str, name: &str) -> Result<(), MalformedHost> {
    if written.eq_ignore_ascii_case(name) { Ok(()) } else { Err(MalformedHost::Character) }
}

/// Judges a name that is not written in ASCII alone: beside upper and lower case, it must be what it is read as.
fn check_unicode(written: &str, name: &str) -> Result<(), MalformedHost> {
    let (read, outcome) = idna::domain_to_unicode(name);
    let written = written.to_lowercase();
    // Full-width letters, circled digits, ideographic full stops and what is ignored do not come back as they were.
    if outcome.is_err() || read != written {
        return Err(MalformedHost::Disguised);
    }
    let is_number = |label: &str| label.chars().all(char::is_numeric);
    let labels = || written.split('.').filter(|label| !label.is_ascii());
    if labels().all(is_clear) && !written.split('.').all(is_number) { Ok(()) } else { Err(MalformedHost::Disguised) }
}

/// Whether a part of a name that is not ASCII alone cannot be taken for another (UTS 39): letters of today's languages, of
/// one script or of those that are mixed every day, as Japanese and Latin ones are, and not all alike Latin ones.
fn is_clear(label: &str) -> bool {
    let is_usual = label.chars().all(GeneralSecurityProfile::identifier_allowed);
    let is_of_one_kind = label.check_restriction_level(RestrictionLevel::HighlyRestrictive);
    let has_latin = label.bytes().any(|byte| byte.is_ascii_alphabetic());
    let looks_latin = !has_latin && skeleton(label).all(|c| c.is_ascii());
    is_usual && is_of_one_kind && !looks_latin
}
