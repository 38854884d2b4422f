//! What the nodes share: the ring, who is there, and the count of service time.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use signet::domain::key_ring::{
    Key, KeyPolicy, KeyRing, KeyState, Kid, Margins, Profile, ServiceTime, Situation, Step,
};
use signet::domain::token::{Algorithm, TokenTtl};

use super::record::KeySet;

/// How many keys may be announced before a revocation announces no other.
const PENDING_MAX: usize = 2;

/// A node's name: the machine, and how often something was started there.
pub type Name = (usize, u32);

/// A node as the others see it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The version of the keys that it serves.
    pub version: i64,
    /// Whether its count moves.
    pub is_beating: bool,
    /// How often it began to.
    pub generation: u64,
}

/// The tenant's keys as a node loads them.
#[derive(Debug)]
pub struct Snapshot {
    pub version: i64,
    pub ring: KeyRing,
    pub policy: KeyPolicy,
    pub ttl: TokenTtl,
    /// What the JWKS lists.
    pub set: KeySet,
}

#[derive(Debug, Clone)]
pub struct Database {
    snapshot: Rc<Snapshot>,
    pub count: ServiceTime,
    pub node_lost: Option<ServiceTime>,
    pub rows: BTreeMap<Name, Row>,
    /// How many keys were ever made, also by a database that was replaced by an older one.
    pub keys_made: u32,
}

pub fn number(kid: &Kid) -> u32 {
    kid.as_str().parse().unwrap()
}

fn bit(key: &Key) -> KeySet {
    1 << number(&key.kid)
}

impl Database {
    pub fn new(policy: KeyPolicy) -> Self {
        let ring = KeyRing::new(Vec::new(), Algorithm::Es256, None);
        let snapshot = Snapshot { version: 0, ring, policy, ttl: TokenTtl::STANDARD, set: 0 };
        Self {
            snapshot: Rc::new(snapshot),
            count: ServiceTime::ZERO,
            node_lost: None,
            rows: BTreeMap::new(),
            keys_made: 0,
        }
    }

    pub fn snapshot(&self) -> &Rc<Snapshot> {
        &self.snapshot
    }

    pub fn ring(&self) -> &KeyRing {
        &self.snapshot.ring
    }

    /// Commits a change to the ring or to what goes with it.
    pub fn commit(&mut self, ring: KeyRing) {
        let Snapshot { version, policy, ttl, .. } = *self.snapshot;
        self.snapshot = Rc::new(snapshot(version + 1, ring, policy, ttl));
    }

    pub fn commit_terms(&mut self, ring: KeyRing, policy: KeyPolicy, ttl: TokenTtl) {
        self.snapshot = Rc::new(snapshot(self.snapshot.version + 1, ring, policy, ttl));
    }

    /// Takes a step.
    pub fn carry_out(&mut self, step: &Step, situation: &Situation) {
        let ring = self.ring();
        let at_once = KeyState::Active { activated_at: situation.now };
        let wanted = match step {
            Step::Open => vec![(ring.algorithm(), at_once), (ring.algorithm(), KeyState::Pending)],
            Step::Publish { algorithm } => vec![(*algorithm, KeyState::Pending)],
            Step::Promote { .. } | Step::Withdraw { .. } | Step::Archive { .. } => Vec::new(),
        };
        let publication = ring.next_publication();
        let made: Vec<Key> = (self.keys_made..)
            .zip(wanted)
            .map(|(number, (algorithm, state))| Key {
                kid: Kid::from_text(number.to_string()),
                algorithm,
                publication,
                published_at: situation.now,
                version: self.snapshot.version + 1,
                since: situation.service_time,
                missed_at: self.node_lost,
                state,
            })
            .collect();
        let ring = ring.after(step, situation, &made);
        self.keys_made += u32::try_from(made.len()).unwrap();
        self.commit(ring);
    }

    /// Takes a key back, lets another sign in its stead, and publishes one that nobody can know.
    pub fn revoke(&mut self, kid: &Kid, successor: Option<&Kid>, situation: &Situation) {
        let ring = self.ring().after_revocation(kid, successor, situation);
        let mut keys = ring.keys().to_vec();
        for key in keys.iter_mut().filter(|key| key.kid == *kid || Some(&key.kid) == successor) {
            key.since = situation.service_time;
        }
        let pending = keys.iter().filter(|key| key.state == KeyState::Pending).count();
        let algorithm = ring.algorithm();
        self.commit(KeyRing::new(keys, algorithm, ring.cut_over()));
        if pending <= PENDING_MAX {
            self.carry_out(&Step::Publish { algorithm }, situation);
        }
    }

    /// A node was lost that may go on serving a set without the keys that it did not know.
    pub fn miss(&mut self, version: i64) {
        let lost_at = self.count;
        let is_missed = |key: &Key| key.state == KeyState::Pending && key.version > version;
        self.node_lost = Some(lost_at);
        if self.ring().keys().iter().any(is_missed) {
            let ring = self.changed(|key| {
                if is_missed(key) {
                    key.missed_at = Some(lost_at);
                }
            });
            self.commit(ring);
        }
    }

    /// A node served only this version of the keys until now: those that it did not know count as published from here.
    pub fn count_anew(&mut self, version: i64) {
        let now = self.count;
        self.note(|key| {
            if key.state == KeyState::Pending && key.version > version {
                key.since = now;
            }
        });
    }

    /// Changes keys in ways that no node has to load.
    fn note(&mut self, change: impl Fn(&mut Key)) {
        let ring = self.changed(change);
        let Snapshot { version, policy, ttl, .. } = *self.snapshot;
        self.snapshot = Rc::new(snapshot(version, ring, policy, ttl));
    }

    fn changed(&self, change: impl Fn(&mut Key)) -> KeyRing {
        let ring = self.ring();
        let mut keys = ring.keys().to_vec();
        keys.iter_mut().for_each(change);
        KeyRing::new(keys, ring.algorithm(), ring.cut_over())
    }

    /// The newest version that every node serves.
    pub fn served_version(&self) -> i64 {
        self.rows.values().map(|row| row.version).min().unwrap_or(i64::MAX)
    }
}

fn snapshot(version: i64, ring: KeyRing, policy: KeyPolicy, ttl: TokenTtl) -> Snapshot {
    let set = ring.published().into_iter().map(bit).fold(0, |set, key| set | key);
    Snapshot { version, ring, policy, ttl, set }
}

/// The margins of a development installation.
pub fn development() -> KeyPolicy {
    let (period, publish_ahead) = (Duration::from_secs(4), Duration::from_secs(2));
    let margins = Margins { period, publish_ahead, grace: Duration::from_mins(1) };
    KeyPolicy::new(Profile::Development, margins).unwrap()
}
