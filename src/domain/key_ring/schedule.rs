//! When the steps of a ring may be taken, and which comes next.

use std::cmp::Reverse;
use std::time::Duration;

use super::{
    CUT_OVER_WITHIN, CannotCutOver, CannotRotate, CutOver, Key, KeyPolicy, KeyRing, KeyState, Kid, ServiceTime,
    Situation, Step,
};
use crate::domain::time::Timestamp;
use crate::domain::token::Algorithm;

/// What must have come before a step may be taken.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Timestamp,
    /// Or this, if it comes first: a calendar that was wrong once does not stop rotation.
    or_at: Option<ServiceTime>,
    service_time: ServiceTime,
    /// What every node must serve.
    version: i64,
}

impl Due {
    const AT_ONCE: Self =
        Self { at: Timestamp::from_micros(0), or_at: None, service_time: ServiceTime::ZERO, version: i64::MIN };

    fn has_come(&self, situation: &Situation) -> bool {
        let is_time = self.at <= situation.now || self.or_at.is_some_and(|at| at <= situation.service_time);
        is_time && self.is_safe(situation) && self.version <= situation.served_version
    }

    fn is_safe(&self, situation: &Situation) -> bool {
        self.service_time <= situation.service_time
    }

    /// When it will have come if nothing stands still. Nodes load keys within seconds, which no date shows.
    fn expected_at(&self, situation: &Situation) -> Timestamp {
        let wait = whole_seconds(self.service_time.since(situation.service_time));
        let or_at = self.or_at.map(|at| situation.now.plus(whole_seconds(at.since(situation.service_time))));
        let at = or_at.map_or(self.at, |or_at| self.at.min(or_at));
        if wait.is_zero() { at } else { at.max(situation.now.plus(wait)) }
    }
}

/// Nobody waits for parts of a second; rounded up.
fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs() + u64::from(span.subsec_nanos() > 0))
}

impl KeyRing {
    /// What must have come before no well-behaved receiver can lack an announced key.
    fn safe(&self, key: &Key, policy: &KeyPolicy) -> Due {
        // Whoever can check the active key, or nothing at all, fetches a set in which the other already stands.
        let is_known = self.active().is_none_or(|active| key.publication <= active.publication);
        let service_time = if is_known {
            ServiceTime::ZERO
        } else {
            let served_without = key.missed_at.map(|at| at.plus(policy.profile().jwks_outlives_database()));
            served_without.unwrap_or(key.since).max(key.since).plus(policy.waits_for())
        };
        Due { service_time, version: key.version, ..Due::AT_ONCE }
    }

    /// Everything that may happen next, each with what must have come before. Of several that are due, the first.
    fn upcoming(&self, policy: &KeyPolicy) -> Vec<(Due, Step)> {
        let Some(active) = self.active() else {
            let step = match self.standby() {
                Some(standby) => Step::Promote { kid: standby.kid.clone(), demoted: None },
                None => Step::Open,
            };
            return vec![(Due::AT_ONCE, step)];
        };
        let mut upcoming = Vec::new();
        let promote = |key: &Key| Step::Promote { kid: key.kid.clone(), demoted: Some(active.kid.clone()) };
        let publish = |algorithm| (Due::AT_ONCE, Step::Publish { algorithm });
        if let Some(cut_over) = self.cut_over {
            upcoming.push(match self.pending_of(cut_over.algorithm) {
                Some(key) => (Due { at: cut_over.at, ..self.safe(key, policy) }, promote(key)),
                None => publish(cut_over.algorithm),
            });
        }
        upcoming.push(match (self.standby(), active.state) {
            (Some(standby), KeyState::Active { activated_at }) => {
                let at = activated_at.plus(policy.margins().period);
                let or_at = Some(active.since.plus(policy.margins().period));
                (Due { at, or_at, ..self.safe(standby, policy) }, promote(standby))
            }
            _ => publish(self.algorithm),
        });
        upcoming.extend(self.purposeless().map(|key| (Due::AT_ONCE, Step::Withdraw { kid: key.kid.clone() })));
        upcoming.extend(self.archivals(policy));
        upcoming
    }

    /// When retired keys may leave.
    fn archivals(&self, policy: &KeyPolicy) -> impl Iterator<Item = (Due, Step)> {
        let mut retired: Vec<&Key> =
            self.keys().iter().filter(|key| matches!(key.state, KeyState::Retiring { .. })).collect();
        retired.sort_by_key(|key| Reverse((key.since, key.publication)));
        let (grace, least) = (policy.margins().grace, policy.profile().grace_min());
        let kept = policy.profile().retired_max();
        retired.into_iter().enumerate().map(move |(newer, key)| {
            let service_time = key.since.plus(if newer < kept { grace } else { least });
            (Due { service_time, ..Due::AT_ONCE }, Step::Archive { kid: key.kid.clone() })
        })
    }

