//! Service time: the count in the database, and how nodes raise it.

use std::time::Duration;

use signet::domain::key_ring::{Profile, ServiceTime, Situation};

use super::margin::Margin;
use super::world::World;

/// By how much a marked instant lies after the count before it, at least.
const MARK: Duration = Duration::from_micros(1);

impl World<'_> {
    /// How long the count stands before it is raised.
    fn raised_every(&self) -> Duration {
        match self.profile {
            Profile::Standard => Duration::from_secs(30),
            Profile::Development => Duration::from_millis(500),
        }
    }

    /// What a node knows when it decides.
    pub fn situation(&self, machine: usize) -> Situation {
        let now = self.machines[machine].wall(self.now);
        let service_time = match self.without.has(Margin::ServiceTime) {
            true => self.database.count,
            false => ServiceTime::from_micros(u64::try_from(now.as_micros()).unwrap_or(0)),
        };
        let served_version = match self.without.has(Margin::Barrier) {
            true => self.database.served_version(),
            false => i64::MAX,
        };
        Situation { now, service_time, served_version }
    }

    /// Before a node writes an instant down: it ends what it and others measure, and begins anew.
    pub fn mark(&mut self, machine: usize) {
        if !self.without.has(Margin::Marks) {
            return;
        }
        let (count, at) = (self.database.count.plus(MARK), self.now);
        let Some(node) = self.machines[machine].node.as_mut() else { return };
        self.database.count = count;
        self.counted_at = at;
        node.seen = Some((count, node.monotonic(at)));
    }

    /// Lets the nodes' jobs have raised the count up to now. Where nothing else happens, many raises are one.
    pub fn catch_up(&mut self) {
        let every = self.raised_every();
        loop {
            let working = self.working().into_iter();
            let Some((due_at, machine)) = working.map(|machine| (self.raises_at(machine), machine)).min() else {
                return;
            };
            if due_at > self.now {
                return;
            }
            let last = self.now.saturating_sub(self.dice.within(every));
            let in_step = self.is_in_step(machine);
            self.measure_at(machine, if in_step { due_at.max(last) } else { due_at });
        }
    }

    fn is_in_step(&self, machine: usize) -> bool {
        let seen = self.node(machine).and_then(|node| node.seen);
        seen.is_some_and(|(seen, _)| seen == self.database.count || !self.without.has(Margin::OneCount))
    }

    /// When a node raises the count, or takes note of it.
    fn raises_at(&self, machine: usize) -> Duration {
        let Some(node) = self.node(machine) else { return Duration::MAX };
        let at = match node.seen {
            Some((_, since)) if self.is_in_step(machine) => node.when(since + self.raised_every()),
            _ => self.counted_at + node.phase,
        };
        at.max(node.wakes_at)
    }

    /// A node measures now.
    pub fn measure(&mut self, machine: usize) {
        self.measure_at(machine, self.now);
    }

    fn measure_at(&mut self, machine: usize, at: Duration) {
        let (every, count, in_step) = (self.raised_every(), self.database.count, self.is_in_step(machine));
        let Some(node) = self.machines[machine].node.as_mut() else { return };
        let until = node.monotonic(at);
        match node.seen {
            Some((_, since)) if in_step => {
                let measured = until.saturating_sub(since);
                // Where instants were computed back and forth, they lack a little.
                if measured + MARK >= every {
                    self.database.count = count.plus(measured);
                    self.counted_at = at;
                    node.seen = Some((self.database.count, until));
                }
            }
            _ => node.seen = Some((count, until)),
        }
    }
}
