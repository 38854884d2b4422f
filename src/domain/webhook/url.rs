//! Where a webhook's deliveries go.

use std::fmt;

use url::{Host, Url};

/// The longest callback URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// An absolute http or https URL with a host. Whether its address may be reached is for `egress` to judge.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// The text is no URL that a webhook may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedUrl {
    #[error("is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("contains white space, a control character or a backslash; percent-encode it")]
    ForbiddenCharacter,
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
}

impl WebhookUrl {
    /// Reads a callback URL. The raw text is judged first, because the URL standard silently repairs some of it.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, MalformedUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(MalformedUrl::TooLong);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(MalformedUrl::ForbiddenCharacter);
        }
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("https://") && !lower.starts_with("http://") {
            return Err(if lower.contains("://") { MalformedUrl::NotHttp } else { MalformedUrl::NotAbsolute });
        }
        let url = Url::parse(text).map_err(|_| MalformedUrl::NotAbsolute)?;
        if url.host().is_none() || url.port() == Some(0) {
            return Err(MalformedUrl::NotAbsolute);
        }
        if url.scheme() == "http" && plain_http == PlainHttp::Refused {
            return Err(MalformedUrl::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(MalformedUrl::Credentials);
        }
        if url.fragment().is_some() {
            return Err(MalformedUrl::Fragment);
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
        assert_eq!(refused("https://example.com:0/"), MalformedUrl::NotAbsolute);
        assert_eq!(refused(""), MalformedUrl::NotAbsolute);
    }

    #[test]
    fn the_audience_is_the_url_without_its_query() {
        let url = WebhookUrl::parse("https://Example.com/hooks?key=1", PlainHttp::Refused).unwrap();

        assert_eq!(url.audience(), "https://example.com/hooks");
        assert_eq!(format!("{url:?}"), "https://example.com/hooks");
    }
}
