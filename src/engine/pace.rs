//! Keeping a receiver's deliveries apart: the generic cell rate algorithm, counted by a clock that cannot be set.
//!
//! A delivery in hand takes its slot and waits for it. One whose slot lies too far ahead is given back, so that what waits
//! does not hold room that others need. A second's worth may go at once after a rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::webhook::DeliveryRate;

/// What may go at once after a rest, as time.
const BURST: Duration = Duration::from_secs(1);

/// When a receiver's next delivery may go.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all that was let go will have been paid for.
    paid_at: Mutex<Duration>,
}

/// Leave to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// After this long.
    In(Duration),
    /// Not within the patience of who asks; this long at least.
    TooFar(Duration),
}

impl Pace {
    /// Takes the next slot of a rate that so many nodes share, if it is not further ahead than `patience`.
    pub(super) fn take(&self, rate: DeliveryRate, nodes: u32, now: Duration, patience: Duration) -> Slot {
        let every = Duration::from_secs(u64::from(nodes.max(1))) / rate.get();
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = paid_at.max(now) + every;
        let wait = next.saturating_sub(now).saturating_sub(BURST.max(every));
        if wait > patience {
            return Slot::TooFar(wait);
        }
        *paid_at = next;
        Slot::In(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn rate(count: u32) -> DeliveryRate {
        DeliveryRate::per_second(count).unwrap()
    }

    #[test]
    fn a_second_s_worth_goes_at_once_and_the_rest_in_step() {
        let pace = Pace::default();

        let slots: Vec<Slot> = (0..6).map(|_| pace.take(rate(4), 1, Duration::from_mins(1), PATIENCE)).collect();

        let after = |millis| Slot::In(Duration::from_millis(millis));
        assert_eq!(slots, [after(0), after(0), after(0), after(0), after(250), after(500)]);
    }

    #[test]
    fn what_would_wait_too_long_takes_no_slot() {
        let pace = Pace::default();
        let take = || pace.take(rate(1), 2, Duration::ZERO, PATIENCE);

        let slots: Vec<Slot> = (0..4).map(|_| take()).collect();

        let seconds = Duration::from_secs;
        assert_eq!(slots, [Slot::In(seconds(0)), Slot::In(seconds(2)), Slot::In(seconds(4)), Slot::TooFar(seconds(6))]);
        assert_eq!(take(), Slot::TooFar(seconds(6)));
    }

    proptest! {
        #[test]
        fn in_no_span_goes_more_than_its_rate_and_a_second_s_worth(
            count in 1_u32..200,
            asks in prop::collection::vec(0_u64..400, 1..300),
        ) {
            let pace = Pace::default();
            let mut now = Duration::ZERO;
            let mut sent = Vec::new();
            for gap in asks {
                now += Duration::from_millis(gap);
                if let Slot::In(wait) = pace.take(rate(count), 1, now, PATIENCE) {
                    sent.push(now + wait);
                }
            }
            for (at, first) in sent.iter().enumerate() {
                for (more, last) in (1_u32..).zip(&sent[at..]) {
                    let span = last.saturating_sub(*first).as_secs_f64();
                    let allowed = f64::from(count) * (span + 1.0) + 1.0 + 1e-6;
                    prop_assert!(f64::from(more) <= allowed, "{more} in {span} s");
                }
            }
        }
    }
}
