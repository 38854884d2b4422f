//! Headers that a webhook adds to its deliveries, such as the one by which a gateway lets them in.

use std::fmt;

use crate::domain::secret::Secret;

/// How many headers a webhook may add.
pub const HEADERS_MAX: usize = 16;
/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1_024;

/// Names that HTTP, our client or a format needs for itself.
pub const RESERVED: [&str; 36] = [
    "accept-encoding",
    "cf-connecting-ip",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    // With these, the metadata of a cloud is asked for.
    "metadata",
    "metadata-flavor",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "via",
    "x-aws-ec2-metadata-token",
    "x-aws-ec2-metadata-token-ttl-seconds",
    "x-google-metadata-request",
    // Some make another request of what was asked.
    "x-http-method",
    "x-http-method-override",
    "x-identity-header",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-vault-request",
];
/// Whatever begins like this is ours, a proxy's or a browser's.
pub const RESERVED_PREFIXES: [&str; 7] =
    ["cookie", "proxy-", "sec-", "signature", "signet-", "webhook-", "x-forwarded-"];

/// A header's name (RFC 9110 5.6.2), in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderName(String);

/// No header that a webhook may add.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHeader {
    #[error("is no name of a header; a name is 1 to {NAME_BYTES_MAX} letters, digits and any of !#$%&'*+-.^_`|~")]
    Name,
    #[error("is a header that Signet or HTTP sets itself; choose another name")]
    Reserved,
    #[error("is the same header as another one; names differ in more than upper and lower case")]
    Twice,
    #[error("must be 1 to {VALUE_BYTES_MAX} visible ASCII characters with single spaces or tabs only between them")]
    Value,
    #[error("adds more than {HEADERS_MAX} headers")]
    TooMany,
}

impl HeaderName {
    pub fn parse(text: &str) -> Result<Self, MalformedHeader> {
        let name = Self::from_record(text).ok_or(MalformedHeader::Name)?;
        if name.is_reserved() { Err(MalformedHeader::Reserved) } else { Ok(name) }
    }

    /// From our own records. What is reserved by now may have been taken before; it is kept, and not sent.
    pub fn from_record(text: &str) -> Option<Self> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_token);
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether no webhook may add it. What CGI and its heirs take for the same name, `webhook_id` for `webhook-id`
    /// (RFC 3875 4.1.18), is the same.
    pub fn is_reserved(&self) -> bool {
        let name = &*self.0.replace('_', "-");
        RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Headers with their values, which may be credentials.
#[derive(Debug, Clone, Default)]
pub struct CustomHeaders(Vec<(HeaderName, Secret<String>)>);

impl CustomHeaders {
    /// A value as it may be sent (RFC 9110 5.5).
    pub fn check_value(value: &str) -> Result<(), MalformedHeader> {
        let is_visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t';
        let is_trimmed = value.trim_matches([' ', '\t']) == value;
        let fits = !value.is_empty() && value.len() <= VALUE_BYTES_MAX;
        if fits && is_trimmed && value.bytes().all(is_visible) { Ok(()) } else { Err(MalformedHeader::Value) }
    }

    /// Adds a header, or puts another value in its place.
    pub fn set(&mut self, name: HeaderName, value: Secret<String>) -> Result<(), MalformedHeader> {
        Self::check_value(value.reveal())?;
        if let Some((_, present)) = self.0.iter_mut().find(|(present, _)| *present == name) {
            *present = value;
            return Ok(());
        }
        if self.0.len() == HEADERS_MAX {
            return Err(MalformedHeader::TooMany);
        }
        self.0.push((name, value));
        Ok(())
    }

    pub fn remove(&mut self, name: &HeaderName) {
        self.0.retain(|(present, _)| present != name);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.reveal().as_str()))
    }

    pub fn names(&self) -> Vec<HeaderName> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(name: &str, value: &str) -> Result<(), MalformedHeader> {
        CustomHeaders::default().set(HeaderName::parse(name)?, Secret::new(value.to_owned()))
    }

    #[test]
    fn what_http_or_a_format_needs_for_itself_is_refused() {
        assert_eq!(added("Host", "a"), Err(MalformedHeader::Reserved));
        assert_eq!(added("Content-Length", "1"), Err(MalformedHeader::Reserved));
        assert_eq!(added("Proxy-Authorization", "a"), Err(MalformedHeader::Reserved));
        assert_eq!(added("Webhook-Id", "a"), Err(MalformedHeader::Reserved));
        assert_eq!(added("SIGNATURE-INPUT", "a"), Err(MalformedHeader::Reserved));
        assert_eq!(added("X Y", "a"), Err(MalformedHeader::Name));
        assert_eq!(added("", "a"), Err(MalformedHeader::Name));
        assert_eq!(added("Authorization", "Bearer abc"), Ok(()));
    }

    #[test]
    fn a_value_that_would_end_its_line_is_refused() {
        assert_eq!(added("x-a", "a\r\nHost: b"), Err(MalformedHeader::Value));
        assert_eq!(added("x-a", " a"), Err(MalformedHeader::Value));
        assert_eq!(added("x-a", ""), Err(MalformedHeader::Value));
        assert_eq!(added("x-a", "ä"), Err(MalformedHeader::Value));
        assert_eq!(added("x-a", &"a".repeat(1_025)), Err(MalformedHeader::Value));
    }

    #[test]
    fn a_header_is_there_once_and_does_not_print_its_value() {
        let mut headers = CustomHeaders::default();
        headers.set(HeaderName::parse("X-A").unwrap(), Secret::new("1".to_owned())).unwrap();
        headers.set(HeaderName::parse("x-a").unwrap(), Secret::new("hunter2".to_owned())).unwrap();

        assert_eq!(
            headers.iter().map(|(name, value)| (name.as_str(), value)).collect::<Vec<_>>(),
            [("x-a", "hunter2")]
        );
        assert!(!format!("{headers:?}").contains("hunter2"));
    }
}
