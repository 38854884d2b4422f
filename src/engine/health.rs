//! How receivers fare: what is kept of it in memory, and the few moments at which it is written down.
//!
//! A receiver that fails now and then costs no write: only one that acknowledges nothing for a minute is marked, and unmarked
//! when it acknowledges something. Each node goes by what it has seen itself; an acknowledgement on any of them counts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Engine;
use crate::domain::delivery::{Attempt, FailureKind, Outcome};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{News, Occurrence, Origin, WebhookState};
use crate::store::webhooks::{self, Listener};
use crate::store::{Conn, StoreError};

/// For how long a receiver fails before it is written down.
const NOTED_AFTER: Duration = Duration::from_mins(1);
/// How often it is written down that a receiver acknowledges what it is sent.
const HEARD_EVERY: Duration = Duration::from_mins(1);

/// What this node knows of a receiver.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Since when it has acknowledged nothing.
    failing_since: Option<Timestamp>,
    /// When it was last written down that it did.
    heard_at: Option<Timestamp>,
}

impl Health {
    /// Whether what is known counts for another version of the webhook, which was changed at an instant: not when somebody
    /// has acted since, nor when another node has heard its receiver acknowledge something.
    pub(super) fn goes_on(&self, before: WebhookState, after: WebhookState, changed_at: Timestamp) -> bool {
        let since = self.known().failing_since;
        let was_failing = matches!(before, WebhookState::Failing { .. } | WebhookState::Unproven { .. });
        let was_heard = was_failing && after == WebhookState::Enabled;
        !was_heard && since.is_none_or(|since| since >= changed_at)
    }

    /// Takes note of an attempt at a receiver that was in this state; answers what is to be written down, which is seldom
    /// anything.
    pub(super) fn note(
        &self,
        (origin, state): (Origin, WebhookState),
        attempt: &Attempt,
        now: Timestamp,
    ) -> Option<Occurrence> {
        let mut known = self.known();
        if attempt.outcome.is_acknowledged() {
            known.failing_since = None;
            return matches!(state, WebhookState::Failing { .. }).then_some(Occurrence::Acknowledged);
        }
        if attempt.outcome == Outcome::Failed(FailureKind::Internal) {
            // It never heard of it.
            return None;
        }
        let since = *known.failing_since.get_or_insert(attempt.started_at);
        let failed = Occurrence::Failed { since };
        let is_due = match state {
            WebhookState::Enabled => now >= since.plus(NOTED_AFTER),
            WebhookState::Failing { .. }
            | WebhookState::Unproven { .. }
            | WebhookState::Pending { .. }
            | WebhookState::Disabled { .. } => state.after(origin, failed, now).0 != state,
        };
        is_due.then_some(failed)
    }

    /// Whether it is to be written down now that the receiver acknowledged something, which is seldom.
    pub(super) fn hears(&self, attempt: &Attempt, now: Timestamp) -> bool {
        let mut known = self.known();
        let is_due = known.heard_at.is_none_or(|heard_at| now >= heard_at.plus(HEARD_EVERY));
        let is_heard = is_due && attempt.outcome.is_acknowledged();
        if is_heard {
            known.heard_at = Some(now);
        }
        is_heard
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a receiver did, and the version of the webhook that was spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) listener: Listener,
    pub(super) occurrence: Occurrence,
}

