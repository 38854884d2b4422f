//! A delivery: one event on its way to one webhook; and what may become of an attempt.

use std::time::Duration;

pub use super::failure::{FailureKind, TlsFault};

use super::event_type::EventType;
use super::id::{EventId, WebhookId};
use super::time::Timestamp;

/// One attempt may take this long, from the resolution of the receiver's name to the last byte of its answer.
pub const ATTEMPT_WITHIN: Duration = Duration::from_secs(30);

/// Names a delivery: there is one per webhook however many of its subscriptions match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    pub webhook_id: WebhookId,
    pub event_id: EventId,
}

/// The right to make one attempt, held until the lease ends.
#[derive(Debug)]
pub struct Claim {
    pub key: DeliveryKey,
    /// The number of the claim: whoever settles must still hold the one that is in the queue.
    pub fence: u32,
    /// Which attempt this is, counted from 1. An attempt whose maker died before its outcome was written is made again
    /// under the same number.
    pub attempt: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered, whatever it said.
    Answered { status_code: u16, retry_after: Option<Duration> },
    /// No usable answer.
    Failed(FailureKind),
}

impl Outcome {
    /// Whether the receiver took responsibility for the event: 2xx and nothing else.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Answered { status_code: 200..=299, .. })
    }
}

/// One attempt, as the log keeps it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    pub started_at: Timestamp,
    pub took_for: Duration,
    pub outcome: Outcome,
    /// The beginning of what the receiver answered; not trusted, not interpreted. Where there was no key to encrypt to, why.
    pub excerpt: String,
    /// The key that signed the token, if its format carries one and signing did not fail.
    pub kid: Option<String>,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Acknowledged with a 2xx.
    Delivered,
    /// Every attempt failed.
    Exhausted,
    /// Given up without the receiver's word, because its webhook was disabled or deleted.
    Cancelled,
}

impl Ending {
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Exhausted, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.as_str() == text)
    }
}

/// What is to be done with a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    Ended(Ending),
    /// Try again then, not before.
    Retry {
        due_at: Timestamp,
    },
    /// The receiver wants nothing more: this delivery ends and its webhook is disabled.
    Gone,
}

/// Where a delivery stands, for people and programs that ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Not yet tried, or the first attempt is under way.
    Pending {
        /// None while somebody has it in hand.
        due_at: Option<Timestamp>,
    },
    /// Tried without success; it will be tried again.
    Failed {
        /// The same.
        due_at: Option<Timestamp>,
    },
    Ended {
        ending: Ending,
        at: Timestamp,
    },
}

impl DeliveryState {
    /// Every word that [`DeliveryState::as_str`] may answer.
    pub const NAMES: [&'static str; 5] = ["pending", "failed", "delivered", "exhausted", "cancelled"];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Failed { .. } => "failed",
            Self::Ended { ending, .. } => ending.as_str(),
        }
    }
}

/// A delivery as the log shows it, without its attempts.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub key: DeliveryKey,
    pub event_type: EventType,
    pub state: DeliveryState,
    pub attempts: u32,
    pub last_attempt_at: Option<Timestamp>,
    pub last_outcome: Option<Outcome>,
}
