//! A webhook's life: what is heard of its receiver, and what its owner does, decides whether it hears of events.
//!
//! A receiver that acknowledges nothing for five days is not there any more, and is not tried for ever. Its tenant is warned
//! at half time, and always has the other half to act in. One that is declared in the configuration is warned of and never given
//! up: who wants it gone takes it out there.
//!
//! A receiver that must show again and again that it wants deliveries has as long for that, and the same warning; after that it
//! is sent nothing until it has.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// A receiver that acknowledged nothing for this long is given up.
pub const GIVEN_UP_AFTER: Duration = Duration::from_hours(5 * 24);
/// When its tenant is warned.
pub const WARNED_AFTER: Duration = Duration::from_hours(60);
/// What it has to act in, at least.
const REST: Duration = GIVEN_UP_AFTER.saturating_sub(WARNED_AFTER);

/// Who says what a webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody who asked the API.
    Registered,
    /// The operator, in the configuration. Only there is it changed, and nothing that its receiver does disables it.
    Declared,
}

/// Why a webhook hears of nothing at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// Somebody switched it off.
    Requested,
    /// Its receiver answered 410 Gone.
    Gone,
    /// Its receiver acknowledged nothing for five days.
    Failing,
}

impl DisabledReason {
    pub const ALL: [Self; 3] = [Self::Requested, Self::Gone, Self::Failing];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Whether a webhook hears of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookState {
    Enabled,
    /// It does, and acknowledges nothing.
    Failing {
        since: Timestamp,
        warned_at: Option<Timestamp>,
    },
    /// It does, and its receiver has not shown again that it wants to. Whatever it acknowledges, that alone ends it: a server
    /// that acknowledges everything may not know what it is sent.
    Unproven {
        since: Timestamp,
        warned_at: Option<Timestamp>,
    },
    /// It hears of nothing until its receiver has shown that it wants to.
    Pending {
        since: Timestamp,
    },
    Disabled {
        at: Timestamp,
        reason: DisabledReason,
    },
}

/// Something that happens to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// Its receiver has shown that it wants deliveries.
    Activated,
    /// Its receiver was asked to show it again, and did not.
    NotShown,
    /// Its receiver must show that first, or anew.
    MustActivate,
    SwitchedOn,
    SwitchedOff,
    /// It got another URL.
    Moved,
    /// Its receiver acknowledged a delivery.
    Acknowledged,
    /// An attempt failed, and so did all since this instant.
    Failed {
        since: Timestamp,
    },
    /// Its receiver answered 410 Gone.
    Gone,
}

/// What others are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It will be disabled if nothing changes, unless it is declared.
    Failing,
    Disabled,
    Enabled,
}

impl News {
    /// The type of the event that tells it.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Failing => "signet.webhook.failing",
            Self::Disabled => "signet.webhook.disabled",
            Self::Enabled => "signet.webhook.enabled",
        }
    }
}

impl WebhookState {
    pub fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled | Self::Failing { .. } | Self::Unproven { .. })
    }

    /// Whether its owner wants it to hear of events, though it may not yet.
    pub fn is_switched_on(self) -> bool {
        !matches!(self, Self::Disabled { .. })
    }

    /// Every word for one.
    pub const NAMES: [&'static str; 4] = ["active", "failing", "pending", "disabled"];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "active",
            Self::Failing { .. } | Self::Unproven { .. } => "failing",
            Self::Pending { .. } => "pending",
            Self::Disabled { .. } => "disabled",
        }
    }

    /// What becomes of it, and what is told of that.
    #[must_use]
    pub fn after(self, origin: Origin, occurrence: Occurrence, now: Timestamp) -> (Self, Option<News>) {
        let disabled = |reason| (Self::Disabled { at: now, reason }, Some(News::Disabled));
        match (self, occurrence) {
            (Self::Pending { .. }, Occurrence::MustActivate) => (self, None),
            (_, Occurrence::MustActivate) => (Self::Pending { since: now }, None),
            (Self::Pending { .. } | Self::Disabled { .. }, Occurrence::Activated)
            | (Self::Disabled { .. }, Occurrence::SwitchedOn) => (Self::Enabled, Some(News::Enabled)),
            (Self::Disabled { .. }, _)
            | (_, Occurrence::SwitchedOn)
            | (
                Self::Pending { .. },
                Occurrence::Moved
                | Occurrence::Acknowledged
                | Occurrence::Failed { .. }
                | Occurrence::NotShown
                | Occurrence::Gone,
            )
            | (Self::Unproven { .. }, Occurrence::Acknowledged | Occurrence::Failed { .. }) => (self, None),
            (_, Occurrence::SwitchedOff) => disabled(DisabledReason::Requested),
            (_, Occurrence::Gone) if origin == Origin::Declared => (self, None),
            (_, Occurrence::Gone) => disabled(DisabledReason::Gone),
            (_, Occurrence::Moved | Occurrence::Acknowledged | Occurrence::Activated) => (Self::Enabled, None),
            (Self::Enabled | Self::Failing { .. }, Occurrence::NotShown) => {
                (Self::Unproven { since: now, warned_at: None }, None)
            }
            (Self::Unproven { since, warned_at: None }, Occurrence::NotShown) if now >= since.plus(WARNED_AFTER) => {
                (Self::Unproven { since, warned_at: Some(now) }, Some(News::Failing))
            }
            (Self::Unproven { since, warned_at: Some(warned_at) }, Occurrence::NotShown)
                if origin == Origin::Registered && is_over(since, warned_at, now) =>
            {
                (Self::Pending { since: now }, Some(News::Disabled))
            }
            (Self::Enabled, Occurrence::Failed { since }) => (Self::Failing { since, warned_at: None }, None),
            (Self::Failing { since, warned_at: None }, Occurrence::Failed { .. })
                if now >= since.plus(WARNED_AFTER) =>
            {
                (Self::Failing { since, warned_at: Some(now) }, Some(News::Failing))
            }
            (Self::Failing { since, warned_at: Some(warned_at) }, Occurrence::Failed { .. })
                if origin == Origin::Registered && is_over(since, warned_at, now) =>
            {
                disabled(DisabledReason::Failing)
            }
            (Self::Failing { .. }, Occurrence::Failed { .. }) | (Self::Unproven { .. }, Occurrence::NotShown) => {
                (self, None)
            }
        }
    }
}