impl Engine {
    /// Writes down what becomes of webhooks whose receivers were heard, if they are still in the version that was spoken to.
    /// Answers what news there is.
    pub(super) async fn live_on(
        &self,
        conn: &mut Conn,
        mut heard: Vec<Heard>,
        now: Timestamp,
    ) -> Result<Vec<(Listener, News)>, StoreError> {
        // In one order everywhere, so that two nodes do not wait for each other; of one webhook, what matters most.
        let weight = |heard: &Heard| match heard.occurrence {
            Occurrence::Gone => 0,
            Occurrence::Acknowledged => 1,
            _ => 2,
        };
        heard.sort_by_key(|heard| (heard.listener.webhook_id, weight(heard)));
        heard.dedup_by_key(|heard| heard.listener.webhook_id);
        let mut told = Vec::new();
        for Heard { listener, occurrence } in heard {
            let found = webhooks::addressees(conn, &[listener.webhook_id]).await?;
            let Some(found) = super::sound(found).find(|found| !found.is_deleted) else { continue };
            let mut webhook = found.webhook;
            if webhook.version != listener.version {
                continue;
            }
            let (state, news) = webhook.after(occurrence, now);
            if state == webhook.state {
                continue;
            }
            webhook.state = state;
            if !state.is_enabled() {
                webhook.updated_at = now;
            }
            if webhooks::update_state(conn, &webhook).await?
                && let Some(news) = news
            {
                self.announce_news(conn, &webhook, news, now).await?;
                told.push((listener, news));
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
    const ENABLED: (Origin, WebhookState) = (Origin::Registered, WebhookState::Enabled);

    fn attempt(outcome: Outcome, after: u64) -> (Attempt, Timestamp) {
        let started_at = START.plus(Duration::from_secs(after));
        let took_for = Duration::ZERO;
        (Attempt { number: 1, started_at, took_for, outcome, excerpt: String::new(), kid: None }, started_at)
    }

    fn answered(status_code: u16) -> Outcome {
        Outcome::Answered { status_code, retry_after: None }
    }

    #[test]
    fn who_fails_now_and_then_costs_no_write() {
        let health = Health::default();
        let course = [(0, 500), (30, 200), (50, 500), (90, 500), (109, 200), (110, 500)];

        for (after, status_code) in course {
            let (attempt, now) = attempt(answered(status_code), after);
            assert_eq!(health.note(ENABLED, &attempt, now), None, "{after}");
        }
    }

    #[test]
    fn who_acknowledges_all_the_time_is_written_down_once_a_minute() {
        let health = Health::default();
        let course = [(0, 500), (10, 204), (20, 200), (69, 200), (71, 500), (72, 200), (80, 200), (132, 200)];

        let heard = course.map(|(after, status_code)| {
            let (attempt, now) = attempt(answered(status_code), after);
            health.hears(&attempt, now)
        });

        assert_eq!(heard, [false, true, false, false, false, true, false, true]);
    }

    #[test]
    fn who_fails_for_a_minute_is_written_down_from_its_first_failure() {
        let health = Health::default();
        for after in [10, 20] {
            let (attempt, now) = attempt(answered(500), after);
            assert_eq!(health.note(ENABLED, &attempt, now), None);
        }

        let (last, now) = attempt(answered(404), 70);
        let since = START.plus(Duration::from_secs(10));

        assert_eq!(health.note(ENABLED, &last, now), Some(Occurrence::Failed { since }));
        let failing = WebhookState::Failing { since, warned_at: None };
        assert_eq!(health.note((Origin::Registered, failing), &last, now), None, "nothing new");
        let (acknowledged, now) = attempt(answered(204), 80);
        assert_eq!(health.note((Origin::Registered, failing), &acknowledged, now), Some(Occurrence::Acknowledged));
    }

    #[test]
    fn who_is_switched_on_again_or_was_heard_elsewhere_begins_anew() {
        let health = Health::default();
        let (failed, now) = attempt(answered(500), 10);
        health.note(ENABLED, &failed, now);
        let failing = WebhookState::Failing { since: now, warned_at: None };

        assert!(health.goes_on(WebhookState::Enabled, failing, START));
        assert!(health.goes_on(WebhookState::Enabled, WebhookState::Enabled, START));
        assert!(!health.goes_on(failing, WebhookState::Enabled, START));
        assert!(!health.goes_on(WebhookState::Enabled, WebhookState::Enabled, now.plus(Duration::from_secs(1))));
    }

    #[test]
    fn what_we_could_not_send_is_not_the_receiver_s_failure() {
        let health = Health::default();

        for after in [0, 1_000] {
            let (attempt, now) = attempt(Outcome::Failed(FailureKind::Internal), after);
            assert_eq!(health.note(ENABLED, &attempt, now), None);
        }
    }
}
