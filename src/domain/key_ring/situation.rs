//! What is known when a step is decided: the time, measured in a way that nobody can set, and what every node serves.

use std::fmt;
use std::time::Duration;

use super::policy::Profile;
use crate::domain::time::Timestamp;

/// Time that the nodes of an installation have measured by clocks that cannot be set, counted up in the database since it
/// was made. It may lag behind what has really passed, as when every node was down, and never runs ahead of it. Margins
/// are counted in it, so no wrong clock shortens one.
///
/// It is counted in whole microseconds, as databases keep it, so that what was written equals what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ServiceTime(u64);

impl ServiceTime {
    pub const ZERO: Self = Self(0);

    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    pub const fn as_micros(self) -> u64 {
        self.0
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How much of it has passed since `earlier`.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for ServiceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0 / 1_000_000)
    }
}

/// What is known when a step is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// What the calendar says. How long a key signs goes by it, which hurts nobody when it is wrong, and so do cut-overs.
    pub now: Timestamp,
    pub service_time: ServiceTime,
    /// Every node that lives serves this version of the keys, or a later one.
    pub served_version: i64,
}

/// How long a node may sign without having heard from the database which key does. What was handed to it before it was
/// cut off is sent within that time; afterwards the key may have been revoked or gone.
pub const SIGNING_LEASE: Duration = Duration::from_mins(1);

/// How far a node's clock may differ from the database's before it is told of.
pub const CLOCK_OFFSET_NOTED: Duration = Duration::from_millis(500);
/// How far it may differ before the node signs no more: its tokens would be expired, or not valid yet.
pub const CLOCK_OFFSET_MAX: Duration = Duration::from_mins(1);

/// A node's leave to sign with the keys that it has loaded, and to serve them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SigningLease {
    /// When the database was last asked with success, by a clock that cannot be set.
    confirmed: Option<Duration>,
    /// When the others counted on this node, at that.
    shown: Option<Duration>,
    clock_is_wrong: bool,
}

impl SigningLease {
    /// The keys were loaded as they stood at an instant of the node's own monotonic clock.
    pub fn confirm(&mut self, asked_at: Duration) {
        self.confirmed = self.confirmed.max(Some(asked_at));
    }

    /// Whether there is anything to serve.
    pub const fn has_loaded(&self) -> bool {
        self.confirmed.is_some()
    }

    /// So they were, and the others counted on this node then.
    pub fn show(&mut self, asked_at: Duration) {
        self.shown = self.shown.max(Some(asked_at));
    }

    /// The node's clock was compared with the database's.
    pub fn compare(&mut self, offset: Duration) {
        self.clock_is_wrong = offset > CLOCK_OFFSET_MAX;
    }

    pub fn holds_at(&self, monotonic: Duration) -> bool {
        let silence = self.confirmed.map(|confirmed| monotonic.saturating_sub(confirmed));
        !self.clock_is_wrong && silence.is_some_and(|silence| silence <= SIGNING_LEASE)
    }

    /// Whether this node may serve the keys that it has loaded. A node that was taken for lost and reads the keys once
    /// more without being seen would go on for longer than the others wait for it.
    pub fn may_serve_at(&self, monotonic: Duration, profile: Profile) -> bool {
        self.serves_until(profile).is_some_and(|until| monotonic <= until)
    }

    /// Until when it may if nobody sees it again; `None` before the first time.
    pub fn serves_until(&self, profile: Profile) -> Option<Duration> {
        self.shown.map(|shown| shown.saturating_add(profile.jwks_outlives_database()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_equals_what_is_read_again_of_it() {
        let counted = ServiceTime::ZERO.plus(Duration::from_nanos(30_000_000_999));

        assert_eq!(ServiceTime::from_micros(counted.as_micros()), counted);
    }

    #[test]
    fn a_node_signs_for_a_minute_after_it_last_heard_from_the_database() {
        let mut lease = SigningLease::default();
        assert!(!lease.holds_at(Duration::ZERO), "it has not heard from it yet");

        lease.confirm(Duration::from_secs(10));

        assert!(lease.holds_at(Duration::from_secs(70)));
        assert!(!lease.holds_at(Duration::from_secs(71)));
    }

    #[test]
    fn a_node_whose_clock_is_wrong_does_not_sign() {
        let mut lease = SigningLease::default();
        lease.confirm(Duration::ZERO);

        lease.compare(Duration::from_secs(61));
        assert!(!lease.holds_at(Duration::ZERO));

        lease.compare(Duration::from_secs(1));
        assert!(lease.holds_at(Duration::ZERO));
    }
    #[test]
    fn a_node_serves_its_keys_for_as_long_as_the_others_wait_for_it() {
        let mut lease = SigningLease::default();
        let outlives = Profile::Standard.jwks_outlives_database();
        lease.confirm(Duration::from_secs(10));
        assert!(!lease.may_serve_at(Duration::from_secs(10), Profile::Standard), "nobody knows of it yet");

        lease.show(Duration::from_secs(10));
        // It reads them once more, and nobody counts on it any more.
        lease.confirm(Duration::from_secs(30));

        assert!(lease.may_serve_at(Duration::from_secs(10) + outlives, Profile::Standard));
        assert!(!lease.may_serve_at(Duration::from_secs(11) + outlives, Profile::Standard));
    }
}
