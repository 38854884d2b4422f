//! The way from a receiver to the JWKS: a load balancer that picks a node, and perhaps an HTTP cache before it.

use std::time::Duration;

use signet::domain::key_ring::Profile;

use super::chance::Dice;
use super::record::{Answer, KeySet, Record};

/// How long an HTTP cache may serve a stale set while it gets no other (`stale-if-error`).
const STALE_IF_ERROR: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, Copy)]
pub struct Road {
    /// The machine that the load balancer prefers for this receiver, if it does.
    pub machine: Option<usize>,
    pub through_cache: bool,
    /// Whether the load balancer asks another machine when one refuses.
    pub tries_again: bool,
    pub profile: Profile,
}

impl Road {
    /// Any of the roads that lead to this many machines.
    pub fn any(machines: usize, profile: Profile, dice: &mut Dice) -> Self {
        let machine = dice.once_in(2).then(|| dice.below(machines));
        Self { machine, through_cache: dice.once_in(2), tries_again: !dice.once_in(3), profile }
    }

    /// Asks for the JWKS; `None` when no answer comes.
    pub fn ask(&self, record: &Record, at: Duration, dice: &mut Dice) -> Option<KeySet> {
        if !self.through_cache {
            return self.origin(record, at, dice);
        }
        let fresh = self.profile.jwks_max_age() + self.profile.jwks_stale_while_revalidate();
        let asked_at = at.saturating_sub(dice.within(fresh));
        let answer = self.origin(record, asked_at, dice).or_else(|| self.origin(record, at, dice));
        answer.or_else(|| {
            // Often as stale as it may be.
            let stale_for = if dice.once_in(2) { self.stale_for() } else { dice.within(self.stale_for()) };
            self.origin(record, at.saturating_sub(stale_for), dice)
        })
    }

    /// How old a set may be when it comes.
    pub fn stale_for(&self) -> Duration {
        match (self.through_cache, self.profile) {
            (false, _) => Duration::ZERO,
            (true, Profile::Standard) => Profile::Standard.jwks_max_age() + STALE_IF_ERROR,
            (true, Profile::Development) => Profile::Development.jwks_max_age(),
        }
    }

    fn origin(&self, record: &Record, at: Duration, dice: &mut Dice) -> Option<KeySet> {
        let count = record.machines.len();
        let first = self.machine.unwrap_or_else(|| dice.below(count));
        for step in 0..count {
            match record.answer((first + step) % count, at) {
                Answer::Keys(keys) => return Some(keys),
                Answer::Refusal if !self.tries_again => return None,
                Answer::Refusal | Answer::Nothing => {}
            }
        }
        None
    }
}
