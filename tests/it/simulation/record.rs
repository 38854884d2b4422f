//! What was served when, and what was signed: all that receivers ever see of a life.

use std::collections::BTreeMap;
use std::time::Duration;

/// Keys by their numbers, one bit each.
pub type KeySet = u128;

/// How many keys a life may see.
pub const KEYS_MAX: u32 = KeySet::BITS;

/// What a machine answers when it is asked for the JWKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is dead or cannot be reached; a load balancer asks another.
    Nothing,
    /// 503: what it knows may be too old.
    Refusal,
    Keys(KeySet),
}

/// A token on its way to every receiver.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    pub key: u32,
    pub signed_at: Duration,
    pub arrives_at: Duration,
    /// When the last receiver calls it expired, whose clock is slow.
    pub ends_at: Duration,
}

/// What became of a key.
#[derive(Debug, Clone, Copy)]
pub struct KeyLife {
    pub publication: u32,
    pub published_at: Duration,
    pub revoked_at: Option<Duration>,
}

/// A key had to sign before every receiver could know it, because the one before it was revoked.
#[derive(Debug, Clone, Copy)]
pub struct Emergency {
    pub publication: u32,
    pub from: Duration,
    /// When no node goes on without it any more.
    pub served_from: Duration,
}

/// How long a receiver, and the HTTP cache before it, may go on with a set that no node serves any more.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(25 * 60 + 15);

/// A life as receivers saw it.
#[derive(Debug, Default)]
pub struct Record {
    /// What each machine answered, from which instant on.
    pub machines: Vec<Vec<(Duration, Answer)>>,
    pub tokens: Vec<Token>,
    pub keys: BTreeMap<u32, KeyLife>,
    pub emergencies: Vec<Emergency>,
    /// What was seen to be wrong without asking any receiver.
    pub faults: Vec<String>,
    pub promotions: u32,
    pub published_max: u32,
    /// How many revoked keys an old backup brought back into the database.
    pub resurrected: u32,
}

impl Record {
    pub fn answer(&self, machine: usize, at: Duration) -> Answer {
        let answers = &self.machines[machine];
        let next = answers.partition_point(|(from, _)| *from <= at);
        next.checked_sub(1).map_or(Answer::Nothing, |last| answers[last].1)
    }

    pub fn note_answer(&mut self, machine: usize, at: Duration, answer: Answer) {
        let answers = &mut self.machines[machine];
        if answers.last().is_none_or(|(_, last)| *last != answer) {
            answers.push((at, answer));
        }
    }

    /// Since when whoever was answered was told of a token's key; never, when somebody was not even when it was signed.
    pub fn known_from(&self, token: &Token) -> Duration {
        let lacks = |answer: Answer| matches!(answer, Answer::Keys(keys) if keys & (1 << token.key) == 0);
        let learnt_at = |answers: &Vec<(Duration, Answer)>| {
            let until = answers.iter().skip(1).map(|(until, _)| *until).chain([Duration::MAX]);
            let before = answers.iter().zip(until).take_while(|((from, _), _)| *from < token.signed_at);
            before.filter(|((_, answer), _)| lacks(*answer)).map(|(_, until)| until).last()
        };
        let published_at = self.keys[&token.key].published_at;
        self.machines.iter().filter_map(learnt_at).fold(published_at, Duration::max)
    }

    /// Whether a token of this key may be unknown to a receiver on purpose: the key was revoked, or had to sign early.
    pub fn excuses(&self, token: &Token, at: Duration) -> bool {
        let key = &self.keys[&token.key];
        // Who cannot check the key that had to sign cannot be expected to know those before it either.
        let hasty = |emergency: &Emergency| {
            let known_from = self.known_from(token).min(emergency.served_from);
            let is_meant = key.publication <= emergency.publication && emergency.from <= token.signed_at;
            is_meant && at < known_from + FORGOTTEN_AFTER
        };
        key.revoked_at.is_some_and(|revoked_at| revoked_at <= at) || self.emergencies.iter().any(hasty)
    }
}
