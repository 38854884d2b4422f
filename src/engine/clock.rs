//! Time and chance. The only file that asks the system for either; everybody below takes what it says as an argument.
//!
//! A simulated clock stands still until its hands are moved, and throws its dice from a seed, so that a test of days
//! runs in milliseconds and runs alike each time. Secrets come from the operating system whichever clock is used.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt as _, SeedableRng as _, TryRng as _};
use tokio::sync::watch;

use crate::domain::retry::Jitter;
use crate::domain::time::Timestamp;

/// The operating system gave no randomness. Nothing that needs a secret may go on without it.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct NoRandomness;

/// The clock and the dice.
pub struct Clock {
    hands: Hands,
    dice: Mutex<Dice>,
}

enum Hands {
    System { started: Duration },
    Simulated(watch::Sender<Dial>),
}

/// What a simulated clock shows.
#[derive(Clone, Copy)]
struct Dial {
    now: Timestamp,
    monotonic: Duration,
}

struct Dice {
    rng: StdRng,
    /// The ULID that was made last, as a number: ids of one node never go backwards.
    last_id: u128,
}

impl Clock {
    /// The clock of the machine.
    #[expect(clippy::disallowed_methods, reason = "this is the one home of randomness")]
    pub fn system() -> Self {
        Self {
            hands: Hands::System { started: since_boot() },
            dice: Mutex::new(Dice { rng: StdRng::from_rng(&mut rand::rng()), last_id: 0 }),
        }
    }

    /// A clock that stands at `start`, with dice thrown from `seed`.
    pub fn simulated(start: Timestamp, seed: u64) -> Self {
        let dice = Dice { rng: StdRng::seed_from_u64(seed), last_id: 0 };
        Self {
            hands: Hands::Simulated(watch::Sender::new(Dial { now: start, monotonic: Duration::ZERO })),
            dice: Mutex::new(dice),
        }
    }

    /// Moves the hands of a simulated clock; the machine's clock moves by itself.
    pub fn advance(&self, span: Duration) {
        if let Hands::Simulated(hands) = &self.hands {
            hands.send_modify(|dial| *dial = Dial { now: dial.now.plus(span), monotonic: dial.monotonic + span });
        }
    }

    /// Sets a simulated clock to another instant, as when somebody corrects the time of a machine: no time passes by it.
    pub fn set(&self, now: Timestamp) {
        if let Hands::Simulated(hands) = &self.hands {
            hands.send_modify(|dial| dial.now = now);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one home of the time of day")]
    pub fn now(&self) -> Timestamp {
        match &self.hands {
            Hands::System { .. } => {
                let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
            }
            Hands::Simulated(hands) => hands.borrow().now,
        }
    }

    /// What has passed since this clock was made, by hands that nobody can set; a machine that slept slept through it.
    pub fn monotonic(&self) -> Duration {
        match &self.hands {
            Hands::System { started } => since_boot().saturating_sub(*started),
            Hands::Simulated(hands) => hands.borrow().monotonic,
        }
    }

    /// The time that several machines go by: another one's clock, if it says something. A simulated clock is everybody's.
    pub fn shared(&self, other: Option<Timestamp>) -> Timestamp {
        match (&self.hands, other) {
            (Hands::System { .. }, Some(other)) => other,
            _ => self.now(),
        }
    }

    /// How far it is from another machine's clock, which was asked at an instant of this one and has just said the time. A
    /// simulated clock agrees with nobody's, and is not compared.
    pub fn offset(&self, asked_at: Timestamp, said: Timestamp) -> Option<Duration> {
        // It spoke at some moment in between.
        let now = self.now();
        matches!(self.hands, Hands::System { .. }).then(|| asked_at.since(said).max(said.since(now)))
    }

    /// Waits for an instant.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.hands {
            Hands::System { .. } => tokio::time::sleep(at.since(self.now())).await,
            Hands::Simulated(hands) => {
                // An error would mean that the clock is gone, and this is the clock.
                let _ = hands.subscribe().wait_for(|dial| dial.now >= at).await;
            }
        }
    }

    /// Starts measuring a span, in real time whichever clock this is.
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the monotonic clock")]
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The bytes of a new ULID: the instant in milliseconds, then randomness. Later ids are greater.
    pub fn id(&self) -> [u8; 16] {
        let millis = u128::try_from(self.now().as_micros() / 1_000).unwrap_or_default();
        let mut dice = self.dice();
        let drawn = (millis << 80) | (dice.rng.random::<u128>() >> 48);
        let id = if drawn > dice.last_id { drawn } else { dice.last_id + 1 };
        dice.last_id = id;
        id.to_be_bytes()
    }

    pub fn jitter(&self) -> Jitter {
        Jitter::from_unit(self.dice().rng.random::<f64>())
    }

    /// Bytes that nobody can guess, for secrets.
    pub fn secret_bytes<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        SysRng.try_fill_bytes(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(bytes)
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since the machine was started, with the time that it slept: what was true before may not be true after.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Since it was first asked for.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the monotonic clock")]
fn since_boot() -> Duration {
    static FIRST: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    FIRST.elapsed()
}

/// A span that is being measured.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_instant_still_grow() {
        let clock = Clock::simulated(Timestamp::from_micros(1_700_000_000_000_000), 1);

        let ids: Vec<[u8; 16]> = (0..1_000).map(|_| clock.id()).collect();

        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[tokio::test]
    async fn a_simulated_sleeper_wakes_when_the_hands_pass_its_instant() {
        let clock = Clock::simulated(Timestamp::from_micros(0), 1);
        let at = clock.now().plus(Duration::from_mins(1));

        let (woken_at, ()) = tokio::join!(
            async {
                clock.sleep_until(at).await;
                clock.now()
            },
            async {
                clock.advance(Duration::from_secs(59));
                tokio::task::yield_now().await;
                clock.advance(Duration::from_secs(1));
            }
        );

        assert_eq!(woken_at, at);
    }
}
