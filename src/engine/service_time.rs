//! Measuring the time by which margins are counted.
//!
//! One count in the database is raised by whichever node has seen it stand still for a while, by as much as that node
//! measured with a clock that cannot be set. Two nodes never count the same span: whoever loses the race begins anew with
//! the winner's count. So the count may lag behind real time and never runs ahead of it.

use std::time::Duration;

use tokio::sync::Mutex;

use super::Engine;
use crate::domain::key_ring::{Profile, ServiceTime};
use crate::store::{StoreError, service_time};

/// How long a count stands before it is raised: each time is a write.
const RAISED_EVERY: Duration = Duration::from_secs(30);
/// The same where margins are seconds.
const RAISED_IN_DEVELOPMENT_EVERY: Duration = Duration::from_millis(500);

/// The count as this node saw it last, and since when by its monotonic clock. Held while measuring: whoever saw a count
/// that its own node had raised a moment ago would take it for another's and begin anew.
#[derive(Default)]
pub(super) struct Measured(Mutex<Option<(ServiceTime, Duration)>>);

impl Engine {
    /// Raises the count if it is time; answers whether it did.
    pub(super) async fn measure(&self) -> Result<bool, StoreError> {
        let development = |profile| profile == Profile::Development;
        let every = match self.all_tenants().iter().any(|keys| development(keys.policy.profile())) {
            true => RAISED_IN_DEVELOPMENT_EVERY,
            false => RAISED_EVERY,
        };
        let mut seen = self.measured.0.lock().await;
        // Before the count is read: what passes while it is read is not counted.
        let until = self.clock.monotonic();
        let mut reader = self.store.read().await?;
        let count = service_time::get(reader.conn()).await?;
        drop(reader);
        let since = match *seen {
            Some((known, since)) if known == count => since,
            _ => {
                // After it is read: another node may have raised it a moment ago.
                *seen = Some((count, self.clock.monotonic()));
                return Ok(false);
            }
        };
        let measured = until.saturating_sub(since);
        if measured < every {
            return Ok(false);
        }
        let mut tx = self.store.write().await?;
        let raised = count.plus(measured);
        if !service_time::advance(tx.conn(), count, raised).await? {
            return Ok(false);
        }
        tx.commit().await?;
        *seen = Some((raised, until));
        Ok(true)
    }
}
