//! The keys of one tenant and what happens to them next.
//!
//! ```text
//! pending ──▶ active ──▶ retiring ──▶ archived        revoked, from each of the first three
//! announced   signs      still        kept for
//!                        published    the record
//! ```
//! A key is announced long before it signs and stays published long after, so that no receiver meets a signature it
//! cannot check. One rule decides when an announced key may sign: either every cache that could lack it has expired
//! (`publish_ahead`), or whoever can check the present key has fetched a set in which the announced one already stood.
//! Besides, every node must serve it.
//!
//! Everything here is decided, nothing is done: `engine/rotate.rs` carries steps out, one transaction each.

mod policy;
mod schedule;
mod situation;

use std::fmt;
use std::time::Duration;

pub use policy::{ImpossibleMargin, KeyPolicy, Margin, Margins, Profile};
pub use situation::{CLOCK_OFFSET_NOTED, ServiceTime, SigningLease, Situation};

use super::time::Timestamp;
use super::token::Algorithm;

/// The RFC 7638 SHA-256 thumbprint of a key, which is its `kid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(String);

impl Kid {
    /// `signing` computes thumbprints; records and requests repeat them.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands in a plan for one that is yet to be made.
    pub fn is_made_up(&self) -> bool {
        self.0.starts_with('(')
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Pending,
    Active { activated_at: Timestamp },
    Retiring { retired_at: Timestamp },
    Archived,
    Revoked { revoked_at: Timestamp },
}

impl KeyState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active { .. } => "active",
            Self::Retiring { .. } => "retiring",
            Self::Archived => "archived",
            Self::Revoked { .. } => "revoked",
        }
    }

    /// Whether the public half is in the JWKS.
    pub fn is_published(self) -> bool {
        matches!(self, Self::Pending | Self::Active { .. } | Self::Retiring { .. })
    }
}

/// One key, without its material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub kid: Kid,
    pub algorithm: Algorithm,
    /// Which publication of the tenant's set listed it first, counted from 1.
    pub publication: u32,
    pub published_at: Timestamp,
    /// The version of the installation's keys that listed it first: a node that serves an older one does not know it.
    pub version: i64,
    /// Since when it is in its state; of an announced key, since when every node serves it.
    pub since: ServiceTime,
    /// When a node was last lost that may go on serving a set without it.
    pub missed_at: Option<ServiceTime>,
    pub state: KeyState,
}

/// What happens next to a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing can sign: publish a key that signs at once, and a standby beside it.
    Open,
    /// Publish a key that will sign later: a standby, or the first one of the next algorithm.
    Publish { algorithm: Algorithm },
    /// An announced key signs from now on; the key before it stays published, its private half is destroyed. When it is
    /// of the next algorithm, that is the tenant's algorithm from now on.
    Promote { kid: Kid, demoted: Option<Kid> },
    /// An announced key that will never sign leaves the JWKS: its algorithm is not wanted any more.
    Withdraw { kid: Kid },
    /// A key that nobody needs any more leaves the JWKS.
    Archive { kid: Kid },
}

/// A change of algorithm that will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOver {
    pub algorithm: Algorithm,
    /// Not before then.
    pub at: Timestamp,
}

/// A rotation that somebody asks for would reach receivers that have not heard of the standby.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRotate {
    #[error("there is no standby key yet; one is published within seconds")]
    NoStandby,
    #[error(
        "the standby key is not in every receiver's cache before {safe_at}; rotate then, or force it and accept failed verifications"
    )]
    TooSoon { safe_at: Timestamp },
    #[error("not every node serves the standby key yet; ask again in a few seconds")]
    NotEverywhere,
}

/// A change of algorithm that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotCutOver {
    #[error("the tenant's tokens are signed with {} already", .0.as_str())]
    Same(Algorithm),
    #[error(
        "keys of {} would not be in every receiver's cache at {at}, which is {} too early: cut over at {earliest} or later",
        .algorithm.as_str(), policy::spoken(.earliest.since(*.at))
    )]
    TooSoon { algorithm: Algorithm, at: Timestamp, earliest: Timestamp },
    #[error("{at} is more than a year away")]
    TooLate { at: Timestamp },
}

/// A revocation that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRevoke {
    #[error("this tenant has no key with that kid")]
    Unknown,
    #[error("the key is {0} and no longer published; there is nothing to revoke")]
    NotPublished(&'static str),
}

/// How far ahead a change of algorithm may be planned.
const CUT_OVER_WITHIN: Duration = Duration::from_hours(24 * 365);

/// The keys of one tenant, archived and revoked ones left out or not, and what they sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<Key>,
    algorithm: Algorithm,
    cut_over: Option<CutOver>,
}

