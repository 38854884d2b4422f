//! Steps that rings take by themselves, and what operators ask for.

use std::time::Duration;

use signet::domain::key_ring::{CannotRotate, CutOver, KeyRing, KeyState, Kid, Profile, Situation, Step};
use signet::domain::token::Algorithm;

use super::database::number;
use super::life::{Request, Standing};
use super::margin::Margin;
use super::nodes::LOOK_EVERY;
use super::record::{Emergency, KeyLife};
use super::world::{Event, World};

/// How many steps a ring may take at one look.
const STEPS_MAX: usize = 20;
/// Clocks that measure how long a node was cut off are a little wrong.
const SLACK: Duration = Duration::from_mins(2);
/// Who waits for a date does not come at the very instant.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1_000));

impl World<'_> {
    /// When something is due next, some node will look.
    pub fn plan_look(&mut self) {
        self.plan_look_not_before(Duration::ZERO);
    }

    fn plan_look_not_before(&mut self, wait: Duration) {
        self.looks += 1;
        let snapshot = self.database.snapshot().clone();
        let due = |machine: usize| {
            let situation = self.situation(machine);
            let (at, _) = snapshot.ring.plan(&snapshot.policy, &situation, 1).pop()?;
            Some((at.since(situation.now), machine))
        };
        let Some((due, machine)) = self.working().into_iter().filter_map(due).min() else { return };
        let span = due.max(wait) + self.dice.within(LOOK_EVERY);
        self.after(span, Event::Look(machine, self.looks));
    }

    pub fn look_as_planned(&mut self, machine: usize, look: u64) {
        if look != self.looks {
            return;
        }
        let version = self.database.snapshot().version;
        if self.works(machine) {
            self.look(machine);
        }
        // What is due and cannot be done waits for another node, or for the count.
        if self.database.snapshot().version == version {
            let wait = self.dice.within(Duration::from_secs(10));
            self.plan_look_not_before(wait);
        }
    }

    /// What the rotate job does every second.
    pub fn look(&mut self, machine: usize) {
        self.load_and_report(machine);
        self.catch_up();
        self.measure(machine);
        self.revoke_again(machine);
        self.step(machine);
    }

    fn step(&mut self, machine: usize) {
        for _ in 0..STEPS_MAX {
            let snapshot = self.database.snapshot().clone();
            let situation = self.situation(machine);
            let Some(step) = snapshot.ring.next_step(&snapshot.policy, &situation) else { return };
            self.carry_out(machine, &step);
        }
        self.record.faults.push("a ring takes steps without end".to_owned());
    }

    fn carry_out(&mut self, machine: usize, step: &Step) {
        self.mark(machine);
        let situation = self.situation(machine);
        self.database.carry_out(step, &situation);
        self.record.promotions += u32::from(matches!(step, Step::Promote { .. }));
        self.committed(machine);
    }

    /// Keys were changed by this node.
    fn committed(&mut self, machine: usize) {
        self.load_and_report(machine);
        let ring = self.database.ring();
        let active = ring.keys().iter().filter(|key| matches!(key.state, KeyState::Active { .. })).count();
        // Only between a revocation that finds no standby and the next instant.
        let is_opening = active == 0 && ring.standby().is_none();
        if active != 1 && !is_opening {
            self.record.faults.push(format!("{active} keys are active"));
        }
        for key in ring.keys() {
            let (publication, published_at) = (key.publication, self.now);
            let made = KeyLife { publication, published_at, revoked_at: None };
            let life = self.record.keys.entry(number(&key.kid)).or_insert(made);
            if matches!(key.state, KeyState::Revoked { .. }) {
                life.revoked_at.get_or_insert(self.now);
            }
        }
        self.record.published_max = self.record.published_max.max(self.database.snapshot().set.count_ones());
        self.tell_everybody();
        self.plan_look();
        self.expect_tokens();
    }

    /// An operator asks whichever node answers.
    pub fn ask(&mut self, request: Request) {
        let working = self.working();
        if working.is_empty() {
            self.waiting.push(request);
            return;
        }
        let machine = self.dice.one_of(&working);
        self.catch_up();
        match request {
            Request::Rotate | Request::RotateOnceSafe => self.rotate(machine, request),
            Request::CutOver(algorithm) => self.plan_cut_over(machine, algorithm),
            Request::CallOff => {
                let ring = self.database.ring();
                let ring = KeyRing::new(ring.keys().to_vec(), ring.algorithm(), None);
                self.database.commit(ring);
                self.committed(machine);
            }
            Request::Revoke(standing) => self.revoke_one(machine, standing),
            Request::Policy(policy) => {
                let snapshot = self.database.snapshot().clone();
                let policy = if self.profile == Profile::Standard { policy } else { snapshot.policy };
                self.database.commit_terms(snapshot.ring.clone(), self.without.policy(policy), snapshot.ttl);
                self.committed(machine);
            }
            Request::Ttl(ttl) => {
                let snapshot = self.database.snapshot().clone();
                self.database.commit_terms(snapshot.ring.clone(), snapshot.policy, ttl);
                self.committed(machine);
            }
        }
        self.step(machine);
    }

    fn rotate(&mut self, machine: usize, request: Request) {
        self.measure(machine);
        let snapshot = self.database.snapshot().clone();
        let situation = self.situation(machine);
        let again = match snapshot.ring.rotate_now(&snapshot.policy, &situation) {
            Ok(step) => return self.carry_out(machine, &step),
            Err(CannotRotate::TooSoon { safe_at }) => safe_at.since(situation.now),
            Err(CannotRotate::NoStandby | CannotRotate::NotEverywhere) => 2 * LOOK_EVERY,
        };
        if matches!(request, Request::RotateOnceSafe) {
            let patience = self.dice.between(PATIENCE.0, PATIENCE.1);
            self.after(again + patience, Event::Ask(request));
        }
    }

    fn plan_cut_over(&mut self, machine: usize, algorithm: Algorithm) {
        self.measure(machine);
        let snapshot = self.database.snapshot().clone();
        let (ring, situation) = (&snapshot.ring, self.situation(machine));
        let planned = ring.plan_cut_over(&snapshot.policy, &situation, algorithm, None);
        if let Ok(CutOver { algorithm, at }) = planned {
            let ring = KeyRing::new(ring.keys().to_vec(), ring.algorithm(), Some(CutOver { algorithm, at }));
            self.database.commit(ring);
            self.committed(machine);
        }
    }

    fn revoke_one(&mut self, machine: usize, standing: Standing) {
        let ring = self.database.ring();
        let retiring = |state| matches!(state, KeyState::Retiring { .. });
        let key = match standing {
            Standing::Active => ring.active(),
            Standing::Standby => ring.standby(),
            Standing::Retiring => ring.keys().iter().find(|key| retiring(key.state)),
        };
        if let Some(kid) = key.map(|key| key.kid.clone()) {
            self.revoke(machine, &kid);
        }
    }

    fn revoke(&mut self, machine: usize, kid: &Kid) {
        let snapshot = self.database.snapshot().clone();
        let before = self.situation(machine);
        let Ok(successor) = snapshot.ring.revoke(kid) else { return };
        self.declare_emergency(&snapshot.ring, kid, successor.as_ref(), &before);
        self.machines[machine].witnessed |= 1 << number(kid);
        if self.without.has(Margin::Revocations) {
            self.machines[machine].revocations |= 1 << number(kid);
        }
        self.mark(machine);
        let situation = self.situation(machine);
        self.database.revoke(kid, successor.as_ref(), &situation);
        self.committed(machine);
    }

    /// A key that must sign before it is safe may be unknown for a while, and nobody can help it.
    fn declare_emergency(&mut self, ring: &KeyRing, kid: &Kid, successor: Option<&Kid>, situation: &Situation) {
        let policy = self.database.snapshot().policy;
        let was_active = ring.active().is_some_and(|active| active.kid == *kid);
        let is_safe = successor.is_some() && ring.rotate_now(&policy, situation).is_ok();
        if !was_active || is_safe {
            return;
        }
        let successor = successor.and_then(|kid| ring.find(kid));
        let publication = successor.map_or(ring.next_publication(), |key| key.publication);
        // Whoever is cut off goes on without it for as long as it may.
        let served_from = self.now + self.profile.jwks_outlives_database() + SLACK;
        self.record.emergencies.push(Emergency { publication, from: self.now, served_from });
    }

    /// Revokes what a backup brought back.
    fn revoke_again(&mut self, machine: usize) {
        let snapshot = self.database.snapshot().clone();
        let revoked = self.machines[machine].revocations & snapshot.set;
        let kids = snapshot.ring.keys().iter().map(|key| &key.kid).filter(|kid| revoked & (1 << number(kid)) != 0);
        for kid in kids {
            self.record.resurrected += 1;
            self.revoke(machine, kid);
        }
    }
}
