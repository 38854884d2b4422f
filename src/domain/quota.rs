//! How often somebody may ask: a bucket that holds so many requests and is filled again by so many a second. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

/// What is allowed: so many requests a second on average, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

/// How far a bucket is emptied: until when, on a clock that nobody can set, it is not full. One number is all there is to
/// remember, and one that lies in the past says nothing that a forgotten one would not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    full_at: Duration,
}

/// What was said to a request, and what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub quota: Quota,
    /// How long to wait, if the request is not allowed.
    pub refused_for: Option<Duration>,
    /// How many more would be allowed now.
    pub remaining: u32,
    /// How long until the bucket is full again.
    pub full_in: Duration,
}

impl Quota {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { per_second, burst }
    }

    /// The most requests at once.
    pub fn burst(self) -> u32 {
        self.burst.get()
    }

    /// How long an empty bucket takes to be full.
    pub fn window(self) -> Duration {
        self.each() * self.burst.get()
    }

    /// How long it takes until one more is allowed.
    fn each(self) -> Duration {
        Duration::from_secs(1) / self.per_second.get()
    }
}

impl Bucket {
    /// Takes one request out, if there is one.
    pub fn take(&mut self, quota: Quota, now: Duration) -> Allowance {
        let (each, window) = (quota.each(), quota.window());
        let taken = self.full_at.saturating_sub(now) + each;
        let refused_for = taken.checked_sub(window).filter(|wait| !wait.is_zero());
        if refused_for.is_none() {
            self.full_at = now + taken;
        }
        let full_in = self.full_at.saturating_sub(now);
        let left = window.saturating_sub(full_in).as_nanos() / each.as_nanos().max(1);
        Allowance { quota, refused_for, remaining: u32::try_from(left).unwrap_or(u32::MAX), full_in }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quota(per_second: u32, burst: u32) -> Quota {
        Quota::new(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap())
    }

    #[test]
    fn a_bucket_allows_a_burst_and_then_one_whenever_one_has_come_in() {
        let (mut bucket, quota) = (Bucket::default(), quota(4, 3));
        let mut take = |millis| bucket.take(quota, Duration::from_millis(millis));

        assert_eq!([take(1_000), take(1_000), take(1_000)].map(|allowance| allowance.remaining), [2, 1, 0]);
        let refused = take(1_100);
        assert_eq!(refused.refused_for, Some(Duration::from_millis(150)));
        assert_eq!(refused.full_in, Duration::from_millis(650));
        assert_eq!(take(1_250).refused_for, None);
        assert!(take(1_251).refused_for.is_some());
        assert_eq!(take(9_000).remaining, 2);
    }

    proptest! {
        #[test]
        fn no_bucket_allows_more_than_its_burst_and_what_has_come_in_since(
            per_second in 1_u32..50, burst in 1_u32..50, waits in prop::collection::vec(0_u64..200, 1..200),
        ) {
            let (mut bucket, quota) = (Bucket::default(), quota(per_second, burst));
            let (mut now, mut allowed) = (Duration::ZERO, 0_u32);
            for wait in waits {
                now += Duration::from_millis(wait);
                let allowance = bucket.take(quota, now);
                allowed += u32::from(allowance.refused_for.is_none());
                // One more for a fraction of a nanosecond that each may be short of.
                let most = f64::from(burst) + now.as_secs_f64() * f64::from(per_second) + 1.0;
                prop_assert!(f64::from(allowed) <= most);
                prop_assert!(allowance.remaining < burst || allowance.refused_for.is_some());
            }
        }

        #[test]
        fn whoever_waits_as_long_as_it_is_told_is_allowed(per_second in 1_u32..2_000, burst in 1_u32..50) {
            let (mut bucket, quota) = (Bucket::default(), quota(per_second, burst));
            let mut now = Duration::from_secs(5);
            for _ in 0..200 {
                if let Some(wait) = bucket.take(quota, now).refused_for {
                    now += wait;
                    prop_assert_eq!(bucket.take(quota, now).refused_for, None);
                }
            }
        }
    }
}
