//! Writing down what became of attempts, many in one transaction.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::addressees::Addressee;
use super::health::Heard;
use super::job::{self, Woken};
use crate::domain::delivery::{Attempt, Claim, DeliveryKey, Ending, Settlement};
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{News, Occurrence};
use crate::store::StoreError;
use crate::store::batch::{self, Settled};
use crate::store::deliveries::{self, Ended};
use crate::store::queue::{self, Postponed};
use crate::store::webhooks::{self, Listener};

/// Verdicts that are committed together.
const BATCH: usize = 256;

/// What became of a claim, to be written. Consumed by the writing: a claim is settled once.
pub struct Verdict {
    pub(super) claim: Claim,
    /// None when no attempt was made, because nobody listens any more.
    pub(super) attempt: Option<Attempt>,
    pub(super) settlement: Settlement,
    /// Who was spoken to, or would have been.
    pub(super) addressee: Option<Arc<Addressee>>,
    /// What is to be written down of its receiver.
    pub(super) occurrence: Option<Occurrence>,
    /// Whether it is to be written down that its receiver acknowledged something.
    pub(super) is_heard: bool,
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
        if engine.write_patiently(&batch, &abandon).await == Woken::ToEnd {
            return;
        }
        batch.clear();
    }
}

/// A batch of verdicts, sorted by what is to be written.
#[derive(Default)]
struct Sorted<'a> {
    ended: Vec<Settled<'a>>,
    postponed: Vec<Postponed>,
    /// Whose that is, and when it is due.
    due: Vec<(TenantId, WebhookId, Timestamp)>,
    /// The attempts behind what is postponed.
    tried: Vec<(DeliveryKey, &'a Attempt)>,
    /// With the claims at whose answers they said so.
    gone: Vec<(Listener, DeliveryKey, u32)>,
    heard: Vec<Heard>,
    acknowledged: Vec<WebhookId>,
}

impl<'a> Sorted<'a> {
    fn of(batch: &'a [Verdict], now: Timestamp) -> Self {
        let mut sorted = Self::default();
        for Verdict { claim, attempt, settlement, addressee, occurrence, is_heard } in batch {
            let version = addressee.as_ref().map_or(0, |addressee| addressee.version);
            let listener = Listener { webhook_id: claim.key.webhook_id, version };
            sorted.heard.extend(occurrence.map(|occurrence| Heard { listener, occurrence }));
            sorted.acknowledged.extend(is_heard.then_some(claim.key.webhook_id));
            let (key, fence) = (claim.key, claim.fence);
            let attempts = if attempt.is_some() { claim.attempt } else { claim.attempt.saturating_sub(1) };
            let ended =
                |ending| Settled { ended: Ended { key, ending, attempts, at: now }, fence, attempt: attempt.as_ref() };
            match *settlement {
                Settlement::Ended(ending) => sorted.ended.push(ended(ending)),
                Settlement::Retry { due_at } => {
                    sorted.postponed.push(Postponed { key, fence, attempts, due_at });
                    sorted.due.extend(addressee.as_ref().map(|to| (to.tenant_id, to.webhook_id, due_at)));
                    sorted.tried.extend(attempt.as_ref().map(|attempt| (key, attempt)));
                }
                Settlement::Gone => {
                    sorted.ended.push(ended(Ending::Exhausted));
                    sorted.gone.push((listener, key, fence));
                }
            }
        }
        sorted
    }
}

impl Engine {
    /// Writes a batch. What the database refuses, rather than fails to take, is written one by one, so that a verdict that
    /// cannot be written keeps back no other: its lease ends, it is tried again, and the receiver sees the same jti.
    async fn write_patiently(&self, batch: &[Verdict], abandon: &CancellationToken) -> Woken {
        let Some(refusal) = self.write_once_there(batch, abandon).await else { return Woken::ToEnd };
        if refusal.is_ok() || batch.len() == 1 {
            return Woken::ToWork;
        }
        for verdict in batch.chunks(1) {
            if self.write_once_there(verdict, abandon).await.is_none() {
                return Woken::ToEnd;
            }
        }
        Woken::ToWork
    }

    /// Writes a batch, for as long as it takes the database to be there; `None` when the end comes first.
    async fn write_once_there(&self, batch: &[Verdict], abandon: &CancellationToken) -> Option<Result<(), StoreError>> {
        loop {
            let error = match self.write_verdicts(batch).await {
                Ok(()) => return Some(Ok(())),
                Err(error) => error,
            };
            tracing::error!(
                error = &error as &dyn std::error::Error,
                verdicts.count = batch.len(),
                "outcomes could not be written"
            );
            if !matches!(error, StoreError::Unavailable(_) | StoreError::Contended(_)) {
                return Some(Err(error));
            }
            if job::pause(job::AFTER_FAILURE, abandon).await == Woken::ToEnd {
                return None;
            }
        }
    }

    async fn write_verdicts(&self, batch: &[Verdict]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut sorted = Sorted::of(batch, now);
        // What ends is written by one statement; what does not needs more.
        let gives_up = |one: &Settled<'_>| one.ended.ending == Ending::Exhausted;
        let ends = sorted.postponed.is_empty() && sorted.heard.is_empty() && !sorted.ended.iter().any(gives_up);
        let mut tx = if ends { self.store.write_at_once().await? } else { self.store.write().await? };
        let held = batch::end(tx.conn(), &sorted.ended).await?;
        let ended = sorted.ended.iter().filter(|one| held.contains(&(one.ended.key, one.fence)));
        let ended: Vec<Ended> = ended.map(|one| one.ended).collect();
        let gone = sorted.gone.iter().filter(|(_, key, fence)| held.contains(&(*key, *fence)));
        let gone = gone.map(|(listener, ..)| Heard { listener: *listener, occurrence: Occurrence::Gone });
        let heard: Vec<Heard> = gone.chain(std::mem::take(&mut sorted.heard)).collect();
        let postponed = queue::postpone(tx.conn(), &sorted.postponed).await?;
        sorted.tried.retain(|(key, _)| postponed.contains(key));
        deliveries::append_attempts(tx.conn(), &sorted.tried).await?;
        let news = self.live_on(tx.conn(), heard, now).await?;
        self.announce_exhausted(tx.conn(), &ended, now).await?;
        webhooks::acknowledged(tx.conn(), &sorted.acknowledged, now).await?;
        tx.commit().await?;
        log_endings(&ended, &news);
        if !news.is_empty() || ended.iter().any(|ended| ended.ending == Ending::Exhausted) {
            self.look_again();
        }
        if !sorted.postponed.is_empty() {
            let mut lanes = self.lanes();
            sorted.due.iter().for_each(|(tenant_id, webhook_id, at)| lanes.note_due(*tenant_id, *webhook_id, *at));
            self.due.notify_one();
        }
        Ok(())
    }
}

fn log_endings(ended: &[Ended], news: &[(Listener, News)]) {
    for Ended { key, attempts, .. } in ended.iter().filter(|ended| ended.ending == Ending::Exhausted) {
        tracing::warn!(event.id = %key.event_id, webhook.id = %key.webhook_id, delivery.attempts = attempts, "a delivery was given up");
    }
    for (Listener { webhook_id, .. }, news) in news {
        match news {
            News::Failing => {
                tracing::warn!(webhook.id = %webhook_id, "a receiver acknowledges nothing; its webhook will be disabled, unless it is declared");
            }
            News::Disabled => {
                tracing::warn!(webhook.id = %webhook_id, "a receiver is gone or acknowledged nothing for days, so its webhook is disabled");
            }
            News::Enabled => {}
        }
    }
}
