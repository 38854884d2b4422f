//! The margins of rotation. A policy that exists cannot break a receiver that behaves as documented.

use std::time::Duration;

use crate::domain::token::TokenTtl;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How long a receiver may keep the JWKS without asking again (`max-age`).
pub const JWKS_MAX_AGE: Duration = Duration::from_mins(5);
/// How much longer a cache may serve it while it asks (`stale-while-revalidate`).
pub const JWKS_STALE_WHILE_REVALIDATE: Duration = Duration::from_mins(1);
/// How far a receiver's clock may be off in either direction.
const CLOCK_SKEW: Duration = Duration::from_mins(5);
/// How long a signed delivery may be under way.
const DELIVERY_BUDGET: Duration = Duration::from_secs(30);

/// Margins as somebody wishes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margins {
    /// How long a key signs.
    pub period: Duration,
    /// How long a key is published before it may sign.
    pub publish_ahead: Duration,
    /// How long a key stays published after its last signature.
    pub grace: Duration,
}

impl Margins {
    pub const STANDARD: Self =
        Self { period: DAY.saturating_mul(90), publish_ahead: DAY.saturating_mul(7), grace: DAY.saturating_mul(7) };
}

/// Margins that no receiver can be hurt by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPolicy {
    margins: Margins,
}

/// One reason why margins are refused. Spans are in the fault so that the words can say by how much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImpossibleMargin {
    #[error("the rotation period is {}; it must lie between {} and {}", spoken(.0), spoken(&KeyPolicy::PERIOD_MIN), spoken(&KeyPolicy::PERIOD_MAX))]
    Period(Duration),
    #[error("keys would be published {} before they sign; some receivers keep a JWKS for 24 h, so it must be at least {}", spoken(.0), spoken(&KeyPolicy::PUBLISH_AHEAD_MIN))]
    PublishAhead(Duration),
    #[error("keys would be published {} before they sign but replaced every {}; publish-ahead must not exceed the period", spoken(.publish_ahead), spoken(.period))]
    PublishAheadBeyondPeriod { publish_ahead: Duration, period: Duration },
    #[error("keys would stay published {} after their last signature; tokens and caches may need them for {}", spoken(.0), spoken(&KeyPolicy::grace_min()))]
    Grace(Duration),
    #[error("keys would stay published {} after their last signature with a period of {}, and the JWKS would grow beyond four keys; grace must not exceed twice the period", spoken(.grace), spoken(.period))]
    GraceBeyondPeriod { grace: Duration, period: Duration },
}

/// A span as people say it.
fn spoken(span: &Duration) -> String {
    let hours = span.as_secs_f64() / HOUR.as_secs_f64();
    let (number, unit) = if hours >= 48.0 { (hours / 24.0, "days") } else { (hours, "h") };
    let text = format!("{number:.2}");
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl KeyPolicy {
    pub const PERIOD_MIN: Duration = DAY.saturating_mul(7);
    pub const PERIOD_MAX: Duration = DAY.saturating_mul(365);
    /// The longest that receivers are known to keep a JWKS is 24 h.
    pub const PUBLISH_AHEAD_MIN: Duration = HOUR.saturating_mul(25);

    /// The shortest safe grace: a day, or what the longest-lived token may need.
    pub fn grace_min() -> Duration {
        let token = Duration::from_secs(u64::from(TokenTtl::MAX));
        let needed = token + 2 * CLOCK_SKEW + DELIVERY_BUDGET + JWKS_MAX_AGE + JWKS_STALE_WHILE_REVALIDATE;
        needed.max(DAY)
    }

    /// Accepts margins, or says everything that is wrong with them.
    pub fn new(margins: Margins) -> Result<Self, Vec<ImpossibleMargin>> {
        let Margins { period, publish_ahead, grace } = margins;
        let mut faults = Vec::new();
        if !(Self::PERIOD_MIN..=Self::PERIOD_MAX).contains(&period) {
            faults.push(ImpossibleMargin::Period(period));
        }
        if publish_ahead < Self::PUBLISH_AHEAD_MIN {
            faults.push(ImpossibleMargin::PublishAhead(publish_ahead));
        } else if publish_ahead > period {
            faults.push(ImpossibleMargin::PublishAheadBeyondPeriod { publish_ahead, period });
        }
        if grace < Self::grace_min() {
            faults.push(ImpossibleMargin::Grace(grace));
        } else if grace > 2 * period {
            faults.push(ImpossibleMargin::GraceBeyondPeriod { grace, period });
        }
        if faults.is_empty() { Ok(Self { margins }) } else { Err(faults) }
    }

    /// The margins of a policy that nobody has changed.
    pub const fn standard() -> Self {
        Self { margins: Margins::STANDARD }
    }

    pub fn margins(&self) -> Margins {
        self.margins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_margins_are_possible() {
        assert_eq!(KeyPolicy::new(Margins::STANDARD), Ok(KeyPolicy::standard()));
    }

    #[test]
    fn every_impossible_margin_is_named_at_once() {
        let margins = Margins { period: DAY, publish_ahead: HOUR, grace: HOUR };

        let faults = KeyPolicy::new(margins).unwrap_err();

        assert_eq!(
            faults,
            [ImpossibleMargin::Period(DAY), ImpossibleMargin::PublishAhead(HOUR), ImpossibleMargin::Grace(HOUR)]
        );
        assert_eq!(
            faults[1].to_string(),
            "keys would be published 1 h before they sign; some receivers keep a JWKS for 24 h, so it must be at least 25 h"
        );
    }

    #[test]
    fn margins_that_contradict_each_other_are_refused() {
        let period = 7 * DAY;

        let ahead = KeyPolicy::new(Margins { period, publish_ahead: 8 * DAY, grace: 15 * DAY }).unwrap_err();

        assert!(matches!(ahead[0], ImpossibleMargin::PublishAheadBeyondPeriod { .. }));
        assert!(matches!(ahead[1], ImpossibleMargin::GraceBeyondPeriod { .. }));
    }
}
