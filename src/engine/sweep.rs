//! Forgetting what nobody may ask for any more, a bounded batch at a time, and making room for the days to come.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::job::{self, Woken};
use crate::domain::id::{EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::store::{Conn, StoreError, answers, history, hook_log, idempotency, webhooks};

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
        if let Err(error) = engine.sweep(&end).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "sweeping failed; trying again later");
        }
        let until = engine.clock.now().plus(EVERY);
        if job::rest(&engine.clock, never.notified(), until, &end).await == Woken::ToEnd {
            return;
        }
    }
}

impl Engine {
    /// Makes room for the days to come, and forgets what is old enough, batch by batch.
    pub async fn sweep(&self, end: &CancellationToken) -> Result<(), StoreError> {
        self.open_days().await?;
        let now = self.clock.now();
        self.repeat(Forgetting::Names { before: now.minus(IDEMPOTENCY_FOR) }, end).await?;
        self.repeat(Forgetting::Answers { before: now.minus(IDEMPOTENCY_FOR) }, end).await?;
        self.repeat(Forgetting::Executions { before: now.minus(self.terms.retention) }, end).await?;
        let uncollected = self.sweep_mail(end).await?;
        let mut reader = self.store.read().await?;
        let queued = history::oldest_queued(reader.conn()).await?;
        drop(reader);
        let owed = queued.into_iter().chain(uncollected).min().map(|id| id.accepted_at().start_of_day());
        let kept = now.minus(self.terms.retention).start_of_day();
        self.forget_history(owed.map_or(kept, |owed| owed.min(kept)), end).await
    }

    /// Makes room for today and the days to come, where days have rooms of their own.
    pub async fn open_days(&self) -> Result<(), StoreError> {
        let mut reader = self.store.read().await?;
        let missing = history::missing_days(reader.conn(), self.clock.now(), DAYS_AHEAD).await?;
        drop(reader);
        for room in missing {
            let mut tx = self.store.write().await?;
            history::hold(tx.conn()).await?;
            match history::open_day(tx.conn(), room).await {
                Ok(()) => tx.commit().await?,
                // Some of that day's rows are in the rest already, and stay there.
                Err(StoreError::Conflict(why)) => tracing::warn!(?room, why, "a day has no room of its own"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Forgets whole days before this instant, which nothing that is still to be delivered belongs to.
    async fn forget_history(&self, before: Timestamp, end: &CancellationToken) -> Result<(), StoreError> {
        self.repeat(Forgetting::Day { before }, end).await?;
        let first_kept = EventId::first_at(before);
        let mut reader = self.store.read().await?;
        let webhooks = history::with_deliveries_before(reader.conn(), first_kept).await?;
        drop(reader);
        for webhook_id in webhooks {
            self.repeat(Forgetting::Deliveries { webhook_id, first_kept }, end).await?;
        }
        self.repeat(Forgetting::Events { first_kept }, end).await?;
        self.repeat(Forgetting::Webhooks { before }, end).await
    }

    /// Takes a step as long as it answers that there may be more, each time in a transaction of its own.
    async fn repeat(&self, step: Forgetting, end: &CancellationToken) -> Result<(), StoreError> {
        loop {
            let mut tx = self.store.write().await?;
            history::hold(tx.conn()).await?;
            let more = step.once(tx.conn()).await?;
            tx.commit().await?;
            if !more || job::pause(BREATHE, end).await == Woken::ToEnd {
                return Ok(());
            }
        }
    }
}

/// One kind of thing that is forgotten in batches.
#[derive(Debug, Clone, Copy)]
enum Forgetting {
    Names { before: Timestamp },
    Answers { before: Timestamp },
    Executions { before: Timestamp },
    Day { before: Timestamp },
    Deliveries { webhook_id: WebhookId, first_kept: EventId },
    Events { first_kept: EventId },
    Webhooks { before: Timestamp },
}

impl Forgetting {
    /// Forgets one batch; answers whether there may be more.
    async fn once(self, conn: &mut Conn) -> Result<bool, StoreError> {
        let forgotten = match self {
            Self::Names { before } => idempotency::forget(conn, before, BATCH).await?,
            Self::Answers { before } => answers::forget(conn, before, BATCH).await?,
            Self::Executions { before } => hook_log::forget(conn, before, BATCH).await?,
            Self::Day { before } => return history::drop_day(conn, before).await,
            Self::Deliveries { webhook_id, first_kept } => {
                history::forget_deliveries(conn, webhook_id, first_kept, BATCH).await?
            }
            Self::Events { first_kept } => history::forget_events(conn, first_kept, BATCH).await?,
            Self::Webhooks { before } => webhooks::forget(conn, before, BATCH).await?,
        };
        Ok(forgotten == u64::from(BATCH))
    }
}
