//! What receivers collect instead of being sent it: handing deliveries over, and taking the receivers' word for what became of them.
//!
//! A delivery is handed over in the transaction that notes it, and signed afterwards with the key that is active then. Nobody
//! waits with a database connection in hand. What a receiver says is durable before it is answered.

mod leftover;
mod poll;
mod waiting;
mod word;

use std::time::Duration;

use crate::domain::access::PullKey;
use crate::domain::id::{EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::Format;
use crate::engine::Engine;
use crate::engine::encryption::{NoKey, Unwritten};
use crate::engine::keys::MayNotSign;
use crate::signing::{SigningError, digest};
use crate::store::{StoreError, pull_keys, webhooks};

pub(super) use waiting::Mailroom;
pub use waiting::run;

/// How many deliveries one answer holds at most, and how many by default.
pub const LIMIT_MAX: u32 = 100;
pub const LIMIT_STANDARD: u32 = 50;
/// How long a delivery may be in somebody's hands before it is handed over again.
pub const LEASE_MAX: Duration = Duration::from_hours(1);
/// The same where nobody says. Security Event Tokens have none then: RFC 8936 has them returned until they are acknowledged.
pub const LEASE_STANDARD: Duration = Duration::from_mins(1);
/// How long somebody waits for something to come in.
pub const WAIT: Duration = Duration::from_secs(30);
/// How much of what a receiver refused, and why, is kept.
const REASON_CHARS_MAX: usize = 500;

/// Who collects: the holder of a webhook's pull key.
#[derive(Debug, Clone, Copy)]
pub struct Collector {
    pub webhook_id: WebhookId,
    /// How its deliveries are written, as far as is known before any are.
    pub format: Format,
    digest: [u8; 32],
    heard_at: Option<Timestamp>,
}

/// What a receiver says and asks for.
#[derive(Debug, Clone, Default)]
pub struct Poll {
    pub acknowledged: Vec<EventId>,
    pub refused: Vec<Refused>,
    /// How many deliveries it wants at most; none at all means that it only has something to say.
    pub limit: u32,
    pub lease: Option<Duration>,
    /// Whether it is answered when something has come in, and not before.
    pub waits: bool,
}

/// A delivery that a receiver will not have, and why.
#[derive(Debug, Clone)]
pub struct Refused {
    pub event_id: EventId,
    pub err: String,
    pub description: Option<String>,
}

/// What is handed over.
#[derive(Debug)]
pub struct Collected {
    pub format: Format,
    pub deliveries: Vec<Handed>,
    pub has_more: bool,
}

/// A delivery as it would have been sent.
#[derive(Debug)]
pub struct Handed {
    pub event_id: EventId,
    pub attempt: u32,
    /// Until when nobody else is given it, if anybody cares.
    pub leased_until: Option<Timestamp>,
    pub content_type: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Nothing is handed over.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error("the pull key has ended, or its webhook is gone")]
    Ended,
    #[error("{} wait for the deliveries of this webhook already", waiting::WAITERS_MAX)]
    TooManyHere,
    #[error("as many wait for deliveries as this node keeps waiting")]
    TooMany,
    #[error(transparent)]
    MayNotSign(#[from] MayNotSign),
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Nothing is handed over in clear that was to be encrypted.
    #[error(transparent)]
    NoKey(#[from] NoKey),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Unwritten> for PollError {
    fn from(error: Unwritten) -> Self {
        match error {
            Unwritten::Signing(error) => Self::Signing(error),
            Unwritten::NoKey(error) => Self::NoKey(error),
        }
    }
}

impl Engine {
    /// Whose pull key this is; `None` when it is nobody's, or has ended.
    pub async fn collector_of(&self, presented: &str) -> Result<Option<Collector>, StoreError> {
        if PullKey::parse(presented).is_none() {
            return Ok(None);
        }
        let digest = digest::sha256(presented.as_bytes());
        let mut reader = self.store.read().await?;
        let Some(id) = pull_keys::find(reader.conn(), &digest, self.clock.now()).await? else { return Ok(None) };
        let found = super::sound(webhooks::addressees(reader.conn(), &[id]).await?).find(|found| !found.is_deleted);
        Ok(found.map(|found| Collector {
            webhook_id: id,
            format: found.webhook.format,
            digest,
            heard_at: found.webhook.last_delivery_at,
        }))
    }

    /// Takes a receiver's word, and hands over what there is for it; if it wants to wait, when there is something.
    pub async fn poll(&self, collector: &Collector, poll: &Poll) -> Result<Collected, PollError> {
        self.take_word(collector, poll).await?;
        let nothing = Collected { format: collector.format, deliveries: Vec::new(), has_more: false };
        if poll.limit == 0 {
            return Ok(nothing);
        }
        if let Some(collected) = self.hand_over(collector, poll).await? {
            return Ok(collected);
        }
        if !poll.waits {
            return Ok(nothing);
        }
        let waiter = self.mailroom.enter(collector.webhook_id)?;
        let until = self.clock.now().plus(WAIT);
        loop {
            // Interest is registered before it is looked: what came in between would otherwise wait for the next.
            let bell = waiter.bell();
            if let Some(collected) = self.hand_over(collector, poll).await? {
                return Ok(collected);
            }
            tokio::select! {
                () = bell => {}
                () = self.clock.sleep_until(until) => return Ok(nothing),
                () = self.mailroom.closed() => return Ok(nothing),
            }
        }
    }

    /// How many wait for deliveries on this node.
    pub fn pollers(&self) -> usize {
        self.mailroom.waiters()
    }

    /// Answers all who wait for deliveries: this node ends.
    pub fn send_pollers_home(&self) {
        self.mailroom.close();
    }
}
