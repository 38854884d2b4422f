//! A tenant: an issuer of its own, with its own keys, webhooks and events.

use super::catalogue::Rules;
use super::dialect::Dialect;
use super::id::TenantId;
use super::key_ring::{CutOver, KeyPolicy};
use super::time::Timestamp;
use super::token::{Algorithm, TokenTtl};

/// The `sub` of tokens unless the tenant says otherwise.
pub const TOKEN_SUBJECT_STANDARD: &str = "signet webhooks";
/// The longest name of a tenant, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest `sub`, in characters.
pub const TOKEN_SUBJECT_CHARS_MAX: usize = 255;

#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    /// The one tenant whose issuer is the public URL itself and who is meant when nobody is named.
    pub is_default: bool,
    /// What its tokens are signed with.
    pub algorithm: Algorithm,
    /// What they will be signed with instead, and when.
    pub cut_over: Option<CutOver>,
    /// How its keys rotate; `None` is as the installation is configured.
    pub key_policy: Option<KeyPolicy>,
    pub token_subject: String,
    pub token_ttl: TokenTtl,
    /// How its deliveries speak where vendors differ.
    pub dialect: Dialect,
    /// How strictly its catalogue of event types is kept.
    pub catalogue: Rules,
    pub created_at: Timestamp,
}

impl Tenant {
    /// The `iss` of its tokens: `public_url` for the default tenant, a path beneath it for others; no trailing slash.
    pub fn issuer(&self, public_url: &str) -> String {
        let base = public_url.trim_end_matches('/');
        if self.is_default { base.to_owned() } else { format!("{base}/{}", self.id) }
    }
}

/// The text is no name, or no subject, that a tenant may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is 1 to {0} characters, none of them a control character")]
pub struct MalformedText(usize);

/// Whether a tenant may be called so.
pub fn check_name(text: &str) -> Result<(), MalformedText> {
    check(text, NAME_CHARS_MAX)
}

/// Whether its tokens may have this `sub`.
pub fn check_subject(text: &str) -> Result<(), MalformedText> {
    check(text, TOKEN_SUBJECT_CHARS_MAX)
}

fn check(text: &str, chars_max: usize) -> Result<(), MalformedText> {
    let fits = (1..=chars_max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(MalformedText(chars_max)) }
}