impl KeyRing {
    pub fn new(keys: Vec<Key>, algorithm: Algorithm, cut_over: Option<CutOver>) -> Self {
        Self { keys, algorithm, cut_over }
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub fn find(&self, kid: &Kid) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn cut_over(&self) -> Option<CutOver> {
        self.cut_over
    }

    /// The key that signs.
    pub fn active(&self) -> Option<&Key> {
        self.keys.iter().find(|key| matches!(key.state, KeyState::Active { .. }))
    }

    /// The key that signs next.
    pub fn standby(&self) -> Option<&Key> {
        self.pending_of(self.algorithm)
    }

    /// Of several announced keys of an algorithm, the one that has been published the longest.
    fn pending_of(&self, algorithm: Algorithm) -> Option<&Key> {
        let pending = self.keys.iter().filter(|key| key.state == KeyState::Pending && key.algorithm == algorithm);
        pending.min_by(|a, b| (a.publication, &a.kid).cmp(&(b.publication, &b.kid)))
    }

    /// The announced key that the fewest can know.
    pub fn youngest(&self) -> Option<&Key> {
        // Not of an algorithm that receivers need not take yet.
        let ours = |key: &&Key| key.state == KeyState::Pending && key.algorithm == self.algorithm;
        let pending = self.keys.iter().filter(ours);
        pending.max_by(|a, b| (a.publication, &a.kid).cmp(&(b.publication, &b.kid)))
    }

    /// Announced keys of an algorithm that is neither in use nor planned.
    fn purposeless(&self) -> impl Iterator<Item = &Key> {
        let next = self.cut_over.map(|cut_over| cut_over.algorithm);
        let wanted = move |key: &Key| key.algorithm == self.algorithm || Some(key.algorithm) == next;
        self.keys.iter().filter(move |key| key.state == KeyState::Pending && !wanted(key))
    }

    /// What the JWKS lists, in its order: the active key, pending ones, retiring ones newest first.
    pub fn published(&self) -> Vec<&Key> {
        let mut keys: Vec<&Key> = self.keys.iter().filter(|key| key.state.is_published()).collect();
        keys.sort_by_key(|key| {
            let (rank, newest_first) = match key.state {
                KeyState::Active { .. } => (0, 0),
                KeyState::Pending if key.algorithm == self.algorithm => (1, key.published_at.as_micros()),
                KeyState::Pending => (2, key.published_at.as_micros()),
                KeyState::Retiring { retired_at } => (3, -retired_at.as_micros()),
                KeyState::Archived | KeyState::Revoked { .. } => (4, 0),
            };
            (rank, newest_first, key.kid.clone())
        });
        keys
    }

    /// Whether keys of several algorithms are published, which some receivers do not take (`kty` or `alg` unknown to them
    /// makes them refuse the whole set).
    pub fn is_mixed(&self) -> bool {
        let mut algorithms = self.keys.iter().filter(|key| key.state.is_published()).map(|key| key.algorithm);
        let first = algorithms.next();
        algorithms.any(|algorithm| Some(algorithm) != first)
    }

    /// The number of the publication that lists new keys.
    pub fn next_publication(&self) -> u32 {
        self.keys.iter().map(|key| key.publication).max().unwrap_or(0).saturating_add(1)
    }

    /// The key to sign with after `kid` is revoked in the same transaction: `None` when the active key is untouched or
    /// nothing stands by.
    pub fn revoke(&self, kid: &Kid) -> Result<Option<Kid>, CannotRevoke> {
        let key = self.find(kid).ok_or(CannotRevoke::Unknown)?;
        if !key.state.is_published() {
            return Err(CannotRevoke::NotPublished(key.state.as_str()));
        }
        let was_active = matches!(key.state, KeyState::Active { .. });
        Ok(if was_active { self.standby().map(|standby| standby.kid.clone()) } else { None })
    }

    /// The ring after `kid` was revoked and its successor promoted.
    #[must_use]
    pub fn after_revocation(&self, kid: &Kid, successor: Option<&Kid>, situation: &Situation) -> Self {
        let mut ring = self.clone();
        for key in &mut ring.keys {
            if key.kid == *kid {
                key.state = KeyState::Revoked { revoked_at: situation.now };
            } else if Some(&key.kid) == successor {
                key.state = KeyState::Active { activated_at: situation.now };
            }
        }
        ring
    }

    /// The ring after a step was carried out. `created` are the keys that the step makes, in order.
    #[must_use]
    pub fn after(&self, step: &Step, situation: &Situation, created: &[Key]) -> Self {
        let mut ring = self.clone();
        ring.keys.extend_from_slice(created);
        let now = situation.now;
        for key in &mut ring.keys {
            let state = match step {
                Step::Promote { kid, .. } if key.kid == *kid => KeyState::Active { activated_at: now },
                Step::Promote { demoted: Some(kid), .. } if key.kid == *kid => KeyState::Retiring { retired_at: now },
                Step::Archive { kid } | Step::Withdraw { kid } if key.kid == *kid => KeyState::Archived,
                Step::Promote { .. }
                | Step::Withdraw { .. }
                | Step::Archive { .. }
                | Step::Open
                | Step::Publish { .. } => continue,
            };
            key.state = state;
            key.since = situation.service_time;
        }
        if let Some(algorithm) = ring.active().map(|active| active.algorithm)
            && algorithm != ring.algorithm
        {
            (ring.algorithm, ring.cut_over) = (algorithm, None);
        }
        ring
    }
}

#[cfg(test)]
mod tests;
