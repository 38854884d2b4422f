//! A webhook: where to, about what, and how it is written.

pub mod activation;
pub mod client_certificate;
mod declared;
mod encryption;
pub mod handling;
pub mod headers;
mod host;
pub mod life;
pub mod members;
mod method;
pub mod secret;
mod url;

pub use activation::{Activation, ActivationMethod, MalformedInterval};
pub use client_certificate::{ClientCertificate, ClientCertificateWish, MalformedClientCertificate};
pub use declared::{DECLARED_MAX, DeclaredWebhook, Place};
pub use encryption::{Encryption, JWK_BYTES_MAX};
pub use handling::{DeliveryRate, Handling, MalformedHandling, WAITS_MAX};
pub use headers::{CustomHeaders, HeaderName, MalformedHeader};
pub use host::{MalformedHost, is_host_name};
pub use life::{DisabledReason, News, Occurrence, Origin, WebhookState};
pub use method::{DeliveryMethod, poll_url};
pub use secret::MalformedSecret;
pub use url::{MalformedUrl, PlainHttp, URL_BYTES_MAX, WebhookUrl, may_use_port};

use super::event_type::Subscription;
use super::id::{TenantId, WebhookId};
use super::time::Timestamp;
use super::token::TokenType;

/// The most webhooks one tenant has. An event may concern all of them, and is written together with its deliveries: ten such
/// events still go into one transaction, and each node keeps as many receivers in memory.
pub const WEBHOOKS_MAX: u32 = 10_000;
/// The most subscriptions one webhook has.
pub const SUBSCRIPTIONS_MAX: usize = 100;
/// The longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 500;
/// The longest audience, in characters: what is taken for one when nobody chose, a URL, is none longer.
pub const AUDIENCE_CHARS_MAX: usize = URL_BYTES_MAX;

/// How a delivery is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `{"event","token"}`, the token a JWS.
    Token,
    /// An envelope, and a shared secret's signature in a header that the tenant's dialect names.
    Signed,
    /// `{"type","timestamp","data"}` of Standard Webhooks.
    Standard,
    /// An action in the URL and in a header, as UserHub's receivers expect it.
    Action,
    /// A Security Event Token (RFC 8417), pushed as RFC 8935 has it.
    Set,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Token, Self::Signed, Self::Standard, Self::Action, Self::Set];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Signed => "signed",
            Self::Standard => "standard",
            Self::Action => "action",
            Self::Set => "set",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }
}

/// A webhook as it is remembered. Its signing secret is kept beside it, sealed.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub id: WebhookId,
    pub tenant_id: TenantId,
    pub method: DeliveryMethod,
    /// Where its deliveries are sent to, or where they are collected.
    pub url: WebhookUrl,
    pub subscriptions: Vec<Subscription>,
    pub description: String,
    pub format: Format,
    /// What the header of its tokens says that they are, where its format leaves that open.
    pub token_type: TokenType,
    /// The public half of its key pair, if its deliveries carry signatures of one; shown as Standard Webhooks writes it.
    pub public_key: Option<String>,
    /// What its deliveries show receivers that want to know who comes.
    pub client_certificate: Option<ClientCertificate>,
    /// The audience it chose; by default its URL without the query.
    pub audience: Option<String>,
    /// The names of its own headers. Their values are kept sealed, beside its signing secrets.
    pub header_names: Vec<HeaderName>,
    /// Whom its data is encrypted to; nobody by default.
    pub encryption: Option<Encryption>,
    pub handling: Handling,
    pub activation: Option<Activation>,
    pub origin: Origin,
    pub state: WebhookState,
    /// Grows with every change, so that whoever keeps a copy knows when it is stale.
    pub version: i64,
    /// When a delivery was last acknowledged, to a minute. Test deliveries and challenges do not count.
    pub last_delivery_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Webhook {
    /// What a token for this webhook names as its audience.
    pub fn effective_audience(&self) -> String {
        self.audience.clone().unwrap_or_else(|| self.url.audience())
    }

    /// The same as it is reached now: who collects does so under the public URL, which may be another than when it was made.
    #[must_use]
    pub fn under(mut self, public_url: &str) -> Self {
        if self.method == DeliveryMethod::Pull
            && let Some(url) = poll_url(public_url, self.id)
        {
            self.url = url;
        }
        self
    }

    /// What becomes of its state, and what is told of that.
    #[must_use]
    pub fn after(&self, occurrence: Occurrence, now: Timestamp) -> (WebhookState, Option<News>) {
        self.state.after(self.origin, occurrence, now)
    }
}
