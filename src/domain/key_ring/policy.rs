//! The margins of rotation. A policy that exists cannot break a receiver that behaves as documented.

use std::fmt;
use std::time::Duration;

use crate::domain::token::TokenTtl;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How far a receiver's clock may be off in either direction.
const CLOCK_SKEW: Duration = Duration::from_mins(5);
/// How long a signed delivery may be under way.
const DELIVERY_BUDGET: Duration = Duration::from_secs(30);
/// The longest that receivers are known to keep a JWKS.
const RECEIVER_CACHE: Duration = DAY;
/// By how much publishing everywhere may take longer than it seems: nodes load keys within seconds, and clocks that
/// measure spans are a little wrong.
const PUBLISHING_SLACK: Duration = Duration::from_mins(5);

/// What margins are measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Receivers as they are known to behave: some keep a JWKS for a day.
    Standard,
    /// Margins of seconds, for watching rotations: receivers must ask for the JWKS again whenever they meet an unknown key.
    Development,
}

impl Profile {
    pub const ALL: [Self; 2] = [Self::Standard, Self::Development];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Development => "development",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == text)
    }

    /// How long a receiver may keep the JWKS without asking again (`max-age`).
    pub const fn jwks_max_age(self) -> Duration {
        match self {
            Self::Standard => Duration::from_mins(5),
            Self::Development => Duration::from_secs(1),
        }
    }

    /// How much longer a cache may serve it while it asks (`stale-while-revalidate`).
    pub const fn jwks_stale_while_revalidate(self) -> Duration {
        match self {
            Self::Standard => Duration::from_mins(1),
            Self::Development => Duration::ZERO,
        }
    }

    /// How much longer a cache may serve it while nobody answers (`stale-if-error`).
    pub const fn jwks_stale_if_error(self) -> Duration {
        match self {
            Self::Standard => HOUR,
            Self::Development => Duration::ZERO,
        }
    }

    /// How long a set may be in use that no node serves any more: by a receiver that got it from an HTTP cache which got
    /// no other.
    const fn jwks_forgotten_after(self) -> Duration {
        match self {
            Self::Standard => {
                let cached = self.jwks_max_age().saturating_add(self.jwks_stale_if_error());
                RECEIVER_CACHE.saturating_add(cached).saturating_add(PUBLISHING_SLACK)
            }
            Self::Development => Duration::ZERO,
        }
    }

    /// How long a node that is cut off from the database goes on serving the JWKS it has. A key that it does not list
    /// counts as published only after that.
    pub const fn jwks_outlives_database(self) -> Duration {
        match self {
            Self::Standard => DAY.saturating_mul(2),
            Self::Development => Duration::from_secs(5),
        }
    }

    pub const fn period_min(self) -> Duration {
        match self {
            Self::Standard => DAY.saturating_mul(7),
            Self::Development => Duration::from_secs(2),
        }
    }

    /// What may be wished for. A key that is published for less than caches may lack it waits for those all the same.
    pub const fn publish_ahead_min(self) -> Duration {
        match self {
            Self::Standard => HOUR.saturating_mul(25),
            Self::Development => Duration::from_secs(1),
        }
    }

    /// The shortest safe grace: what the longest-lived token may need, and in earnest a day at least.
    pub fn grace_min(self) -> Duration {
        let cached = self.jwks_max_age() + self.jwks_stale_while_revalidate();
        match self {
            Self::Standard => {
                let token = Duration::from_secs(u64::from(TokenTtl::MAX));
                (token + 2 * CLOCK_SKEW + DELIVERY_BUDGET + cached).max(DAY)
            }
            Self::Development => DELIVERY_BUDGET + cached,
        }
    }

    /// How many retired keys stay published for all of their grace. When rotations on request leave more, the oldest ones
    /// leave after the shortest grace that is safe, so that a JWKS stays as small as receivers take it.
    pub(super) const fn retired_max(self) -> usize {
        match self {
            Self::Standard => 3,
            Self::Development => 30,
        }
    }

    /// For how many periods a retired key may stay published: it bounds how many keys a JWKS lists.
    const fn periods_of_grace_max(self) -> u32 {
        match self {
            Self::Standard => 2,
            Self::Development => 30,
        }
    }
}

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
    profile: Profile,
    margins: Margins,
}

