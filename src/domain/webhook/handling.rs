//! How one webhook's deliveries are made, where it is not as for all.

use std::time::Duration;

use crate::domain::retry::RetryPolicy;

/// The most waits that a schedule of its own has.
pub const WAITS_MAX: usize = 20;
/// The longest of them.
pub const WAIT_MAX: Duration = Duration::from_hours(7 * 24);
/// How long all of them together may last.
const WAITS_TOTAL_MAX: Duration = Duration::from_hours(14 * 24);
/// How long an attempt may take, in seconds.
pub const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=30;
/// How many deliveries a second may be asked for.
pub const RATE: std::ops::RangeInclusive<u32> = 1..=10_000;

/// What a webhook chose; by default as for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handling {
    pub retry_policy: Option<RetryPolicy>,
    /// How long an attempt may take, from the name's resolution to the answer's last byte.
    pub timeout: Option<Duration>,
    pub rate: Option<DeliveryRate>,
}

/// Deliveries a second, over all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryRate(u32);

/// What no webhook may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHandling {
    #[error("has more than {WAITS_MAX} waits")]
    TooManyWaits,
    #[error("is a wait in whole seconds, from 1 to 604800 (a week)")]
    Wait,
    #[error("lasts longer than 14 days (1209600 seconds) in all")]
    WaitsTooLong,
    #[error("is a number of seconds from 1 to 30")]
    Timeout,
    #[error("is a number of deliveries a second, from 1 to 10000")]
    Rate,
}

impl Handling {
    /// A schedule of waits in seconds, one before each attempt after the first; none means one attempt.
    pub fn retry_policy(seconds: &[u64]) -> Result<RetryPolicy, MalformedHandling> {
        if seconds.len() > WAITS_MAX {
            return Err(MalformedHandling::TooManyWaits);
        }
        let waits: Vec<Duration> = seconds.iter().copied().map(Duration::from_secs).collect();
        if waits.iter().any(|wait| wait.is_zero() || *wait > WAIT_MAX) {
            return Err(MalformedHandling::Wait);
        }
        if waits.iter().sum::<Duration>() > WAITS_TOTAL_MAX {
            return Err(MalformedHandling::WaitsTooLong);
        }
        Ok(RetryPolicy::of(waits))
    }

    pub fn timeout(seconds: u64) -> Result<Duration, MalformedHandling> {
        if TIMEOUT_SECONDS.contains(&seconds) {
            Ok(Duration::from_secs(seconds))
        } else {
            Err(MalformedHandling::Timeout)
        }
    }
}

impl DeliveryRate {
    pub fn per_second(count: u32) -> Result<Self, MalformedHandling> {
        if RATE.contains(&count) { Ok(Self(count)) } else { Err(MalformedHandling::Rate) }
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_bounded_in_length_and_time() {
        let week = 7 * 24 * 3_600;

        assert_eq!(Handling::retry_policy(&[]).unwrap().attempts_max(), 1);
        assert_eq!(Handling::retry_policy(&[1; 20]).unwrap().attempts_max(), 21);
        assert_eq!(Handling::retry_policy(&[1; 21]), Err(MalformedHandling::TooManyWaits));
        assert_eq!(Handling::retry_policy(&[5, 0]), Err(MalformedHandling::Wait));
        assert_eq!(Handling::retry_policy(&[week + 1]), Err(MalformedHandling::Wait));
        assert_eq!(Handling::retry_policy(&[u64::MAX]), Err(MalformedHandling::Wait));
        assert_eq!(Handling::retry_policy(&[week, week, 1]), Err(MalformedHandling::WaitsTooLong));
    }

    #[test]
    fn a_timeout_and_a_rate_have_ends() {
        assert_eq!(Handling::timeout(30), Ok(Duration::from_secs(30)));
        assert_eq!(Handling::timeout(31), Err(MalformedHandling::Timeout));
        assert_eq!(Handling::timeout(0), Err(MalformedHandling::Timeout));
        assert_eq!(DeliveryRate::per_second(0), Err(MalformedHandling::Rate));
        assert_eq!(DeliveryRate::per_second(10_000).map(DeliveryRate::get), Ok(10_000));
    }
}
