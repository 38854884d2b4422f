//! Who met a token that could not be checked, and why.

use std::fmt;
use std::time::Duration;

use signet::domain::key_ring::Profile;

use super::chance::Dice;
use super::libraries::{LIBRARIES, Library, Renewal, Unknown};
use super::receiver::{Miss, Receiver};
use super::record::{Record, Token};
use super::road::Road;

/// A receiver that renews its set behind the back of a token checks the first one after a long silence with a set that
/// may be older than any margin. Up to here it is safe: 25 h, less its 12 h 36 min, less what HTTP caches add.
const SILENCE_MAX: Duration = Duration::from_hours(11);

/// A token that a receiver could not check although nothing excuses it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub seed: u64,
    pub library: &'static str,
    pub road: Road,
    pub token: Token,
    pub at: Duration,
    pub published_at: Duration,
    pub known_from: Duration,
    pub miss: Miss,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, library, token, at, published_at, known_from, miss, .. } = self;
        let before = |then: Duration| spoken(at.saturating_sub(then));
        write!(f, "seed {seed}, after {}: {library} does not know key {}", spoken(*at), token.key)?;
        write!(f, ", published {} ago; the token was signed {} ago", before(*published_at), before(token.signed_at))?;
        match miss.fetched_at {
            Some(fetched_at) => write!(f, "; its set was fetched {} ago", before(fetched_at))?,
            None => write!(f, "; it has no set")?,
        }
        write!(
            f,
            "; everybody served the key since {}, it last asked in vain {} ago, and had no token for {}",
            before(*known_from),
            before(miss.unanswered_at.unwrap_or_default()),
            spoken(miss.silent_for)
        )?;
        write!(f, " ({:?})", self.road)
    }
}

pub fn spoken(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{:.1} s", span.as_secs_f64()),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// What many lives came to.
#[derive(Debug, Default)]
pub struct Figures {
    pub lives: u64,
    pub promotions: u64,
    pub revocations: u64,
    pub resurrected: u64,
    pub published_max: u32,
    pub tokens: u64,
    pub verifications: u64,
    /// Of keys that were revoked or had to sign early because another one was.
    pub excused: u64,
    /// Receivers that asked in vain since everybody served the key, and were not answered since.
    pub unanswered: u64,
    /// First tokens after a long silence at receivers that renew behind their back.
    pub after_silence: u64,
    pub failures: Vec<Failure>,
    /// What was wrong without asking any receiver, with its seed.
    pub faults: Vec<(u64, String)>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lives, {} promotions, {} revocations ({} undone by a backup), at most {} keys published; {} tokens, \
             {} verifications, {} failures; not counted: {} of revoked keys or their hasty successors, {} because \
             nobody answered, {} after a long silence",
            self.lives,
            self.promotions,
            self.revocations,
            self.resurrected,
            self.published_max,
            self.tokens,
            self.verifications,
            self.failures.len(),
            self.excused,
            self.unanswered,
            self.after_silence,
        )
    }
}

impl Figures {
    /// Shows a life to every library.
    pub fn judge(&mut self, seed: u64, profile: Profile, record: Record) {
        let mut dice = Dice::seeded(seed ^ u64::MAX);
        self.lives += 1;
        self.tokens += record.tokens.len() as u64;
        self.promotions += u64::from(record.promotions);
        self.resurrected += u64::from(record.resurrected);
        self.revocations += record.keys.values().filter(|key| key.revoked_at.is_some()).count() as u64;
        self.published_max = self.published_max.max(record.published_max);
        let prompt = arrivals(&record);
        let late = readings(&record, &mut dice);
        for library in LIBRARIES.iter().filter(|library| suits(library, profile)) {
            let road = Road::any(record.machines.len(), profile, &mut dice);
            let mut receiver = Receiver::new(library, road, &mut dice);
            // Some work through a queue of their own, up to the last moment of a token.
            let readings = if profile == Profile::Standard && dice.once_in(3) { &late } else { &prompt };
            for (at, token) in readings {
                self.verifications += 1;
                if let Err(miss) = receiver.verify(&record, token.key, *at, &mut dice) {
                    self.attribute(seed, (&record, &receiver), (*token, *at), miss);
                }
            }
        }
        self.faults.extend(record.faults.into_iter().map(|fault| (seed, fault)));
    }

    fn attribute(
        &mut self,
        seed: u64,
        (record, receiver): (&Record, &Receiver),
        (token, at): (Token, Duration),
        miss: Miss,
    ) {
        let published_at = record.keys[&token.key].published_at;
        let Miss { fetched_at, unanswered_at, silent_for } = miss;
        let library = receiver.library;
        let (known_from, stale_for) = (record.known_from(&token), receiver.road.stale_for());
        let is_late = matches!(library.renewal, Renewal::Late(_));
        if record.excuses(&token, at) {
            self.excused += 1;
        } else if unanswered_at >= Some(known_from) && fetched_at < Some(known_from + stale_for) {
            self.unanswered += 1;
        } else if is_late && silent_for > SILENCE_MAX {
            self.after_silence += 1;
        } else {
            let (library, road) = (library.name, receiver.road);
            self.failures.push(Failure { seed, library, road, token, at, published_at, known_from, miss });
        }
    }
}

/// The development profile is for receivers that ask again whenever they meet an unknown key.
fn suits(library: &Library, profile: Profile) -> bool {
    profile == Profile::Standard || library.unknown == Unknown::AskedFor(Duration::ZERO)
}

/// Tokens as they arrive.
fn arrivals(record: &Record) -> Vec<(Duration, Token)> {
    let mut readings: Vec<_> = record.tokens.iter().map(|token| (token.arrives_at, *token)).collect();
    readings.sort_unstable_by_key(|(at, _)| *at);
    readings
}

/// Tokens as a receiver gets to them that takes its time, some of them at their last moment.
fn readings(record: &Record, dice: &mut Dice) -> Vec<(Duration, Token)> {
    let mut read = |token: &Token| {
        let rest = token.ends_at.saturating_sub(token.arrives_at);
        let waits_for = if dice.once_in(3) { rest } else { dice.within(rest) };
        (token.arrives_at + waits_for, *token)
    };
    let mut readings: Vec<_> = record.tokens.iter().map(&mut read).collect();
    readings.sort_unstable_by_key(|(at, _)| *at);
    readings
}
