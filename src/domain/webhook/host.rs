//! What a host may look like that somebody writes: what reads as one thing and means another is refused, before anything
//! repairs it. Whether it may be reached is for `egress` to judge.

use std::net::Ipv6Addr;

use url::{Host, Url};

/// The longest name and the longest part of one (RFC 1035 2.3.4), as they travel.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Blocks of Unicode whose characters are signs, never letters. Some of them look like `/`, `:`, `.` or `?`.
const SIGNS: [(char, char); 14] = [
    ('\u{2b0}', '\u{2ff}'),
    ('\u{2000}', '\u{2bff}'),
    ('\u{2e00}', '\u{2e7f}'),
    ('\u{2ff0}', '\u{3004}'),
    ('\u{3008}', '\u{3020}'),
    ('\u{302a}', '\u{303f}'),
    ('\u{589}', '\u{589}'),
    ('\u{5c3}', '\u{5c3}'),
    ('\u{6d4}', '\u{6d4}'),
    ('\u{701}', '\u{702}'),
    ('\u{a4f8}', '\u{a4ff}'),
    ('\u{a700}', '\u{a721}'),
    ('\u{a788}', '\u{a78a}'),
    ('\u{1f000}', '\u{1faff}'),
];

/// Scripts that share the looks of many letters. A part of a name is written in one of them at most; other scripts, such
/// as those of Japanese, are mixed with Latin every day and look like nothing in it.
const ALIKE: [&[(char, char)]; 5] = [
    &[('a', 'z'), ('\u{c0}', '\u{24f}'), ('\u{1e00}', '\u{1eff}')],
    &[('\u{370}', '\u{3ff}'), ('\u{1f00}', '\u{1fff}')],
    &[('\u{400}', '\u{52f}'), ('\u{1c80}', '\u{1c8f}'), ('\u{2de0}', '\u{2dff}'), ('\u{a640}', '\u{a69f}')],
    &[('\u{530}', '\u{58f}')],
    &[('\u{13a0}', '\u{13ff}'), ('\u{ab70}', '\u{abbf}')],
];

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
    let is_sign = |c: char| SIGNS.iter().any(|(first, last)| (*first..=*last).contains(&c));
    if written.chars().any(is_sign) {
        return Err(MalformedHost::Disguised);
    }
    let is_mixed = |label: &str| ALIKE.iter().filter(|script| label.chars().any(|c| is_of(script, c))).count() > 1;
    let is_number = |label: &str| label.chars().all(char::is_numeric);
    if written.split('.').any(is_mixed) || written.split('.').all(is_number) {
        return Err(MalformedHost::Disguised);
    }
    Ok(())
}

fn is_of(script: &[(char, char)], c: char) -> bool {
    script.iter().any(|(first, last)| (*first..=*last).contains(&c))
}
