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
pub struct Clock {
    ticks: Ticks,
    backlog: Arc<Backlog>,
    /// Deliveries of each event.
    fan_out: u64,
}

enum Ticks {
    Closed { until: Instant },
    Open { due: Mutex<Due> },
}

type Due = mpsc::UnboundedReceiver<Instant>;

/// Deliveries of events posted and not yet answered, and those accepted and not yet arrived. A closed loop pauses when there are too many: it would otherwise pile up
/// work for longer than the bench waits for, and what is measured would be the length of the run.
pub struct Backlog {
    arrived: Arc<AtomicU64>,
    unanswered: AtomicU64,
    accepted: AtomicU64,
    deliveries_max: u64,
    held_us: AtomicU64,
}

impl Backlog {
    pub fn new(arrived: Arc<AtomicU64>, deliveries_max: u64) -> Self {
        let accepted = AtomicU64::new(arrived.load(Ordering::Relaxed));
        Self { arrived, unanswered: AtomicU64::new(0), accepted, deliveries_max, held_us: AtomicU64::new(0) }
    }

    /// Deliveries that have not arrived. Whether their events were answered does not matter: a delivery may well arrive
    /// before the answer does.
    pub fn in_flight(&self) -> u64 {
        let posted = self.unanswered.load(Ordering::Relaxed) + self.accepted.load(Ordering::Relaxed);
        posted.saturating_sub(self.arrived.load(Ordering::Relaxed))
    }

    fn is_full(&self) -> bool {
        self.in_flight() >= self.deliveries_max
    }

    /// When there was room; nothing when there was none in time.
    async fn wait_for_room(&self, until: Instant) -> Option<Instant> {
        let asked_at = Instant::now();
        let mut now = asked_at;
        while now < until && self.is_full() {
            tokio::time::sleep(HELD_FOR).await;
            now = Instant::now();
        }
        let held_us = u64::try_from((now - asked_at).as_micros()).unwrap_or(u64::MAX);
        self.held_us.fetch_add(held_us, Ordering::Relaxed);
        (now < until).then_some(now)
    }
}

impl Clock {
    pub fn start(pace: &Pace, run_for: Duration, backlog: Arc<Backlog>, fan_out: u64) -> Self {
        let ticks = match *pace {
            Pace::Closed => Ticks::Closed { until: Instant::now() + run_for },
            Pace::Open { per_second } => Ticks::Open { due: Mutex::new(schedule(per_second, run_for)) },
        };
        Self { ticks, backlog, fan_out }
    }

    /// The instant that the next event's latency counts from; nothing when no more is to be sent. Whoever got one says
    /// how it was answered.
    pub async fn next(&self) -> Option<Instant> {
        let tick = match &self.ticks {
            Ticks::Open { due } => due.lock().await.recv().await,
            Ticks::Closed { until } => self.backlog.wait_for_room(*until).await,
        };
        if tick.is_some() {
            self.backlog.unanswered.fetch_add(self.fan_out, Ordering::Relaxed);
        }
        tick
    }

    /// An accepted event's deliveries are to arrive.
    pub fn accepted(&self) {
        self.backlog.accepted.fetch_add(self.fan_out, Ordering::Relaxed);
        self.backlog.unanswered.fetch_sub(self.fan_out, Ordering::Relaxed);
    }

    /// Those of a refused event, or of one that was not answered, are not waited for.
    pub fn refused(&self) {
        self.backlog.unanswered.fetch_sub(self.fan_out, Ordering::Relaxed);
    }

    /// Time for which a full backlog held connections back, added up over all of them.
    pub fn held_for(&self) -> Duration {
        Duration::from_micros(self.backlog.held_us.load(Ordering::Relaxed))
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
