//! Nodes that start, load, show that they live, are cut off, and are struck off by the others.

use std::time::Duration;

use signet::domain::key_ring::{Key, KeyState};

use super::database::{Name, Row, number};
use super::machine::Node;
use super::margin::Margin;
use super::record::{Answer, KeySet};
use super::world::{Event, World};

/// How often the jobs of a node look around.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A node whose count stood still for five looks, which no watcher takes at the same instant, is dead.
const STRUCK_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(2));
/// A machine whose database is away tries to start again and again.
const STARTS_WITHIN: Duration = Duration::from_secs(3);
/// How long loading may take when a machine has much to do.
const SLOW_LOAD: Duration = Duration::from_secs(4);

impl World<'_> {
    pub fn node(&self, machine: usize) -> Option<&Node> {
        self.machines[machine].node.as_ref()
    }

    fn node_mut(&mut self, machine: usize) -> Option<&mut Node> {
        self.machines[machine].node.as_mut()
    }

    /// Whether what runs there reaches the database.
    fn reaches(&self, machine: usize) -> bool {
        self.outages == 0 && self.machines[machine].cuts == 0 && self.node(machine).is_some()
    }

    /// Whether it can do all its work.
    pub fn works(&self, machine: usize) -> bool {
        self.reaches(machine) && self.machines[machine].deafness == 0
    }

    pub fn working(&self) -> Vec<usize> {
        (0..self.machines.len()).filter(|machine| self.works(*machine)).collect()
    }

    /// Writes down what a machine answers from now on.
    pub fn show(&mut self, machine: usize) {
        let answer = match self.node(machine) {
            Some(_) if self.machines[machine].hidings > 0 => Answer::Nothing,
            Some(node) if node.is_refusing => Answer::Refusal,
            Some(node) => Answer::Keys(node.set),
            None => Answer::Nothing,
        };
        self.record.note_answer(machine, self.now, answer);
    }

    pub fn start(&mut self, machine: usize) {
        if self.node(machine).is_some() {
            return;
        }
        let there = &self.machines[machine];
        if self.outages > 0 || there.cuts > 0 || there.deafness > 0 {
            self.machines[machine].waits_to_start = true;
            return;
        }
        self.catch_up();
        let (rate, phase) = (self.drift(), self.dice.within(LOOK_EVERY));
        let snapshot = self.database.snapshot().clone();
        let there = &mut self.machines[machine];
        there.starts += 1;
        there.waits_to_start = false;
        let name = (machine, there.starts);
        there.node = Some(Node::new(name, self.now, rate, phase, snapshot));
        self.database.rows.insert(name, Row { version: 0, is_beating: true, generation: 0 });
        self.look(machine);
        self.beat(name);
        self.reached(machine);
    }

    pub fn die(&mut self, machine: usize) {
        self.lose(machine);
        self.machines[machine].node = None;
        self.show(machine);
        self.plan_look();
    }

    /// The database is there for a node, for the first time or again.
    fn reached(&mut self, machine: usize) {
        let wakes_at = self.now + self.dice.within(LOOK_EVERY);
        let Some(node) = self.node_mut(machine) else { return };
        node.wakes_at = wakes_at;
        let name = node.name;
        self.soon(LOOK_EVERY, Event::Load(name));
        self.soon(LOOK_EVERY, Event::Beat(name));
        for request in std::mem::take(&mut self.waiting) {
            self.soon(LOOK_EVERY, Event::Ask(request));
        }
        // Whoever watches again counts looks again.
        self.database.rows.clone().into_iter().for_each(|(name, row)| self.plan_to_strike_off(name, row));
        self.plan_look();
    }

    /// A node does not reach the database any more, or is dead.
    fn lose(&mut self, machine: usize) {
        if !self.reaches(machine) {
            return;
        }
        self.catch_up();
        self.stop_loading(machine);
        self.stop_beating(machine);
    }

    fn stop_loading(&mut self, machine: usize) {
        let loaded_at = self.now.saturating_sub(self.dice.within(LOOK_EVERY));
        let is_loading = self.node_mut(machine).is_some_and(|node| std::mem::take(&mut node.is_loading));
        if is_loading {
            self.confirm(machine, loaded_at);
        }
        let Some(node) = self.node_mut(machine) else { return };
        node.wakes_at = Duration::MAX;
        // What it was handed before it was cut off is still to be signed.
        for within in [Duration::from_secs(30), Duration::from_mins(2)] {
            self.soon(within, Event::Sign(Some(machine)));
        }
        if !self.without.has(Margin::SigningLease) {
            let later = self.dice.between(Duration::from_mins(1), Duration::from_hours(240));
            self.after(later, Event::Sign(Some(machine)));
        }
    }

    fn stop_beating(&mut self, machine: usize) {
        let Some(name) = self.node(machine).map(|node| node.name) else { return };
        let Some(row) = self.database.rows.get_mut(&name) else { return };
        row.is_beating = false;
        let row = *row;
        self.plan_to_strike_off(name, row);
    }

    fn plan_to_strike_off(&mut self, name: Name, row: Row) {
        if !row.is_beating {
            let looks = STRUCK_OFF.0 + self.dice.within(STRUCK_OFF.1);
            self.after(looks, Event::StrikeOff(name, row.generation));
        }
    }

    pub fn strike_off(&mut self, name: Name, generation: u64) {
        let Some(row) = self.database.rows.get(&name).copied() else { return };
        if row.is_beating || row.generation != generation || self.working().is_empty() {
            return;
        }
        self.catch_up();
        self.database.rows.remove(&name);
        if self.without.has(Margin::LostNodes) {
            let watcher = self.dice.one_of(&self.working());
            self.mark(watcher);
            self.database.miss(row.version);
            self.tell_everybody();
        }
        self.plan_look();
    }

    /// Stops serving keys once it is not known any more whether they are good.
    pub fn end_jwks(&mut self, name: Name) {
        let (now, profile, ends) = (self.now, self.profile, self.without.has(Margin::JwksEnd));
        if self.is_seen(name) {
            return;
        }
        let Some(node) = self.node_mut(name.0).filter(|node| node.name == name && !node.is_refusing) else { return };
        if node.lease.may_serve_at(node.monotonic(now), profile) {
            self.expect_end_of_jwks(name.0);
        } else {
            node.is_refusing = ends;
            self.show(name.0);
        }
    }

    /// Whether it goes on showing the others what it loads.
    fn is_seen(&self, name: Name) -> bool {
        self.works(name.0) && self.database.rows.get(&name).is_some_and(|row| row.is_beating)
    }

    fn expect_end_of_jwks(&mut self, machine: usize) {
        let Some(node) = self.node(machine).filter(|node| !self.is_seen(node.name)) else { return };
        let until = node.lease.serves_until(self.profile).map(|until| node.when(until));
        let (until, name) = (until.unwrap_or_default().max(self.now), node.name);
        self.at(until + Duration::from_millis(1), Event::JwksEnd(name));
    }

    pub fn load_if_it_can(&mut self, name: Name) {
        if self.works(name.0) && self.node(name.0).is_some_and(|node| node.name == name) {
            self.load_and_report(name.0);
        }
    }

    /// Loads the keys as they are, and says so at once.
    pub fn load_and_report(&mut self, machine: usize) {
        let known = self.node(machine).map(|node| node.snapshot.version);
        self.load(machine);
        if known < Some(self.database.snapshot().version) {
            self.report(machine);
        }
    }

    /// Says which version it serves. That keeps nobody alive who is struck off.
    fn report(&mut self, machine: usize) {
        let Some(node) = self.machines[machine].node.as_mut() else { return };
        let version = node.snapshot.version;
        let (name, reported) = (node.name, node.reported.replace(version));
        self.database.rows.entry(name).and_modify(|row| row.version = version);
        if let Some(known) = reported.filter(|known| *known < version && self.without.has(Margin::LastReport)) {
            self.count_anew(machine, known);
        }
    }

    /// Loads the keys as they are.
    pub fn load(&mut self, machine: usize) {
        let snapshot = self.database.snapshot().clone();
        let revoked = snapshot.ring.keys().iter().filter(|key| matches!(key.state, KeyState::Revoked { .. }));
        let revoked: KeySet = revoked.fold(0, |set, key| set | 1 << number(&key.kid));
        let now = self.now;
        let knows_revocations = self.without.has(Margin::Revocations);
        let there = &mut self.machines[machine];
        there.witnessed |= revoked;
        if knows_revocations {
            there.revocations |= revoked;
        }
        let Some(node) = there.node.as_mut() else { return };
        node.set = snapshot.set & !there.revocations;
        node.snapshot = snapshot;
        node.is_loading = true;
        if node.set & there.witnessed != 0 {
            self.record.faults.push(format!("at {now:?} machine {machine} serves a key that it saw revoked"));
        }
        self.confirm(machine, now);
        self.show(machine);
    }

    /// What a node has loaded was true at an instant, and so was that the others counted on it, if they did.
    fn confirm(&mut self, machine: usize, asked_at: Duration) {
        let (now, profile, must_be_entered) = (self.now, self.profile, self.without.has(Margin::Registration));
        let Some(node) = self.machines[machine].node.as_mut() else { return };
        node.lease.confirm(node.monotonic(asked_at));
        if self.database.rows.contains_key(&node.name) || !must_be_entered {
            node.lease.show(node.monotonic(asked_at));
        }
        node.is_refusing &= !node.lease.may_serve_at(node.monotonic(now), profile);
    }

    /// Shows the others that it lives, and what it serves.
    pub fn beat(&mut self, name: Name) {
        let machine = name.0;
        if !self.reaches(machine) || self.node(machine).is_none_or(|node| node.name != name) {
            return;
        }
        let offset = self.machines[machine].offset();
        let Some(node) = self.machines[machine].node.as_mut() else { return };
        let version = node.snapshot.version;
        node.lease.compare(offset);
        let row = self.database.rows.entry(name).or_insert(Row { version, is_beating: false, generation: 0 });
        row.generation += u64::from(!row.is_beating);
        row.is_beating = true;
        self.report(machine);
        self.soon(LOOK_EVERY, Event::Load(name));
        self.plan_look();
    }

    /// Until now a node may have served no key of a newer version than the others knew.
    fn count_anew(&mut self, machine: usize, known: i64) {
        let announced = |key: &Key| key.state == KeyState::Pending && key.version > known;
        if self.database.ring().keys().iter().any(announced) {
            self.mark(machine);
            self.database.count_anew(known);
        }
    }

    /// Keys changed: everybody will notice.
    pub fn tell_everybody(&mut self) {
        for machine in self.working() {
            let Some(name) = self.node(machine).map(|node| node.name) else { continue };
            let slow = if self.dice.once_in(20) { SLOW_LOAD } else { Duration::ZERO };
            self.soon(LOOK_EVERY + slow, Event::Load(name));
        }
    }
}

