//! What every job does between two steps: rest until it is rung for, until an instant, or until the end.

use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use crate::domain::time::Timestamp;

/// How long a job leaves the database alone after it was not available.
pub const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What ended a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    ToWork,
    ToEnd,
}

/// Rests. Interest in the bell must have been registered before the job looked for work; otherwise what came in between
/// would wait for `until`.
pub async fn rest(clock: &Clock, bell: Notified<'_>, until: Timestamp, end: &CancellationToken) -> Woken {
    tokio::select! {
        () = end.cancelled() => Woken::ToEnd,
        () = bell => Woken::ToWork,
        () = clock.sleep_until(until) => Woken::ToWork,
    }
}

/// Rests until an instant: for what nobody rings for.
pub async fn rest_until(clock: &Clock, until: Timestamp, end: &CancellationToken) -> Woken {
    tokio::select! {
        () = end.cancelled() => Woken::ToEnd,
        () = clock.sleep_until(until) => Woken::ToWork,
    }
}

/// Rests in real time, whatever the clock says: for retrying what the machine, not the schedule, made fail.
pub async fn pause(span: Duration, end: &CancellationToken) -> Woken {
    tokio::select! {
        () = end.cancelled() => Woken::ToEnd,
        () = tokio::time::sleep(span) => Woken::ToWork,
    }
}
