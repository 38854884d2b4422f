//! How deliveries come to a webhook's receiver. Chosen when the webhook is made, and never changed: what waits for a receiver that
//! collects lies elsewhere than what is sent.

use super::WebhookUrl;
use crate::domain::id::WebhookId;

/// How deliveries come to a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMethod {
    /// We send them to its URL.
    Push,
    /// It collects them from us.
    Pull,
}

impl DeliveryMethod {
    pub const ALL: [Self; 2] = [Self::Push, Self::Pull];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// Where a receiver collects its deliveries; `None` when that is no URL.
pub fn poll_url(public_url: &str, id: WebhookId) -> Option<WebhookUrl> {
    WebhookUrl::from_record(&format!("{public_url}/v1/webhooks/{id}/poll"))
}
