//! What is known of the receivers that deliveries go to, kept while it is current.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use tokio::sync::Semaphore;

use super::Engine;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::webhook::WebhookUrl;
use crate::signing::digest::WebhookSecret;
use crate::signing::{Purpose, SigningError};
use crate::store::webhooks::{self, Listener};
use crate::store::{Conn, StoreError};

/// How many receivers are kept: about a kilobyte each.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");

/// Requests that one receiver has to answer at a time.
const TURNS: usize = 64;

/// A receiver, ready to be written to.
pub(super) struct Addressee {
    pub(super) webhook_id: WebhookId,
    pub(super) tenant_id: TenantId,
    pub(super) url: WebhookUrl,
    pub(super) audience: String,
    /// Whether other webhooks may have the same one: it was chosen, and is not the URL.
    pub(super) shares_audience: bool,
    /// False once the webhook was disabled or deleted: what is still queued for it ends.
    pub(super) is_listening: bool,
    /// The shared secret; an error when its record does not open.
    pub(super) secret: Result<WebhookSecret, SigningError>,
    pub(super) version: i64,
    /// Taken while it is spoken to. A lane may hold more than there are; they wait, and need not be claimed one by one.
    pub(super) turns: Semaphore,
}

pub(super) struct Addressees(Mutex<LruCache<WebhookId, Arc<Addressee>>>);

impl Default for Addressees {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT_MAX)))
    }
}

impl Engine {
    /// The receivers in these versions, from memory where that is current and from the database where it is not.
    pub(super) async fn addressees(
        &self,
        conn: &mut Conn,
        listeners: &[Listener],
    ) -> Result<HashMap<WebhookId, Arc<Addressee>>, StoreError> {
        let mut found = HashMap::with_capacity(listeners.len());
        let mut missing = Vec::new();
        {
            let mut kept = self.addressees.0.lock().unwrap_or_else(PoisonError::into_inner);
            for listener in listeners {
                match kept.get(&listener.webhook_id) {
                    Some(addressee) if addressee.version >= listener.version => {
                        found.insert(listener.webhook_id, addressee.clone());
                    }
                    _ => missing.push(listener.webhook_id),
                }
            }
        }
        for loaded in super::sound(webhooks::addressees(conn, &missing).await?) {
            let addressee = Arc::new(self.addressee(loaded));
            // What could not be opened now may be opened by a master key that is brought later.
            if addressee.secret.is_ok() {
                let mut kept = self.addressees.0.lock().unwrap_or_else(PoisonError::into_inner);
                kept.put(addressee.webhook_id, addressee.clone());
            }
            found.insert(addressee.webhook_id, addressee);
        }
        Ok(found)
    }

    pub(super) fn addressee(&self, loaded: webhooks::Addressee) -> Addressee {
        let webhook = loaded.webhook;
        let purpose = Purpose::WebhookSecret { webhook_id: webhook.id };
        let secret = self.master_keys.open(&purpose, &loaded.secret_jwe).and_then(|plain| {
            let text = std::str::from_utf8(&plain).ok();
            text.and_then(WebhookSecret::parse).ok_or_else(|| SigningError::Unreadable(webhook.id.to_string()))
        });
        if let Err(error) = &secret {
            tracing::error!(webhook.id = %webhook.id, error = error as &dyn std::error::Error, "a signing secret cannot be used");
        }
        Addressee {
            webhook_id: webhook.id,
            tenant_id: webhook.tenant_id,
            audience: webhook.effective_audience(),
            shares_audience: webhook.audience.is_some(),
            is_listening: webhook.state.is_enabled() && !loaded.is_deleted,
            url: webhook.url,
            secret,
            version: webhook.version,
            turns: Semaphore::new(TURNS),
        }
    }
}
