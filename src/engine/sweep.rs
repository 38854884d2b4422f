//! Forgetting what nobody may ask for any more, a bounded batch at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::job::{self, Woken};
use crate::store::{StoreError, idempotency};

/// How long a caller may repeat itself under the same idempotency key.
pub const IDEMPOTENCY_FOR: Duration = Duration::from_hours(24);
const EVERY: Duration = Duration::from_mins(10);
const BATCH: u32 = 1_000;

/// The job.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    let never = tokio::sync::Notify::new();
    loop {
        match engine.sweep_once().await {
            Ok(true) if !end.is_cancelled() => continue,
            Ok(_) => {}
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
    /// Forgets one batch; answers whether there may be more.
    pub async fn sweep_once(&self) -> Result<bool, StoreError> {
        let before = self.clock.now().minus(IDEMPOTENCY_FOR);
        let mut tx = self.store.write().await?;
        let forgotten = idempotency::forget(tx.conn(), before, BATCH).await?;
        tx.commit().await?;
        Ok(forgotten == u64::from(BATCH))
    }
}
