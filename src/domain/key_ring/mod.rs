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
//!
//! Everything here is decided, nothing is done: `engine/rotate.rs` carries steps out, one transaction each.

mod policy;

use std::fmt;

pub use policy::{ImpossibleMargin, JWKS_MAX_AGE, JWKS_STALE_WHILE_REVALIDATE, KeyPolicy, Margins};

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
    /// Which publication of the tenant's set listed it first, counted from 1. Clocks may stand or jump, this does not.
    pub publication: u32,
    pub published_at: Timestamp,
    pub state: KeyState,
}

/// What happens next to a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing can sign: publish a key that signs at once, and a standby beside it.
    Open,
    /// Publish a standby.
    Publish,
    /// The standby signs from now on; the key before it stays published, its private half is destroyed.
    Promote { kid: Kid, demoted: Option<Kid> },
    /// A key that nobody needs any more leaves the JWKS.
    Archive { kid: Kid },
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
}

/// A revocation that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRevoke {
    #[error("this tenant has no key with that kid")]
    Unknown,
    #[error("the key is {0} and no longer published; there is nothing to revoke")]
    NotPublished(&'static str),
}

/// The keys of one tenant, archived and revoked ones left out or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<Key>,
}

impl KeyRing {
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key that signs.
    pub fn active(&self) -> Option<&Key> {
        self.keys.iter().find(|key| matches!(key.state, KeyState::Active { .. }))
    }

    /// The key that signs next: of several, the one that has been published the longest.
    pub fn standby(&self) -> Option<&Key> {
        let pending = self.keys.iter().filter(|key| key.state == KeyState::Pending);
        pending.min_by(|a, b| (a.publication, &a.kid).cmp(&(b.publication, &b.kid)))
    }

    /// What the JWKS lists, in its order: the active key, pending ones, retiring ones newest first.
    pub fn published(&self) -> Vec<&Key> {
        let mut keys: Vec<&Key> = self.keys.iter().filter(|key| key.state.is_published()).collect();
        keys.sort_by_key(|key| {
            let (rank, newest_first) = match key.state {
                KeyState::Active { .. } => (0, 0),
                KeyState::Pending => (1, key.published_at.as_micros()),
                KeyState::Retiring { retired_at } => (2, -retired_at.as_micros()),
                KeyState::Archived | KeyState::Revoked { .. } => (3, 0),
            };
            (rank, newest_first, key.kid.clone())
        });
        keys
    }

    /// The number of the publication that lists new keys.
    pub fn next_publication(&self) -> u32 {
        self.keys.iter().map(|key| key.publication).max().unwrap_or(0).saturating_add(1)
    }

    /// The instant from which no well-behaved receiver can lack the standby.
    fn safe_at(&self, standby: &Key, policy: &KeyPolicy) -> Timestamp {
        match self.active() {
            Some(active) if standby.publication > active.publication => {
                standby.published_at.plus(policy.margins().publish_ahead)
            }
            // Whoever can check the active key, or nothing at all, fetches a set in which the standby already stands.
            Some(_) | None => standby.published_at,
        }
    }

    /// What happens next by itself, and when at the earliest.
    pub fn next(&self, policy: &KeyPolicy) -> (Timestamp, Step) {
        let at_once = Timestamp::from_micros(0);
        let Some(active) = self.active() else {
            return match self.standby() {
                Some(standby) => (at_once, Step::Promote { kid: standby.kid.clone(), demoted: None }),
                None => (at_once, Step::Open),
            };
        };
        let Some(standby) = self.standby() else {
            return (at_once, Step::Publish);
        };
        let KeyState::Active { activated_at } = active.state else {
            return (at_once, Step::Open);
        };
        let due_at = activated_at.plus(policy.margins().period).max(self.safe_at(standby, policy));
        let promotion = (due_at, Step::Promote { kid: standby.kid.clone(), demoted: Some(active.kid.clone()) });
        match self.next_archival(policy) {
            Some(archival) if archival.0 <= promotion.0 => archival,
            _ => promotion,
        }
    }

