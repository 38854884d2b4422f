//! Writing down what became of attempts, many in one transaction.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::job::{self, Woken};
use crate::domain::delivery::{Attempt, Claim, DeliveryKey, Ending, Settlement};
use crate::domain::id::WebhookId;
use crate::domain::time::Timestamp;
use crate::store::deliveries::{self, Ended};
use crate::store::queue::{self, Postponed};
use crate::store::{StoreError, webhooks};

/// Verdicts that are committed together.
const BATCH: usize = 256;

/// What became of a claim, to be written. Consumed by the writing: a claim is settled once.
pub struct Verdict {
    pub(super) claim: Claim,
    /// None when no attempt was made, because nobody listens any more.
    pub(super) attempt: Option<Attempt>,
    pub(super) settlement: Settlement,
}

/// The job: writes verdicts until nobody makes any more. `abandon` ends it even while the database is away.
pub async fn run(engine: Arc<Engine>, mut verdicts: mpsc::Receiver<Verdict>, abandon: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            received = verdicts.recv_many(&mut batch, BATCH) => received,
            () = abandon.cancelled() => {
                verdicts.close();
                verdicts.recv_many(&mut batch, BATCH).await
            }
        };
        if received == 0 {
            return;
        }
        while let Err(error) = engine.write_verdicts(&batch).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                verdicts.count = batch.len(),
                "outcomes could not be written; trying again"
            );
            if job::pause(job::AFTER_FAILURE, &abandon).await == Woken::ToEnd {
                return;
            }
        }
        batch.clear();
    }
}

/// A batch of verdicts, sorted by what is to be written.
#[derive(Default)]
struct Sorted {
    ended: Vec<Ended>,
    postponed: Vec<Postponed>,
    gone: Vec<WebhookId>,
}

impl Sorted {
    fn of(batch: &[Verdict], now: Timestamp) -> Self {
        let mut sorted = Self::default();
        for Verdict { claim, settlement, .. } in batch {
            let ended = |ending| Ended { key: claim.key, ending, attempts: claim.attempt, at: now };
            match *settlement {
                Settlement::Ended(ending) => sorted.ended.push(ended(ending)),
                Settlement::Retry { due_at } => {
                    sorted.postponed.push(Postponed { key: claim.key, attempt: claim.attempt, due_at });
                }
                Settlement::Gone => {
                    sorted.ended.push(ended(Ending::Exhausted));
                    sorted.gone.push(claim.key.webhook_id);
                }
            }
        }
        sorted.gone.sort_unstable();
        sorted.gone.dedup();
        sorted
    }
}

impl Engine {
    async fn write_verdicts(&self, batch: &[Verdict]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let sorted = Sorted::of(batch, now);
        let attempts: Vec<(DeliveryKey, &Attempt)> =
            batch.iter().filter_map(|verdict| Some((verdict.claim.key, verdict.attempt.as_ref()?))).collect();
        let claims: Vec<(DeliveryKey, u32)> = sorted.ended.iter().map(|ended| (ended.key, ended.attempts)).collect();
        let mut tx = self.store.write().await?;
        let removed = queue::remove(tx.conn(), &claims).await?;
        let ended: Vec<Ended> = sorted.ended.into_iter().filter(|ended| removed.contains(&ended.key)).collect();
        deliveries::append(tx.conn(), &ended).await?;
        deliveries::append_attempts(tx.conn(), &attempts).await?;
        queue::postpone(tx.conn(), &sorted.postponed).await?;
        webhooks::disable_gone(tx.conn(), &sorted.gone, now).await?;
        tx.commit().await?;
        for ended in ended.iter().filter(|ended| ended.ending == Ending::Exhausted) {
            tracing::warn!(event.id = %ended.key.event_id, webhook.id = %ended.key.webhook_id, delivery.attempts = ended.attempts, "a delivery was given up");
        }
        for webhook_id in sorted.gone {
            tracing::warn!(webhook.id = %webhook_id, "a webhook was disabled because its receiver answered 410 Gone");
        }
        if !sorted.postponed.is_empty() {
            let mut lanes = self.lanes();
            sorted.postponed.iter().for_each(|later| lanes.note_due(later.key.webhook_id, later.due_at));
            self.due.notify_one();
        }
        Ok(())
    }
}
