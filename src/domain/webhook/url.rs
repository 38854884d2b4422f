//! Where a webhook's deliveries go.

use std::fmt;

use url::{Host, Url};

use super::host::{self, MalformedHost};

/// The longest callback URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// An absolute http or https URL with a host. Whether its address may be reached is for `egress` to judge.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// The text is no URL that a webhook may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedUrl {
    #[error("is longer than {URL_BYTES_MAX} bytes as it travels, percent-encoded")]
    TooLong,
    #[error("contains white space, a control character, an invisible one or a backslash; percent-encode it")]
    ForbiddenCharacter,
    #[error("contains the end of a line or U+0000, percent-encoded; no receiver wants them in its URL")]
    EncodedControl,
    #[error("is not an absolute URL with a host, such as https://example.com/webhooks")]
    NotAbsolute,
    #[error("must begin with https://")]
    NotHttp,
    #[error("must use https; plain http is accepted only when SIGNET_ALLOW_HTTP is set")]
    NotHttps,
    #[error("must not contain a user name or password; use `audience` or a path that is hard to guess")]
    Credentials,
    #[error("must not have a fragment (#…); it would never be sent")]
    Fragment,
    #[error("has a port that webhooks may not use; use 80, 443, or one from 1024 to 65535, without leading zeros")]
    Port,
    #[error(transparent)]
    Host(#[from] MalformedHost),
}

impl WebhookUrl {
    /// Reads a callback URL. The raw text is judged first, because the URL standard silently repairs some of it, and then
    /// compared with what it was read as.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, MalformedUrl> {
        let written = Written::read(text)?;
        let url = Url::parse(text).map_err(|_| MalformedUrl::NotAbsolute)?;
        host::check(written.host, &url)?;
        // What is not ASCII grows when it is percent-encoded.
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(MalformedUrl::TooLong);
        }
        if url.scheme() == "http" && plain_http == PlainHttp::Refused {
            return Err(MalformedUrl::NotHttps);
        }
        Ok(Self(url))
    }

    /// From our own records, where only parsed URLs are kept.
    pub fn from_record(text: &str) -> Option<Self> {
        Url::parse(text).ok().filter(Url::has_host).map(Self)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn as_url(&self) -> &Url {
        &self.0
    }

    pub fn host(&self) -> Option<Host<&str>> {
        self.0.host()
    }

    /// The URL without query and fragment: what a token is meant for unless the webhook says otherwise.
    pub fn audience(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.into()
    }
}

/// A query may carry the receiver's own secret, so only the rest is shown.
impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.audience())
    }
}

/// A URL as it was written.
struct Written<'a> {
    host: &'a str,
}

impl<'a> Written<'a> {
    fn read(text: &'a str) -> Result<Self, MalformedUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(MalformedUrl::TooLong);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || is_invisible(c) || c == '\\') {
            return Err(MalformedUrl::ForbiddenCharacter);
        }
        let (scheme, rest) = text.split_once("://").ok_or(MalformedUrl::NotAbsolute)?;
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(MalformedUrl::NotHttp);
        }
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        if authority.contains('@') {
            return Err(MalformedUrl::Credentials);
        }
        if rest.contains('#') {
            return Err(MalformedUrl::Fragment);
        }
        let lower = rest.to_ascii_lowercase();
        if ["%00", "%0a", "%0d"].iter().any(|encoded| lower.contains(encoded)) {
            return Err(MalformedUrl::EncodedControl);
        }
        // Between the brackets of an IPv6 address, colons begin no port.
        let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority[after_brackets..].find(':') {
            Some(at) => (&authority[..after_brackets + at], Some(&authority[after_brackets + at + 1..])),
            None => (authority, None),
        };
        if host.is_empty() {
            return Err(MalformedUrl::NotAbsolute);
        }
        if port.is_some_and(|port| !is_port(port)) {
            return Err(MalformedUrl::Port);
        }
        Ok(Self { host })
    }
}

/// Format characters: they are not seen, or turn the order around in which others are.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A port as it is written when nobody has something to hide.
fn is_port(text: &str) -> bool {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain && text.parse::<u16>().is_ok_and(may_use_port)
}

/// Ports that webhooks may use: those of the web, and those that nobody needs a privilege to listen on. What listens on
/// the others, such as mail or a name server, is not meant to be spoken to by a stranger's choice of words.
pub fn may_use_port(port: u16) -> bool {
    matches!(port, 80 | 443 | 1_024..)
}

/// Whether callbacks over plain http are accepted; a setting of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    Accepted,
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> MalformedUrl {
        WebhookUrl::parse(text, PlainHttp::Refused).unwrap_err()
    }

    #[test]
    fn a_url_that_the_standard_would_repair_is_refused() {
        assert_eq!(refused("https://exa\tmple.com/"), MalformedUrl::ForbiddenCharacter);
        assert_eq!(refused("https:\\\\example.com"), MalformedUrl::ForbiddenCharacter);
        assert_eq!(refused("https:/example.com"), MalformedUrl::NotAbsolute);
        assert_eq!(refused("ftp://example.com"), MalformedUrl::NotHttp);
        assert_eq!(refused("https://user:pass@example.com"), MalformedUrl::Credentials);
        assert_eq!(refused("https://example.com/#top"), MalformedUrl::Fragment);
        assert_eq!(refused("http://example.com/"), MalformedUrl::NotHttps);
        assert_eq!(refused("https://example.com:0/"), MalformedUrl::Port);
        assert_eq!(refused(""), MalformedUrl::NotAbsolute);
    }

    #[test]
    fn the_audience_is_the_url_without_its_query() {
        let url = WebhookUrl::parse("https://Example.com/hooks?key=1", PlainHttp::Refused).unwrap();

        assert_eq!(url.audience(), "https://example.com/hooks");
        assert_eq!(format!("{url:?}"), "https://example.com/hooks");
    }
}