    /// What is to be done now, if anything.
    pub fn next_step(&self, policy: &KeyPolicy, situation: &Situation) -> Option<Step> {
        self.upcoming(policy).into_iter().find(|(due, _)| due.has_come(situation)).map(|(_, step)| step)
    }

    /// The step that a rotation on request takes, unless receivers would be hurt by it.
    pub fn rotate_now(&self, policy: &KeyPolicy, situation: &Situation) -> Result<Step, CannotRotate> {
        let standby = self.standby().ok_or(CannotRotate::NoStandby)?;
        let safe = self.safe(standby, policy);
        if !safe.is_safe(situation) {
            return Err(CannotRotate::TooSoon { safe_at: safe.expected_at(situation) });
        }
        if !safe.has_come(situation) {
            return Err(CannotRotate::NotEverywhere);
        }
        self.force_rotation()
    }

    /// The same, whoever is hurt.
    pub fn force_rotation(&self) -> Result<Step, CannotRotate> {
        let standby = self.standby().ok_or(CannotRotate::NoStandby)?;
        Ok(Step::Promote { kid: standby.kid.clone(), demoted: self.active().map(|active| active.kid.clone()) })
    }

    /// A change of algorithm at a date, or as soon as no receiver is hurt by it.
    pub fn plan_cut_over(
        &self,
        policy: &KeyPolicy,
        situation: &Situation,
        algorithm: Algorithm,
        at: Option<Timestamp>,
    ) -> Result<CutOver, CannotCutOver> {
        if algorithm == self.algorithm {
            return Err(CannotCutOver::Same(algorithm));
        }
        // Its first key is published within moments, unless one is already.
        let earliest = match self.pending_of(algorithm) {
            Some(key) => self.safe(key, policy).expected_at(situation).max(situation.now),
            None => situation.now.plus(policy.waits_for()),
        };
        let at = at.unwrap_or(earliest);
        if at < earliest {
            return Err(CannotCutOver::TooSoon { algorithm, at, earliest });
        }
        if at > situation.now.plus(CUT_OVER_WITHIN) {
            return Err(CannotCutOver::TooLate { at });
        }
        Ok(CutOver { algorithm, at })
    }

    /// The announced key that will sign next: the standby, or the first one of the next algorithm.
    pub fn next_to_sign(&self, policy: &KeyPolicy, situation: &Situation) -> Option<&Key> {
        let promotions = self.upcoming(policy).into_iter().filter_map(|(due, step)| match step {
            Step::Promote { kid, .. } => Some((due.expected_at(situation), kid)),
            _ => None,
        });
        promotions.min_by_key(|(at, _)| *at).and_then(|(_, kid)| self.find(&kid))
    }

    /// What will happen by itself, soonest first, `entries_max` steps far. Kids that do not exist yet are made up.
    pub fn plan(&self, policy: &KeyPolicy, situation: &Situation, entries_max: usize) -> Vec<(Timestamp, Step)> {
        let mut ring = self.clone();
        let mut then = *situation;
        let mut entries = Vec::new();
        while entries.len() < entries_max {
            let upcoming = ring.upcoming(policy).into_iter();
            let Some((due, step)) = upcoming.min_by_key(|(due, _)| due.expected_at(&then)) else { break };
            let at = then.now.max(due.expected_at(&then));
            then.service_time = then.service_time.plus(at.since(then.now));
            then.now = at;
            let created = ring.made_up_keys(&step, &then, entries.len());
            ring = ring.after(&step, &then, &created);
            entries.push((at, step));
        }
        entries
    }

    pub(super) fn made_up_keys(&self, step: &Step, situation: &Situation, number: usize) -> Vec<Key> {
        let key = |name: &str, algorithm, state| Key {
            kid: Kid::from_text(format!("(to be made, {name} {number})")),
            algorithm,
            publication: self.next_publication(),
            published_at: situation.now,
            version: situation.served_version,
            since: situation.service_time,
            missed_at: None,
            state,
        };
        let at_once = KeyState::Active { activated_at: situation.now };
        match step {
            Step::Open => {
                vec![key("first", self.algorithm, at_once), key("standby", self.algorithm, KeyState::Pending)]
            }
            Step::Publish { algorithm } => vec![key("standby", *algorithm, KeyState::Pending)],
            Step::Promote { .. } | Step::Withdraw { .. } | Step::Archive { .. } => Vec::new(),
        }
    }
}
