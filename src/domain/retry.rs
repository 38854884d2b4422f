//! What becomes of a delivery after an attempt. Total, pure, and the only place that decides it.

use std::time::Duration;

use super::delivery::{Ending, Outcome, Settlement};
use super::time::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The longest a receiver may ask us to wait with `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * HOUR);

/// Spreads retries so that receivers that failed together are not tried together.
#[derive(Debug, Clone, Copy)]
pub struct Jitter(f64);

impl Jitter {
    /// How much longer a wait becomes at most, as a share of itself.
    pub const SHARE_MAX: f64 = 0.2;

    /// From a throw of dice between 0 and 1; what lies outside is taken as the nearer end.
    pub fn from_unit(dice: f64) -> Self {
        Self(if dice.is_finite() { dice.clamp(0.0, 1.0) } else { 0.0 })
    }

    fn stretch(self, wait: Duration) -> Duration {
        wait.mul_f64(1.0 + Self::SHARE_MAX * self.0)
    }
}

/// When to try again, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    waits: Vec<Duration>,
}

impl RetryPolicy {
    /// The standard schedule: ten attempts over 75 h 35 min 5 s.
    pub fn standard() -> Self {
        let seconds = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
        Self { waits: seconds.map(Duration::from_secs).to_vec() }
    }

    /// Any schedule: the wait before each attempt after the first. None means one attempt.
    pub fn of(waits: Vec<Duration>) -> Self {
        Self { waits }
    }

    /// The wait before each attempt after the first, without jitter.
    pub fn waits(&self) -> &[Duration] {
        &self.waits
    }

    /// How often a delivery is tried.
    pub fn attempts_max(&self) -> u32 {
        u32::try_from(self.waits.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Decides what becomes of a delivery whose `attempt`-th attempt (from 1) came out like this.
    ///
    /// `Retry-After` is honoured on 429 and 503 (RFC 9110 10.2.3): it may lengthen a wait, never shorten it.
    pub fn settle(&self, attempt: u32, outcome: &Outcome, now: Timestamp, jitter: Jitter) -> Settlement {
        if outcome.is_acknowledged() {
            return Settlement::Ended(Ending::Delivered);
        }
        if matches!(outcome, Outcome::Answered { status_code: 410, .. }) {
            return Settlement::Gone;
        }
        self.settle_failure(attempt, outcome, now, jitter)
    }

    /// The same for an attempt that is known to have failed, and for receivers whose 410 is a failure like any other.
    pub fn settle_failure(&self, attempt: u32, outcome: &Outcome, now: Timestamp, jitter: Jitter) -> Settlement {
        let asked = match *outcome {
            Outcome::Answered { status_code: 429 | 503, retry_after } => retry_after.unwrap_or_default(),
            Outcome::Answered { .. } | Outcome::Failed(_) => Duration::ZERO,
        };
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        match self.waits.get(index) {
            None => Settlement::Ended(Ending::Exhausted),
            Some(&wait) => {
                let wait = jitter.stretch(wait).max(asked.min(RETRY_AFTER_MAX));
                Settlement::Retry { due_at: now.plus(wait) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::FailureKind;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn answered(status_code: u16, retry_after: Option<u64>) -> Outcome {
        Outcome::Answered { status_code, retry_after: retry_after.map(Duration::from_secs) }
    }

    fn check(attempt: u32, outcome: Outcome, expected: Settlement) {
        let settled = RetryPolicy::standard().settle(attempt, &outcome, NOW, Jitter::from_unit(0.0));

        assert_eq!(settled, expected, "attempt {attempt}, {outcome:?}");
    }

    fn in_seconds(seconds: u64) -> Settlement {
        Settlement::Retry { due_at: NOW.plus(Duration::from_secs(seconds)) }
    }

    #[test]
    fn an_outcome_settles_a_delivery() {
        check(1, answered(200, None), Settlement::Ended(Ending::Delivered));
        check(10, answered(299, None), Settlement::Ended(Ending::Delivered));
        check(1, answered(302, None), in_seconds(5));
        check(1, answered(500, None), in_seconds(5));
        check(2, answered(404, None), in_seconds(300));
        check(9, Outcome::Failed(FailureKind::Timeout), in_seconds(24 * HOUR));
        check(10, answered(500, None), Settlement::Ended(Ending::Exhausted));
        check(1, answered(410, None), Settlement::Gone);
    }

    #[test]
    fn a_410_that_disables_nothing_is_a_failure_like_any_other() {
        let policy = RetryPolicy::standard();

        for attempt in 1..=10 {
            let of = |status| policy.settle_failure(attempt, &answered(status, None), NOW, Jitter::from_unit(0.5));
            assert_eq!(of(410), of(500));
        }
    }

    #[test]
    fn retry_after_lengthens_a_wait_within_a_day() {
        check(1, answered(429, Some(120)), in_seconds(120));
        check(1, answered(503, Some(120)), in_seconds(120));
        check(2, answered(503, Some(1)), in_seconds(300));
        check(1, answered(503, Some(90 * HOUR)), in_seconds(24 * HOUR));
        check(1, answered(500, Some(120)), in_seconds(5));
    }

    #[test]
    fn the_standard_schedule_lasts_three_days() {
        let total: Duration = RetryPolicy::standard().waits().iter().sum();

        assert_eq!(total, Duration::from_secs(75 * HOUR + 35 * MINUTE + 5));
        assert_eq!(RetryPolicy::standard().attempts_max(), 10);
    }

    proptest! {
        #[test]
        fn a_retry_is_never_early_and_never_later_than_its_ceiling(
            attempt in 1_u32..40,
            status_code in 300_u16..600,
            retry_after in prop::option::of(0_u64..1_000_000),
            dice in any::<f64>(),
        ) {
            let policy = RetryPolicy::standard();

            let settled = policy.settle(attempt, &answered(status_code, retry_after), NOW, Jitter::from_unit(dice));

            match settled {
                Settlement::Retry { due_at } => {
                    let wait = policy.waits()[attempt as usize - 1];
                    prop_assert!(attempt < policy.attempts_max());
                    prop_assert!(due_at.since(NOW) >= wait);
                    prop_assert!(due_at.since(NOW) <= wait.mul_f64(1.2).max(RETRY_AFTER_MAX));
                }
                Settlement::Ended(ending) => {
                    prop_assert_eq!(ending, Ending::Exhausted);
                    prop_assert!(attempt >= policy.attempts_max());
                }
                Settlement::Gone => prop_assert_eq!(status_code, 410),
            }
        }
    }
}
