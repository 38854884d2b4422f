//! What is known of the receivers that deliveries go to, kept while it is current.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use tokio::sync::Semaphore;

use super::Engine;
use super::encryption::EncryptTo;
use super::health::Health;
use super::pace::Pace;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenType;
use crate::domain::webhook::{CustomHeaders, DeliveryMethod, Format, Handling, Origin, WebhookState, WebhookUrl};
use crate::egress::{Egress, Identity};
use crate::signing::digest::WebhookSecret;
use crate::signing::{ClientSecret, Confidential, Purpose, SigningError, WebhookKeyPair, client_certificate};
use crate::store::webhooks::{self, Listener};
use crate::store::{Conn, StoreError};

/// How many receivers are kept: one or two kilobytes each.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");

/// Requests that one receiver has to answer at a time.
const TURNS: usize = 64;

/// A receiver, ready to be written to.
pub(super) struct Addressee {
    pub(super) webhook_id: WebhookId,
    pub(super) tenant_id: TenantId,
    pub(super) method: DeliveryMethod,
    pub(super) url: WebhookUrl,
    pub(super) format: Format,
    pub(super) token_type: TokenType,
    pub(super) audience: String,
    /// Whether other webhooks may have the same one: it was chosen, and is not the URL.
    pub(super) shares_audience: bool,
    /// False once the webhook was disabled or deleted: what is still queued for it ends.
    pub(super) is_listening: bool,
    /// What it shares with us; an error when its record does not open.
    pub(super) shared: Result<Shared, SigningError>,
    /// Nobody, where its data is sent as it is.
    pub(super) encrypt_to: Option<EncryptTo>,
    pub(super) handling: Handling,
    /// Shared with earlier versions of the same webhook.
    pub(super) pace: Arc<Pace>,
    pub(super) health: Arc<Health>,
    pub(super) origin: Origin,
    /// As it was in this version.
    pub(super) state: WebhookState,
    /// When its owner last changed it, or it was disabled.
    changed_at: Timestamp,
    pub(super) version: i64,
    /// Taken while it is spoken to. A lane may hold more than there are; they wait, and need not be claimed one by one.
    pub(super) turns: Semaphore,
}

/// What only a receiver and we know.
pub(super) struct Shared {
    /// Secrets with the instants at which they sign no more.
    secrets: Vec<(WebhookSecret, Option<Timestamp>)>,
    key_pairs: Vec<(WebhookKeyPair, Option<Timestamp>)>,
    pub(super) headers: CustomHeaders,
    /// What deliveries show it.
    identity: Option<Identity>,
}

impl Addressee {
    /// How it is reached: with its certificate, if it wants to see one.
    pub(super) fn way_out<'e>(&self, egress: &'e Egress) -> Cow<'e, Egress> {
        let identity = self.shared.as_ref().ok().and_then(|shared| shared.identity.as_ref());
        identity.map_or(Cow::Borrowed(egress), |identity| Cow::Owned(egress.presenting(identity)))
    }
}

impl Shared {
    /// The secrets that sign at this instant.
    pub(super) fn secrets_at(&self, now: Timestamp) -> Vec<&WebhookSecret> {
        alive(&self.secrets, now)
    }

    /// The key pairs that do; most webhooks have none.
    pub(super) fn key_pairs_at(&self, now: Timestamp) -> Vec<&WebhookKeyPair> {
        alive(&self.key_pairs, now)
    }
}

fn identity(client: &ClientSecret) -> Option<Identity> {
    let read = client_certificate::identity(client)?;
    Identity::new(read.id, read.chain, read.private_key.to_vec())
}

fn alive<T>(all: &[(T, Option<Timestamp>)], now: Timestamp) -> Vec<&T> {
    let lives = |expires_at: &Option<Timestamp>| expires_at.is_none_or(|at| now < at);
    all.iter().filter(|(_, expires_at)| lives(expires_at)).map(|(one, _)| one).collect()
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
            let mut addressee = self.addressee(loaded);
            let mut kept = self.addressees.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(before) = kept.peek(&addressee.webhook_id) {
                addressee.pace = before.pace.clone();
                if before.health.goes_on(before.state, addressee.state, addressee.changed_at) {
                    addressee.health = before.health.clone();
                }
            }
            let addressee = Arc::new(addressee);
            // What could not be opened now may be opened by a master key that is brought later.
            if addressee.shared.is_ok() {
                kept.put(addressee.webhook_id, addressee.clone());
            }
            found.insert(addressee.webhook_id, addressee);
        }
        Ok(found)
    }

    pub(super) fn addressee(&self, loaded: webhooks::Addressee) -> Addressee {
        let webhook = loaded.webhook.under(&self.terms.public_url);
        let purpose = Purpose::WebhookSecret { webhook_id: webhook.id };
        let shared = self.master_keys.open(&purpose, &loaded.secret_jwe).and_then(|plain| {
            let unreadable = || SigningError::Unreadable(webhook.id.to_string());
            let confidential = Confidential::read(&plain).ok_or_else(unreadable)?;
            let secrets = confidential.signers().ok_or_else(unreadable)?;
            let key_pairs = confidential.key_pairs().ok_or_else(unreadable)?;
            let identity = confidential.client.as_ref().map(|client| identity(client).ok_or_else(unreadable));
            Ok(Shared { secrets, key_pairs, headers: confidential.headers, identity: identity.transpose()? })
        });
        if let Err(error) = &shared {
            tracing::error!(webhook.id = %webhook.id, error = error as &dyn std::error::Error, "a signing secret cannot be used");
        }
        Addressee {
            webhook_id: webhook.id,
            tenant_id: webhook.tenant_id,
            audience: webhook.effective_audience(),
            shares_audience: webhook.audience.is_some(),
            is_listening: webhook.state.is_enabled() && !loaded.is_deleted,
            method: webhook.method,
            url: webhook.url,
            format: webhook.format,
            token_type: webhook.token_type,
            shared,
            encrypt_to: webhook.encryption.map(EncryptTo::of),
            handling: webhook.handling,
            pace: Arc::default(),
            health: Arc::default(),
            origin: webhook.origin,
            state: webhook.state,
            changed_at: webhook.updated_at,
            version: webhook.version,
            turns: Semaphore::new(TURNS),
        }
    }
}
