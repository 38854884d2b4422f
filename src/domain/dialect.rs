//! How a tenant's deliveries speak where receivers' vendors differ: what their headers are called, how a signature is
//! written in one of them, and which URIs stand for event types. A tenant has one dialect; a webhook chooses the format.

use std::borrow::Cow;
use std::fmt;

use url::Url;

use super::event_type::EventType;

/// The longest prefix of headers, in bytes.
pub const PREFIX_BYTES_MAX: usize = 32;
/// The longest base of event URIs, in bytes.
pub const EVENT_BASE_BYTES_MAX: usize = 512;
/// What no prefix may be or begin with, in lower case: headers that every delivery has, and those that proxies and browsers
/// keep for themselves.
pub const RESERVED: [&str; 3] = ["webhook", "proxy", "sec"];
/// Event types of the OpenID Shared Signals profiles, by their first segment, and where their URIs begin. A URI of these is
/// written with hyphens.
const OPENID: [(&str, &str); 2] = [
    ("caep.", "https://schemas.openid.net/secevent/caep/event-type/"),
    ("risc.", "https://schemas.openid.net/secevent/risc/event-type/"),
];

/// How a tenant's deliveries speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    pub prefix: HeaderPrefix,
    pub scheme: SignatureScheme,
    /// What the URI of an event type begins with; `None` is the issuer and `/events/`.
    pub event_base: Option<EventBase>,
}

impl Dialect {
    /// Of a tenant that stands in for nobody.
    pub fn standard() -> Self {
        Self { prefix: HeaderPrefix(Cow::Borrowed("Signet")), scheme: SignatureScheme::Body, event_base: None }
    }

    /// The URI that stands for an event type of this issuer (RFC 8417 2.2). It names the type and is not meant to be fetched.
    pub fn event_uri(&self, issuer: &str, event_type: &EventType) -> String {
        let name = event_type.as_str();
        for (segment, base) in OPENID {
            if let Some(rest) = name.strip_prefix(segment) {
                return format!("{base}{}", rest.replace('_', "-"));
            }
        }
        format!("{}{name}", self.event_base_of(issuer))
    }

    /// What the URIs of this issuer's event types begin with.
    pub fn event_base_of(&self, issuer: &str) -> Cow<'_, str> {
        match &self.event_base {
            Some(base) => Cow::Borrowed(base.as_str()),
            None => Cow::Owned(format!("{issuer}/events/")),
        }
    }
}

/// What the names of a format's headers begin with, before a hyphen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPrefix(Cow<'static, str>);

/// No prefix that headers may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPrefix {
    #[error(
        "is 1 to {PREFIX_BYTES_MAX} letters, digits and hyphens that begin with a letter and end without a hyphen, such as Acme"
    )]
    Text,
    #[error("begins like headers that Signet, proxies or browsers set themselves; choose another one")]
    Reserved,
}

impl HeaderPrefix {
    pub fn parse(text: &str) -> Result<Self, MalformedPrefix> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if !begins || text.ends_with('-') || text.len() > PREFIX_BYTES_MAX || !text.bytes().all(is_part) {
            return Err(MalformedPrefix::Text);
        }
        let lower = text.to_ascii_lowercase();
        let first = lower.split('-').next().unwrap_or_default();
        if RESERVED.contains(&first) {
            return Err(MalformedPrefix::Reserved);
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A header's name, as it is sent: in lower case, which is the same name to HTTP (RFC 9110 5.1).
    pub fn header(&self, name: &str) -> String {
        let mut header = String::with_capacity(self.0.len() + 1 + name.len());
        header.extend([&self.0, "-", name]);
        header.make_ascii_lowercase();
        header
    }
}

/// How format `signed` writes its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureScheme {
    /// `sha256=<hex>` of the body. It does not end: who has seen a delivery can send it again.
    Body,
    /// `v1=<hex>` of `timestamp.body`, the timestamp being the header of that name.
    Stamped,
    /// `t=<timestamp>,v1=<hex>` of `timestamp.body`.
    Inline,
}

impl SignatureScheme {
    pub const ALL: [Self; 3] = [Self::Body, Self::Stamped, Self::Inline];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "sha256",
            Self::Stamped => "v1",
            Self::Inline => "t,v1",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == text)
    }
}

/// What the URIs of a tenant's event types begin with. The type follows as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBase(String);

/// No beginning of a URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is the beginning of an absolute URI of at most {EVENT_BASE_BYTES_MAX} bytes, up to the / or : or # that an event type can follow, such as https://example.com/events/"
)]
pub struct MalformedEventBase;

impl EventBase {
    pub fn parse(text: &str) -> Result<Self, MalformedEventBase> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
        let is_open = text.ends_with(['/', ':', '#']);
        // What the URL standard would repair is not what receivers compare.
        let uri = format!("{text}a");
        let is_uri = Url::parse(&uri).is_ok_and(|url| url.as_str() == uri);
        if text.len() > EVENT_BASE_BYTES_MAX || !is_plain || !is_open || !is_uri {
            return Err(MalformedEventBase);
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_makes_names_of_headers_and_no_others() {
        let header = |text: &str| HeaderPrefix::parse(text).map(|prefix| prefix.header("Delivery-ID"));

        assert_eq!(header("X-HelloJohn"), Ok("x-hellojohn-delivery-id".to_owned()));
        assert_eq!(header("Section"), Ok("section-delivery-id".to_owned()));
        for text in ["", "1a", "-a", "a-", "a b", "ä", "a\r\nb", "a:", "a_b", &"a".repeat(33)] {
            assert_eq!(header(text), Err(MalformedPrefix::Text), "{text}");
        }
        for text in ["Webhook", "webhook-x", "Sec-Fetch", "proxy"] {
            assert_eq!(header(text), Err(MalformedPrefix::Reserved), "{text}");
        }
    }

    #[test]
    fn the_base_of_uris_ends_where_a_type_can_follow() {
        for text in ["https://example.com/events/", "urn:example:event:", "https://example.com/schema#"] {
            assert!(EventBase::parse(text).is_ok(), "{text}");
        }
        for text in ["", "/", "events/", "https://example.com/events", "https://exa mple.com/", "https:///", "urn:a\":"]
        {
            assert_eq!(EventBase::parse(text), Err(MalformedEventBase), "{text}");
        }
    }

    #[test]
    fn an_event_type_has_one_uri() {
        let uri = |base: Option<&str>, name: &str| {
            let event_base = base.map(|base| EventBase::parse(base).unwrap());
            let dialect = Dialect { event_base, ..Dialect::standard() };
            dialect.event_uri("https://issuer.example/tnt_1", &name.parse().unwrap())
        };

        assert_eq!(uri(None, "user.created"), "https://issuer.example/tnt_1/events/user.created");
        assert_eq!(uri(Some("urn:shop:"), "user.pass_word"), "urn:shop:user.pass_word");
        let session_revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
        assert_eq!(uri(Some("urn:shop:"), "caep.session_revoked"), session_revoked);
        let account_disabled = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
        assert_eq!(uri(None, "risc.account_disabled"), account_disabled);
    }
}
