//! Forgetting what nobody may ask for any more, a bounded batch at a time, and making room for the days to come.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::job::{self, Woken};
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::store::{Conn, StoreError, history, idempotency, webhooks};

/// How long a caller may repeat itself under the same idempotency key.
pub const IDEMPOTENCY_FOR: Duration = Duration::from_hours(24);
const EVERY: Duration = Duration::from_mins(10);
/// How long to leave the database to others between two batches.
const BREATHE: Duration = Duration::from_millis(20);
/// Rows that are deleted in one transaction, of one table and one webhook.
const BATCH: u32 = 500;
/// For how many days after today there is room beforehand. A sweep that fails for longer costs tidiness, not events.
const DAYS_AHEAD: u32 = 2;

/// The job.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    let never = tokio::sync::Notify::new();
    loop {
        match engine.sweep_once().await {
            Ok(true) => {
                if job::pause(BREATHE, &end).await == Woken::ToEnd {
                    return;
                }
                continue;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "sweeping failed; trying again later");
            }
        }
        let until = engine.clock.now().plus(EVERY);
        if job::rest(&engine.clock, never.notified(), until, &end).await == Woken::ToEnd {
            return;
        }
    }
}

impl Engine {
    /// Makes room for the days to come, and forgets one batch; answers whether there may be more.
    pub async fn sweep_once(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.open_days().await?;
        let mut tx = self.store.write().await?;
        history::hold(tx.conn()).await?;
        let names = idempotency::forget(tx.conn(), now.minus(IDEMPOTENCY_FOR), BATCH).await?;
        let more = self.forget_history(tx.conn(), now).await?;
        tx.commit().await?;
        Ok(more || names == u64::from(BATCH))
    }

    /// Makes room for today and the days to come, where days have rooms of their own.
    pub async fn open_days(&self) -> Result<(), StoreError> {
        loop {
            let mut tx = self.store.write().await?;
            history::hold(tx.conn()).await?;
            match history::open_day(tx.conn(), self.clock.now(), DAYS_AHEAD).await {
                Ok(true) => tx.commit().await?,
                Ok(false) => return Ok(()),
                // Some of that day's events are in the room for all others already, and stay there.
                Err(StoreError::Conflict(why)) => {
                    tracing::warn!(why, "a day has no room of its own");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets whole days that lie beyond the retention, but nothing that is still to be delivered.
    async fn forget_history(&self, conn: &mut Conn, now: Timestamp) -> Result<bool, StoreError> {
        let before = now.minus(self.terms.retention).start_of_day();
        let owed = history::oldest_queued(conn).await?.map(|id| id.accepted_at().start_of_day());
        let before = owed.map_or(before, |owed| owed.min(before));
        if history::drop_day(conn, before).await? {
            tracing::info!(before = %before, "a day's history was dropped");
            return Ok(true);
        }
        if history::forget(conn, EventId::first_at(before), BATCH).await? {
            return Ok(true);
        }
        Ok(webhooks::forget(conn, before, BATCH).await? == u64::from(BATCH))
    }
}
