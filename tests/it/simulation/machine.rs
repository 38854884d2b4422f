//! A machine and what runs on it: clocks, the keys it has loaded, and its leave to sign with them.

use std::rc::Rc;
use std::time::Duration;

use signet::domain::key_ring::{ServiceTime, SigningLease};
use signet::domain::time::Timestamp;

use super::database::{Name, Snapshot};
use super::record::KeySet;

/// When every life begins, by a clock that is right.
const BEGINNING: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// What stays when what runs there dies.
#[derive(Debug, Default)]
pub struct Machine {
    pub node: Option<Node>,
    /// How often something was started there.
    pub starts: u32,
    pub waits_to_start: bool,
    /// By how many seconds its clock is wrong.
    pub clock: i64,
    /// Incidents of each kind that last.
    pub cuts: u32,
    pub deafness: u32,
    pub hidings: u32,
    /// Keys that the file apart from the database says are revoked.
    pub revocations: KeySet,
    /// Keys that what runs there, or ran, has seen revoked.
    pub witnessed: KeySet,
}

#[derive(Debug)]
pub struct Node {
    pub name: Name,
    started_at: Duration,
    /// How fast its monotonic clock goes.
    rate: f64,
    /// When within each second its jobs look around.
    pub phase: Duration,
    pub snapshot: Rc<Snapshot>,
    /// What it serves: what it has loaded, without what it knows to be revoked.
    pub set: KeySet,
    pub lease: SigningLease,
    /// Which version the others know that it serves.
    pub reported: Option<i64>,
    /// Whether it loads every second, since it reaches the database.
    pub is_loading: bool,
    pub is_refusing: bool,
    /// The count as it saw it last, and since when by its monotonic clock.
    pub seen: Option<(ServiceTime, Duration)>,
    /// When its jobs go on, after it reached the database again.
    pub wakes_at: Duration,
}

impl Node {
    pub fn new(name: Name, at: Duration, rate: f64, phase: Duration, snapshot: Rc<Snapshot>) -> Self {
        Self {
            name,
            started_at: at,
            rate,
            phase,
            snapshot,
            set: 0,
            lease: SigningLease::default(),
            reported: None,
            is_loading: false,
            is_refusing: false,
            seen: None,
            wakes_at: at,
        }
    }

    /// What its monotonic clock shows.
    pub fn monotonic(&self, at: Duration) -> Duration {
        at.saturating_sub(self.started_at).mul_f64(self.rate)
    }

    /// When its monotonic clock shows this.
    pub fn when(&self, monotonic: Duration) -> Duration {
        self.started_at + monotonic.div_f64(self.rate)
    }
}

impl Machine {
    /// What its clock shows.
    pub fn wall(&self, at: Duration) -> Timestamp {
        let right = BEGINNING.plus(at);
        let wrong = Duration::from_secs(self.clock.unsigned_abs());
        if self.clock < 0 { right.minus(wrong) } else { right.plus(wrong) }
    }

    /// How far its clock is from the database's, which is right.
    pub fn offset(&self) -> Duration {
        Duration::from_secs(self.clock.unsigned_abs())
    }
}
