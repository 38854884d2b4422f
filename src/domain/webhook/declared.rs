//! A webhook that the operator declares in the configuration.

use super::{CustomHeaders, Encryption, Format, Handling, WebhookUrl};
use crate::domain::event_type::Subscription;
use crate::domain::id::TenantId;
use crate::domain::secret::Secret;
use crate::domain::token::TokenType;

/// The most that are declared. The whole list is compared with the database at every start.
pub const DECLARED_MAX: usize = 1_000;

/// What is declared. Everything that it does not say is as by default.
#[derive(Debug, Clone)]
pub struct DeclaredWebhook {
    pub place: Place,
    /// The default tenant, if none is named.
    pub tenant_id: Option<TenantId>,
    pub url: WebhookUrl,
    pub subscriptions: Vec<Subscription>,
    pub description: String,
    pub format: Format,
    pub token_type: TokenType,
    pub audience: Option<String>,
    pub headers: CustomHeaders,
    /// The one that signs; else the one that was made for it once.
    pub secret: Option<Secret<String>>,
    /// Whether a key pair of its own signs its deliveries too.
    pub has_key_pair: bool,
    /// As it was written: nobody has judged a key of it.
    pub encryption: Option<Encryption>,
    pub handling: Handling,
    pub is_enabled: bool,
}

/// Where a webhook is declared, for whoever must change it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How it is written there, such as `webhooks[1]`.
    pub path: String,
    /// A file or a variable.
    pub origin: String,
}

impl Place {
    /// What is wrong with the member at a JSON pointer (RFC 6901) into the webhook; with all of it, at an empty one.
    pub fn fault(&self, pointer: &str, detail: &str) -> String {
        let step = |step: &str| match step.replace("~1", "/").replace("~0", "~") {
            at if at.bytes().all(|byte| byte.is_ascii_digit()) => format!("[{at}]"),
            name => format!(".{name}"),
        };
        let steps: String = pointer.split('/').skip(1).map(step).collect();
        let path = format!("{}{steps}", self.path);
        format!("`{path}` in {}: {detail}", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_place_as_it_is_written_there() {
        let place = Place { path: "webhooks[1]".to_owned(), origin: "signet.toml".to_owned() };

        assert_eq!(place.fault("/events/0", "is empty"), "`webhooks[1].events[0]` in signet.toml: is empty");
        assert_eq!(place.fault("/headers/x~1y", "is none"), "`webhooks[1].headers.x/y` in signet.toml: is none");
        assert_eq!(place.fault("", "is none"), "`webhooks[1]` in signet.toml: is none");
    }
}