/// Which margin a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    Period,
    PublishAhead,
    Grace,
}

/// One reason why margins are refused. Spans are in the fault so that the words can say by how much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImpossibleMargin {
    #[error("a key would sign for {}, which is {} too short: the period must be at least {}", spoken(*.period), spoken(.least.saturating_sub(*.period)), spoken(*.least))]
    PeriodTooShort { period: Duration, least: Duration },
    #[error("a key would sign for {}, which is {} too long: the period must be at most {}", spoken(*.period), spoken(.period.saturating_sub(KeyPolicy::PERIOD_MAX)), spoken(KeyPolicy::PERIOD_MAX))]
    PeriodTooLong { period: Duration },
    #[error("keys would be published {} before they sign, which is {} too short: {}, so it must be at least {}", spoken(*.publish_ahead), spoken(.least.saturating_sub(*.publish_ahead)), why_ahead(*.least), spoken(*.least))]
    PublishAheadTooShort { publish_ahead: Duration, least: Duration },
    #[error("keys would be published {} before they sign but replaced every {}: publish-ahead must not exceed the period, and does by {}", spoken(*.publish_ahead), spoken(*.period), spoken(.publish_ahead.saturating_sub(*.period)))]
    PublishAheadBeyondPeriod { publish_ahead: Duration, period: Duration },
    #[error("keys would stay published {} after their last signature, which is {} too short: tokens under way and caches may need them for {}", spoken(*.grace), spoken(.least.saturating_sub(*.grace)), spoken(*.least))]
    GraceTooShort { grace: Duration, least: Duration },
    #[error("keys would stay published {} after their last signature, {} longer than the {} at which the JWKS grows beyond what receivers take", spoken(*.grace), spoken(.grace.saturating_sub(*.most)), spoken(*.most))]
    GraceTooLong { grace: Duration, most: Duration },
}

impl ImpossibleMargin {
    pub fn margin(&self) -> Margin {
        match self {
            Self::PeriodTooShort { .. } | Self::PeriodTooLong { .. } => Margin::Period,
            Self::PublishAheadTooShort { .. } | Self::PublishAheadBeyondPeriod { .. } => Margin::PublishAhead,
            Self::GraceTooShort { .. } | Self::GraceTooLong { .. } => Margin::Grace,
        }
    }
}

fn why_ahead(least: Duration) -> &'static str {
    if least < HOUR { "receivers need a moment to fetch them" } else { "some receivers keep a JWKS for 24 h" }
}

/// A span as people say it.
pub(super) fn spoken(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    let (number, unit) = match span {
        _ if span >= 2 * DAY => (seconds / DAY.as_secs_f64(), "days"),
        _ if span >= HOUR => (seconds / HOUR.as_secs_f64(), "h"),
        _ if span >= Duration::from_mins(2) => (seconds / 60.0, "min"),
        _ => (seconds, "s"),
    };
    let text = format!("{number:.2}");
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl fmt::Display for KeyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Margins { period, publish_ahead, grace } = self.margins;
        let (period, ahead, grace) = (spoken(period), spoken(publish_ahead), spoken(grace));
        let profile = self.profile.as_str();
        write!(f, "a key signs for {period}, is published {ahead} before and {grace} after ({profile})")
    }
}

impl KeyPolicy {
    pub const PERIOD_MAX: Duration = DAY.saturating_mul(365);

