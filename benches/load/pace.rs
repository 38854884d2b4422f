//! When the next event is sent. In a closed loop: as soon as a connection is free. In an open loop: at instants fixed
//! beforehand, and latency counts from those, so that a server that stalls cannot hide it by slowing the sender down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

/// How often a sender that is held back looks again.
const HELD_FOR: Duration = Duration::from_millis(1);

/// What a scenario asks for.
#[derive(Clone)]
pub enum Pace {
    Closed,
    Open { per_second: u32 },
}

/// The same once it runs; shared by all connections.
pub enum Clock {
    Closed { until: Instant, backlog: Backlog },
    Open { due: Mutex<Due> },
}

type Due = mpsc::UnboundedReceiver<Instant>;

/// Deliveries accepted and not yet arrived. A closed loop pauses when there are too many: it would otherwise pile up
/// work for longer than the bench waits for, and what is measured would be the length of the run.
pub struct Backlog {
    arrived: Arc<AtomicU64>,
    accepted: AtomicU64,
    deliveries_max: u64,
    held_us: AtomicU64,
}

impl Backlog {
    pub fn new(arrived: Arc<AtomicU64>, deliveries_max: u64) -> Self {
        let accepted = AtomicU64::new(arrived.load(Ordering::Relaxed));
        Self { arrived, accepted, deliveries_max, held_us: AtomicU64::new(0) }
    }

    fn is_full(&self) -> bool {
        let accepted = self.accepted.load(Ordering::Relaxed);
        let arrived = self.arrived.load(Ordering::Relaxed);
        accepted.saturating_sub(arrived) >= self.deliveries_max
    }
}

impl Clock {
    pub fn start(pace: &Pace, run_for: Duration, backlog: Backlog) -> Self {
        match *pace {
            Pace::Closed => Self::Closed { until: Instant::now() + run_for, backlog },
            Pace::Open { per_second } => Self::Open { due: Mutex::new(schedule(per_second, run_for)) },
        }
    }

    /// The instant that the next event's latency counts from; nothing when no more is to be sent.
    pub async fn next(&self) -> Option<Instant> {
        let (until, backlog) = match self {
            Self::Open { due } => return due.lock().await.recv().await,
            Self::Closed { until, backlog } => (*until, backlog),
        };
        let asked_at = Instant::now();
        let mut now = asked_at;
        while now < until && backlog.is_full() {
            tokio::time::sleep(HELD_FOR).await;
            now = Instant::now();
        }
        let held_us = u64::try_from((now - asked_at).as_micros()).unwrap_or(u64::MAX);
        backlog.held_us.fetch_add(held_us, Ordering::Relaxed);
        (now < until).then_some(now)
    }

    /// An accepted event adds this many deliveries to the backlog.
    pub fn accepted(&self, deliveries: u64) {
        if let Self::Closed { backlog, .. } = self {
            backlog.accepted.fetch_add(deliveries, Ordering::Relaxed);
        }
    }

    /// Time for which a full backlog held connections back, added up over all of them.
    pub fn held_for(&self) -> Duration {
        match self {
            Self::Closed { backlog, .. } => Duration::from_micros(backlog.held_us.load(Ordering::Relaxed)),
            Self::Open { .. } => Duration::ZERO,
        }
    }
}

/// A thread of its own, because the runtime's timer counts whole milliseconds and the latencies are not much longer.
fn schedule(per_second: u32, run_for: Duration) -> Due {
    let (tick, due) = mpsc::unbounded_channel();
    let period = Duration::from_secs(1) / per_second;
    std::thread::spawn(move || {
        let started_at = Instant::now();
        let mut since_start = Duration::ZERO;
        while since_start < run_for {
            let due_at = started_at + since_start;
            std::thread::sleep(due_at.saturating_duration_since(Instant::now()));
            if tick.send(due_at).is_err() {
                return;
            }
            since_start += period;
        }
    });
    due
}
