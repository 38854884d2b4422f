//! Tokens: when they are signed, by whom, and what every node must serve then.

use std::time::Duration;

use signet::domain::key_ring::Profile;

use super::database::number;
use super::margin::Margin;
use super::nodes::LOOK_EVERY;
use super::record::{Answer, Token};
use super::world::{Event, World};

/// How long a signed delivery may be under way.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// A token is dated back by this much.
const BACKDATED: Duration = Duration::from_secs(5);
/// How slow a receiver's clock may be.
const SKEW: Duration = Duration::from_mins(5);
/// How long there is no token but at special moments.
const PAUSE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(48));
const PAUSE_IN_DEVELOPMENT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(4));

impl World<'_> {
    /// After a change, tokens show what has become of receivers.
    pub fn expect_tokens(&mut self) {
        let (moment, day) = (Duration::from_millis(10), Duration::from_hours(30));
        for longest in [Duration::from_secs(100), Duration::from_mins(20), day] {
            let span = self.dice.between(moment, longest);
            self.after(span, Event::Sign(None));
        }
    }

    /// One node signs a token, if it may; without a name, whichever of those that may.
    pub fn sign(&mut self, machine: Option<usize>) {
        let count = self.machines.len();
        let first = machine.unwrap_or_else(|| self.dice.below(count));
        let candidates = (first..first + if machine.is_some() { 1 } else { count }).map(|machine| machine % count);
        if let Some(signer) = candidates.into_iter().find(|machine| self.may_sign(*machine)) {
            self.sign_at(signer);
        }
    }

    pub fn go_on_signing(&mut self) {
        self.sign(None);
        let (shortest, longest) = match self.profile {
            Profile::Standard => PAUSE,
            Profile::Development => PAUSE_IN_DEVELOPMENT,
        };
        let pause = self.dice.between(shortest, longest);
        self.after(pause, Event::Traffic);
    }

    fn may_sign(&mut self, machine: usize) -> bool {
        let asked_at = self.now.saturating_sub(self.dice.within(LOOK_EVERY));
        let (now, is_leased) = (self.now, self.without.has(Margin::SigningLease));
        let Some(node) = self.machines[machine].node.as_mut() else { return false };
        if node.is_loading {
            node.lease.confirm(node.monotonic(asked_at));
        }
        node.lease.holds_at(node.monotonic(now)) || !is_leased
    }

    fn sign_at(&mut self, machine: usize) {
        let Some(node) = self.node(machine) else { return };
        let Some(active) = node.snapshot.ring.active() else { return };
        let key = number(&active.kid);
        if self.has_forgotten || node.set & (1 << key) == 0 {
            // After a restore nothing is promised but that no revoked key comes back.
            return;
        }
        let lives_for = Duration::from_secs(u64::from(node.snapshot.ttl.as_seconds()));
        let arrives_at = self.now + self.dice.within(DELIVERED_WITHIN);
        let ends_at = (self.now + lives_for + SKEW).saturating_sub(BACKDATED).max(arrives_at);
        let token = Token { key, signed_at: self.now, arrives_at, ends_at };
        self.record.tokens.push(token);
        let lacks = |answers: &Vec<(Duration, Answer)>| match answers.last() {
            Some((_, Answer::Keys(keys))) => keys & (1 << key) == 0,
            _ => false,
        };
        if !self.record.excuses(&token, self.now) && self.record.machines.iter().any(lacks) {
            let fault = format!("at {:?} a node serves a set without key {key}, which signs", self.now);
            self.record.faults.push(fault);
        }
    }
}