    /// Accepts margins, or says everything that is wrong with them.
    pub fn new(profile: Profile, margins: Margins) -> Result<Self, Vec<ImpossibleMargin>> {
        let Margins { period, publish_ahead, grace } = margins;
        let mut faults = Vec::new();
        if period < profile.period_min() {
            faults.push(ImpossibleMargin::PeriodTooShort { period, least: profile.period_min() });
        } else if period > Self::PERIOD_MAX {
            faults.push(ImpossibleMargin::PeriodTooLong { period });
        }
        if publish_ahead < profile.publish_ahead_min() {
            let least = profile.publish_ahead_min();
            faults.push(ImpossibleMargin::PublishAheadTooShort { publish_ahead, least });
        } else if publish_ahead > period {
            faults.push(ImpossibleMargin::PublishAheadBeyondPeriod { publish_ahead, period });
        }
        let most = period.saturating_mul(profile.periods_of_grace_max());
        if grace < profile.grace_min() {
            faults.push(ImpossibleMargin::GraceTooShort { grace, least: profile.grace_min() });
        } else if grace > most {
            faults.push(ImpossibleMargin::GraceTooLong { grace, most });
        }
        if faults.is_empty() { Ok(Self { profile, margins }) } else { Err(faults) }
    }

    /// The margins of a policy that nobody has changed.
    pub const fn standard() -> Self {
        Self { profile: Profile::Standard, margins: Margins::STANDARD }
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub fn margins(&self) -> Margins {
        self.margins
    }

    /// How long a key is published before it signs: as long as is wished, and until no cache can lack it.
    pub fn waits_for(&self) -> Duration {
        self.margins.publish_ahead.max(self.profile.jwks_forgotten_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_margins_are_possible() {
        assert_eq!(KeyPolicy::new(Profile::Standard, Margins::STANDARD), Ok(KeyPolicy::standard()));
    }

    #[test]
    fn every_impossible_margin_is_named_at_once_and_by_how_much() {
        let margins = Margins { period: DAY, publish_ahead: HOUR, grace: HOUR };

        let faults = KeyPolicy::new(Profile::Standard, margins).unwrap_err();

        assert_eq!(
            faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "a key would sign for 24 h, which is 6 days too short: the period must be at least 7 days",
                "keys would be published 1 h before they sign, which is 24 h too short: some receivers keep a JWKS for 24 h, so it must be at least 25 h",
                "keys would stay published 1 h after their last signature, which is 23 h too short: tokens under way and caches may need them for 24 h",
            ]
        );
    }

    #[test]
    fn margins_that_contradict_each_other_are_refused() {
        let period = 7 * DAY;
        let margins = Margins { period, publish_ahead: 8 * DAY, grace: 15 * DAY };

        let faults = KeyPolicy::new(Profile::Standard, margins).unwrap_err();

        assert!(matches!(faults[0], ImpossibleMargin::PublishAheadBeyondPeriod { .. }));
        assert!(faults[0].to_string().ends_with("and does by 24 h"), "{}", faults[0]);
        assert!(matches!(faults[1], ImpossibleMargin::GraceTooLong { .. }));
    }

    #[test]
    fn a_key_waits_for_receivers_whose_http_cache_got_no_answer() {
        let shortest = Margins { publish_ahead: 25 * HOUR, ..Margins::STANDARD };

        let policy = KeyPolicy::new(Profile::Standard, shortest).unwrap();

        let cached = Profile::Standard.jwks_max_age() + Profile::Standard.jwks_stale_if_error();
        assert!(policy.waits_for() > DAY + cached);
        assert_eq!(KeyPolicy::standard().waits_for(), Margins::STANDARD.publish_ahead);
    }

    #[test]
    fn margins_of_seconds_must_be_asked_for_by_name() {
        let seconds = Duration::from_secs;
        let margins = Margins { period: seconds(4), publish_ahead: seconds(2), grace: seconds(40) };

        assert_eq!(KeyPolicy::new(Profile::Standard, margins).unwrap_err().len(), 3);
        assert!(KeyPolicy::new(Profile::Development, margins).is_ok());
        assert_eq!(Profile::parse("development"), Some(Profile::Development));
    }
}