/// Incidents that begin and end.
impl World<'_> {
    pub fn database_leaves(&mut self) {
        (0..self.machines.len()).for_each(|machine| self.lose(machine));
        self.outages += 1;
        (0..self.machines.len()).for_each(|machine| self.expect_end_of_jwks(machine));
        self.plan_look();
    }

    pub fn database_returns(&mut self) {
        self.outages -= 1;
        (0..self.machines.len()).for_each(|machine| self.reach(machine));
    }

    fn reach(&mut self, machine: usize) {
        if self.machines[machine].waits_to_start {
            self.soon(STARTS_WITHIN, Event::Start(machine));
        }
        if self.works(machine) {
            self.reached(machine);
        }
    }

    pub fn cut(&mut self, machine: usize) {
        self.lose(machine);
        self.machines[machine].cuts += 1;
        self.expect_end_of_jwks(machine);
        self.plan_look();
    }

    pub fn link(&mut self, machine: usize) {
        self.machines[machine].cuts -= 1;
        if self.machines[machine].cuts == 0 {
            self.reach(machine);
        }
    }

    pub fn deafen(&mut self, machine: usize) {
        if self.works(machine) {
            self.catch_up();
            self.stop_loading(machine);
        }
        self.machines[machine].deafness += 1;
        self.expect_end_of_jwks(machine);
        self.plan_look();
    }

    pub fn hear(&mut self, machine: usize) {
        self.machines[machine].deafness -= 1;
        self.reach(machine);
    }

    pub fn hide(&mut self, machine: usize) {
        self.machines[machine].hidings += 1;
        self.show(machine);
    }

    pub fn reveal(&mut self, machine: usize) {
        self.machines[machine].hidings -= 1;
        self.show(machine);
    }

    pub fn set_clock(&mut self, machine: usize, clock: i64) {
        self.machines[machine].clock = clock;
        if let Some(name) = self.node(machine).map(|node| node.name) {
            self.soon(LOOK_EVERY, Event::Beat(name));
        }
        self.plan_look();
    }

    /// Everybody is stopped, an old backup put in place, and everybody started again.
    pub fn restore(&mut self) {
        let Some(mut backup) = self.backup.clone() else { return };
        (0..self.machines.len()).for_each(|machine| self.die(machine));
        backup.keys_made = self.database.keys_made;
        backup.rows.values_mut().for_each(|row| row.is_beating = false);
        self.database = backup;
        // Of keys that a backup does not know nothing is promised.
        self.has_forgotten = true;
        let now = self.now;
        self.record.tokens.retain(|token| token.ends_at < now);
        (0..self.machines.len()).for_each(|machine| self.soon(STARTS_WITHIN, Event::Start(machine)));
    }
}
