//! One receiver: a library's cache, the road to the JWKS, and habits.

use std::time::Duration;

use super::chance::Dice;
use super::libraries::{Library, Renewal, Unanswered, Unknown};
use super::record::{KeySet, Record};
use super::road::Road;

/// By how much .NET lengthens its interval at most.
const JITTER: f64 = 0.05;
/// How long a receiver with other traffic waits for the next token at most.
const TRAFFIC_WITHIN: Duration = Duration::from_hours(4);

/// A token could not be checked.
#[derive(Debug, Clone, Copy)]
pub struct Miss {
    /// When the set was fetched that lacks the key.
    pub fetched_at: Option<Duration>,
    /// When an answer was last waited for in vain.
    pub unanswered_at: Option<Duration>,
    /// How long before there was no token, or none since the set is being fetched.
    pub silent_for: Duration,
}

pub struct Receiver<'r> {
    pub library: &'r Library,
    pub road: Road,
    /// Whether other tokens come in between, which renew what has expired.
    pub is_busy: bool,
    set: Option<(KeySet, Duration)>,
    /// Keys that are kept by themselves, and since when.
    keys: Vec<(u32, Duration)>,
    unanswered_at: Option<Duration>,
    /// When it fetched for the sake of an unknown key.
    asked_for_at: Option<Duration>,
    /// When what is fetched behind the back of a token is there.
    fetching_until: Option<Duration>,
    token_at: Duration,
    /// For how long there had been no token when the set was last found to be expired, or is not.
    silent_for: Duration,
    jitter: f64,
}

impl<'r> Receiver<'r> {
    pub fn new(library: &'r Library, road: Road, dice: &mut Dice) -> Self {
        Self {
            library,
            road,
            is_busy: !dice.once_in(3),
            set: None,
            keys: Vec::new(),
            unanswered_at: None,
            asked_for_at: None,
            fetching_until: None,
            token_at: Duration::ZERO,
            silent_for: Duration::ZERO,
            jitter: 1.0 + dice.deviation(JITTER).abs(),
        }
    }

    /// Checks a token, as far as finding its key goes.
    pub fn verify(&mut self, record: &Record, key: u32, at: Duration, dice: &mut Dice) -> Result<(), Miss> {
        if self.fetching_until.is_none_or(|there_at| there_at <= at) {
            self.silent_for = at.saturating_sub(self.token_at);
        }
        self.token_at = at;
        if self.holds_by_itself(key, at) {
            return Ok(());
        }
        self.renew(record, at, dice);
        if !self.holds(key) {
            self.look_for_unknown(record, at, dice);
        }
        if self.holds(key) {
            self.keep_by_itself(key, at);
            return Ok(());
        }
        Err(Miss {
            fetched_at: self.set.map(|(_, at)| at),
            unanswered_at: self.unanswered_at,
            silent_for: self.silent_for,
        })
    }

    fn holds(&self, key: u32) -> bool {
        self.set.is_some_and(|(keys, _)| keys & (1 << key) != 0)
    }

    fn holds_by_itself(&self, key: u32, at: Duration) -> bool {
        let Some(per_key) = self.library.per_key else { return false };
        self.keys.iter().any(|(kept, since)| *kept == key && at.saturating_sub(*since) < per_key.lives_for)
    }

    fn keep_by_itself(&mut self, key: u32, at: Duration) {
        let Some(per_key) = self.library.per_key else { return };
        self.keys.retain(|(kept, _)| *kept != key);
        self.keys.push((key, at));
        if self.keys.len() > per_key.most {
            self.keys.remove(0);
        }
    }

    /// How old the set is.
    fn age(&self, at: Duration) -> Option<Duration> {
        self.set.map(|(_, fetched_at)| at.saturating_sub(fetched_at))
    }

    fn fetch(&mut self, record: &Record, at: Duration, dice: &mut Dice) -> bool {
        let answer = self.road.ask(record, at, dice);
        match answer {
            Some(keys) => self.set = Some((keys, at)),
            None => self.unanswered_at = self.unanswered_at.max(Some(at)),
        }
        answer.is_some()
    }

    /// What happened to the set since it was fetched, and what happens to it for this token.
    fn renew(&mut self, record: &Record, at: Duration, dice: &mut Dice) {
        if let Some(there_at) = self.fetching_until.take_if(|there_at| *there_at <= at) {
            self.fetch(record, there_at, dice);
        }
        match self.library.renewal {
            Renewal::Never => {}
            Renewal::Timer(every) => return self.renew_by_timer(record, every, at, dice),
            Renewal::Asked(lives_for) => {
                self.renew_by_traffic(record, lives_for, at, dice);
                if self.age(at).is_some_and(|age| age >= lives_for) && !self.fetch(record, at, dice) {
                    self.forget();
                }
            }
            Renewal::Late(lives_for) => {
                let lives_for = lives_for.mul_f64(self.jitter);
                self.renew_by_traffic(record, lives_for, at, dice);
                if self.age(at).is_some_and(|age| age >= lives_for) {
                    self.fetching_until = Some(at + dice.within(Duration::from_secs(1)));
                }
            }
        }
        if self.set.is_none() {
            self.fetch(record, at, dice);
        }
    }

    fn forget(&mut self) {
        if self.library.unanswered == Unanswered::Forgotten {
            self.set = None;
        }
    }

    /// Tokens that came in between had an expired set fetched anew.
    fn renew_by_traffic(&mut self, record: &Record, lives_for: Duration, at: Duration, dice: &mut Dice) {
        let Some(age) = self.age(at).filter(|age| self.is_busy && *age >= lives_for) else { return };
        let gap = dice.within(TRAFFIC_WITHIN);
        // After several lives, the last began at any instant within one.
        let renewed_before = match age >= 2 * (lives_for + gap) {
            true => dice.within(lives_for + gap),
            false => age.saturating_sub(lives_for + gap),
        };
        self.fetch(record, at.saturating_sub(renewed_before), dice);
    }

    /// The timer's last fetches; what is not answered leaves the set as it was.
    fn renew_by_timer(&mut self, record: &Record, every: Duration, at: Duration, dice: &mut Dice) {
        let Some(age) = self.age(at) else {
            self.fetch(record, at.saturating_sub(dice.within(every)), dice);
            return;
        };
        let mut before = match age >= 2 * every {
            true => dice.within(every),
            false if age >= every => age.saturating_sub(every),
            false => return,
        };
        while before < age && !self.fetch(record, at.saturating_sub(before), dice) {
            before += every;
        }
    }

    fn look_for_unknown(&mut self, record: &Record, at: Duration, dice: &mut Dice) {
        let rested = |every: Duration, since: Option<Duration>| since.is_none_or(|since| at >= since + every);
        match self.library.unknown {
            Unknown::Refused => {}
            Unknown::AskedFor(every) => {
                let fetched_at = self.set.map(|(_, fetched_at)| fetched_at);
                if rested(every, self.asked_for_at.max(fetched_at)) && fetched_at < Some(at) {
                    self.asked_for_at = Some(at);
                    self.fetch(record, at, dice);
                }
            }
            Unknown::AskedForLater(every) => {
                if rested(every, self.asked_for_at) {
                    self.asked_for_at = Some(at);
                    self.fetching_until = Some(at + dice.within(Duration::from_secs(1)));
                }
            }
        }
    }
}
