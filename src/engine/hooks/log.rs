//! Writing down what came of questions: after the answer, many in one transaction, so that nobody waits for a disk.
//!
//! A place in the queue is taken before a question is put, so that nothing that was asked goes unwritten for want of room.
//! What a killed process had not written yet, a moment's worth, is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::LogInbox;
use crate::domain::hook::Execution;
use crate::engine::Engine;
use crate::engine::job::{self, Woken};
use crate::store::{StoreError, hook_log};

/// Executions that wait to be written; beyond them, questions wait before they are put.
pub(super) const WAITING_MAX: usize = 4_096;
/// Executions that are committed together.
const BATCH: usize = 256;
/// How long a question waits for room in the queue. Somebody is waiting for its answer.
const ROOM_WITHIN: Duration = Duration::from_secs(1);

/// The job: writes executions until nobody makes any more. `abandon` ends it even while the database is away.
pub async fn run(engine: Arc<Engine>, mut inbox: LogInbox, abandon: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            received = inbox.recv_many(&mut batch, BATCH) => received,
            () = abandon.cancelled() => {
                // Questions that are under way are still written down.
                inbox.close();
                inbox.recv_many(&mut batch, BATCH).await
            }
        };
        if received == 0 {
            return;
        }
        if engine.write_executions_patiently(&batch, &abandon).await == Woken::ToEnd {
            tracing::error!(executions.count = batch.len(), "the log of hooks could not be written to its end");
            return;
        }
        batch.clear();
    }
}

impl Engine {
    /// Room in the queue, before a question is put; `None` when there is none for too long.
    pub(super) async fn room_in_hook_log(&self) -> Option<mpsc::OwnedPermit<Execution>> {
        tokio::time::timeout(ROOM_WITHIN, self.hooks.log.clone().reserve_owned()).await.ok()?.ok()
    }

    async fn write_executions_patiently(&self, batch: &[Execution], abandon: &CancellationToken) -> Woken {
        loop {
            let error = match self.write_executions(batch).await {
                Ok(()) => return Woken::ToWork,
                Err(error) => error,
            };
            tracing::error!(
                error = &error as &dyn std::error::Error,
                executions.count = batch.len(),
                "executions of hooks could not be written down"
            );
            if !matches!(error, StoreError::Unavailable(_) | StoreError::Contended(_)) {
                return Woken::ToWork;
            }
            if job::pause(job::AFTER_FAILURE, abandon).await == Woken::ToEnd {
                return Woken::ToEnd;
            }
        }
    }

    async fn write_executions(&self, batch: &[Execution]) -> Result<(), StoreError> {
        let mut tx = self.store.write_at_once().await?;
        hook_log::append(tx.conn(), batch).await?;
        tx.commit().await
    }
}