/// Whether its time is up, and its tenant has had what it has to act in.
fn is_over(since: Timestamp, warned_at: Timestamp, now: Timestamp) -> bool {
    now >= since.plus(GIVEN_UP_AFTER) && now >= warned_at.plus(REST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn occurrence() -> impl Strategy<Value = Occurrence> {
        prop_oneof![
            20 => Just(Occurrence::Failed { since: START }),
            1 => Just(Occurrence::Acknowledged),
            1 => Just(Occurrence::SwitchedOn),
            1 => Just(Occurrence::SwitchedOff),
            1 => Just(Occurrence::Moved),
            1 => Just(Occurrence::Activated),
            5 => Just(Occurrence::NotShown),
        ]
    }

    #[test]
    fn a_warning_comes_at_half_time_and_the_end_as_long_after_it() {
        let failed = Occurrence::Failed { since: START };
        let after = |state: WebhookState, now| state.after(Origin::Registered, failed, now);
        let (failing, _) = after(WebhookState::Enabled, START);
        let late = START.plus(GIVEN_UP_AFTER * 2);

        let (warned, news) = after(failing, late);

        assert_eq!(news, Some(News::Failing), "nobody is given up without a warning");
        assert_eq!(after(warned, late.plus(HOUR)), (warned, None));
        assert_eq!(after(warned, late.plus(HOUR * 60)).1, Some(News::Disabled));
    }

    #[test]
    fn who_does_not_show_it_again_is_asked_to_show_it_first_however_much_it_acknowledges() {
        let after = |state: WebhookState, occurrence, now| state.after(Origin::Registered, occurrence, now);
        let failed = Occurrence::Failed { since: START };
        let (mut state, mut told) = (WebhookState::Failing { since: START, warned_at: None }, Vec::new());

        for hours in 0..=120 {
            let now = START.plus(HOUR * hours);
            assert!(state.is_enabled(), "after {hours} hours");
            for occurrence in [Occurrence::NotShown, Occurrence::Acknowledged, failed, Occurrence::SwitchedOn] {
                let (next, news) = after(state, occurrence, now);
                state = next;
                told.extend(news.map(|news| (hours, news)));
            }
        }

        assert_eq!(told, [(60, News::Failing), (120, News::Disabled)]);
        assert_eq!(state, WebhookState::Pending { since: START.plus(GIVEN_UP_AFTER) });
        let unproven = WebhookState::Unproven { since: START, warned_at: None };
        assert_eq!(after(unproven, Occurrence::Activated, START), (WebhookState::Enabled, None));
    }

    proptest! {
        #[test]
        fn only_its_owner_disables_one_that_is_declared(
            course in prop::collection::vec((occurrence(), any::<bool>(), 0_u32..60), 1..80),
        ) {
            let (mut state, mut now) = (WebhookState::Enabled, START);
            for (occurrence, is_gone, hours) in course {
                now = now.plus(HOUR * hours);
                let occurrence = if is_gone { Occurrence::Gone } else { occurrence };
                let (after, news) = state.after(Origin::Declared, occurrence, now);
                if after.is_enabled() != state.is_enabled() || news == Some(News::Disabled) {
                    let is_asked_for = matches!(
                        occurrence,
                        Occurrence::SwitchedOff | Occurrence::SwitchedOn | Occurrence::Activated
                    );
                    prop_assert!(is_asked_for, "{occurrence:?}");
                }
                state = after;
            }
        }

        #[test]
        fn only_who_failed_for_five_days_and_was_warned_is_given_up(
            course in prop::collection::vec((occurrence(), 0_u32..60), 1..80),
        ) {
            let (mut state, mut now) = (WebhookState::Enabled, START);
            // As the one that sends knows it: since the receiver last acknowledged anything.
            let (mut failing_since, mut heard_at) = (None, START);
            for (occurrence, hours) in course {
                now = now.plus(HOUR * hours);
                let occurrence = match occurrence {
                    Occurrence::Failed { .. } => Occurrence::Failed { since: *failing_since.get_or_insert(now) },
                    other => other,
                };
                if matches!(occurrence, Occurrence::Acknowledged | Occurrence::Activated | Occurrence::Moved) {
                    (failing_since, heard_at) = (None, now);
                }
                let (after, _) = state.after(Origin::Registered, occurrence, now);
                let is_given_up = matches!(after, WebhookState::Disabled { reason: DisabledReason::Failing, .. });
                if is_given_up && state.is_enabled() {
                    let WebhookState::Failing { since, warned_at: Some(warned_at) } = state else {
                        return Err(TestCaseError::fail("nobody was warned"));
                    };
                    prop_assert!(now.since(since) >= GIVEN_UP_AFTER && now.since(warned_at) >= REST);
                    prop_assert!(heard_at <= since);
                }
                state = after;
            }
        }
    }
}