    fn next_archival(&self, policy: &KeyPolicy) -> Option<(Timestamp, Step)> {
        let retiring = self.keys.iter().filter_map(|key| match key.state {
            KeyState::Retiring { retired_at } => Some((retired_at.plus(policy.margins().grace), key)),
            _ => None,
        });
        let (at, key) = retiring.min_by_key(|(at, _)| *at)?;
        Some((at, Step::Archive { kid: key.kid.clone() }))
    }

    /// What is to be done now, if anything.
    pub fn next_step(&self, policy: &KeyPolicy, now: Timestamp) -> Option<Step> {
        let (at, step) = self.next(policy);
        (at <= now).then_some(step)
    }

    /// The step that a rotation on request takes, unless receivers would be hurt by it.
    pub fn rotate_now(&self, policy: &KeyPolicy, now: Timestamp) -> Result<Step, CannotRotate> {
        let standby = self.standby().ok_or(CannotRotate::NoStandby)?;
        let safe_at = self.safe_at(standby, policy);
        if safe_at > now {
            return Err(CannotRotate::TooSoon { safe_at });
        }
        self.force_rotation()
    }

    /// The same, whoever is hurt.
    pub fn force_rotation(&self) -> Result<Step, CannotRotate> {
        let standby = self.standby().ok_or(CannotRotate::NoStandby)?;
        Ok(Step::Promote { kid: standby.kid.clone(), demoted: self.active().map(|active| active.kid.clone()) })
    }

    /// The key to sign with after `kid` is revoked in the same transaction: `None` when the active key is untouched or
    /// nothing stands by.
    pub fn revoke(&self, kid: &Kid) -> Result<Option<Kid>, CannotRevoke> {
        let key = self.keys.iter().find(|key| key.kid == *kid).ok_or(CannotRevoke::Unknown)?;
        if !key.state.is_published() {
            return Err(CannotRevoke::NotPublished(key.state.as_str()));
        }
        let was_active = matches!(key.state, KeyState::Active { .. });
        Ok(if was_active { self.standby().map(|standby| standby.kid.clone()) } else { None })
    }

    /// The ring after a step was carried out at `now`. `created` names the keys that the step makes, in order.
    #[must_use]
    pub fn after(&self, step: &Step, now: Timestamp, created: &[Key]) -> Self {
        let mut keys = self.keys.clone();
        keys.extend_from_slice(created);
        for key in &mut keys {
            key.state = match step {
                Step::Promote { kid, .. } if key.kid == *kid => KeyState::Active { activated_at: now },
                Step::Promote { demoted: Some(kid), .. } if key.kid == *kid => KeyState::Retiring { retired_at: now },
                Step::Archive { kid } if key.kid == *kid => KeyState::Archived,
                Step::Promote { .. } | Step::Archive { .. } | Step::Open | Step::Publish => key.state,
            };
        }
        Self { keys }
    }

    /// What will happen by itself, soonest first, `entries_max` steps far. Kids that do not exist yet are made up.
    pub fn plan(&self, policy: &KeyPolicy, now: Timestamp, entries_max: usize) -> Vec<(Timestamp, Step)> {
        let mut ring = self.clone();
        let mut at = now;
        let mut entries = Vec::new();
        while entries.len() < entries_max {
            let (due_at, step) = ring.next(policy);
            at = at.max(due_at);
            let created = ring.made_up_keys(&step, at, entries.len());
            ring = ring.after(&step, at, &created);
            entries.push((at, step));
        }
        entries
    }

    fn made_up_keys(&self, step: &Step, at: Timestamp, number: usize) -> Vec<Key> {
        let algorithm = self.keys.last().map_or(Algorithm::Es256, |key| key.algorithm);
        let publication = self.next_publication();
        let key = |name: &str, state| Key {
            kid: Kid::from_text(format!("(to be made, {name} {number})")),
            algorithm,
            publication,
            published_at: at,
            state,
        };
        match step {
            Step::Open => vec![key("first", KeyState::Active { activated_at: at }), key("standby", KeyState::Pending)],
            Step::Publish => vec![key("standby", KeyState::Pending)],
            Step::Promote { .. } | Step::Archive { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
