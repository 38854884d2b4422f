//! Sending a webhook again what it did not get, or all that there was.
//!
//! What a webhook did not get is more than what failed: while it was disabled, nothing was meant for it. So the events
//! themselves are gone through, and each that its subscriptions cover is weighed.

use std::time::Duration;

use super::Engine;
use super::deliveries::{RetryError, hasten, must_listen, put_back};
use crate::domain::delivery::{DeliveryKey, Ending};
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::Webhook;
use crate::store::replay::{self, Candidate};
use crate::store::{Conn, StoreError, deliveries, webhooks};

/// Ids begin with whole ones.
const MILLISECOND: Duration = Duration::from_millis(1);
/// Nodes' clocks differ by less. What one of them accepted for a webhook that had just been made may seem older than it.
const CLOCKS_AGREE_TO: Duration = Duration::from_mins(1);
/// Events that are gone through in one transaction.
const PAGE: u32 = 500;
/// Pages that are gone through in one request.
const PAGES_MAX: u32 = 40;

/// Which events go again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those that were not acknowledged, and those that were not meant for it at the time; from when it was made on.
    Failed,
    /// Those from before it was made too.
    All,
}

/// A span of events.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub from: Timestamp,
    /// By default there is none: what another node has accepted may lie ahead of this one's clock.
    pub to: Option<Timestamp>,
    /// The last event of a request before, after which to go on.
    pub after: Option<EventId>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub struct Replayed {
    pub scheduled: u64,
    /// Where to go on, if the span is not gone through.
    pub after: Option<EventId>,
}

impl Engine {
    /// Makes deliveries of a span due now, those that wait for their next attempt among them. Like one that is retried, each that had used all of its attempts gets one more.
    pub async fn replay(
        &self,
        tenant_id: TenantId,
        id: WebhookId,
        wanted: Wanted,
        span: Span,
    ) -> Result<Replayed, RetryError> {
        let before = span.to.map(|to| EventId::first_at(to.plus(MILLISECOND)));
        let mut from = span.after.map_or(EventId::first_at(span.from), |after| after.next());
        let (mut scheduled, mut last) = (0, None);
        for _ in 0..PAGES_MAX {
            let _place = self.row_waiter().await;
            let mut tx = self.store.write().await?;
            // Held until the page is done: of several who ask for the same, each sees what the one before has done.
            let webhook = webhooks::hold(tx.conn(), tenant_id, id).await?.ok_or(RetryError::NoWebhook)?;
            must_listen(webhook.state)?;
            if wanted == Wanted::Failed {
                from = from.max(EventId::first_at(webhook.created_at.minus(CLOCKS_AGREE_TO)));
            }
            let page = replay::candidates(tx.conn(), (tenant_id, id), (from, before), PAGE).await?;
            let chosen = page.iter().filter(|candidate| is_wanted(&webhook, candidate, wanted));
            let chosen: Vec<&Candidate> = chosen.collect();
            self.schedule(tx.conn(), &webhook, &chosen).await?;
            tx.commit().await?;
            scheduled += u64::try_from(chosen.len()).unwrap_or(u64::MAX);
            if !chosen.is_empty() {
                self.note_waiting(&webhook);
            }
            last = page.last().map(|candidate| candidate.event_id);
            match last {
                Some(last) if page.len() == usize::try_from(PAGE).unwrap_or(usize::MAX) => from = last.next(),
                _ => return Ok(Replayed { scheduled, after: None }),
            }
        }
        Ok(Replayed { scheduled, after: last })
    }

    async fn schedule(&self, conn: &mut Conn, webhook: &Webhook, chosen: &[&Candidate]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let key = |candidate: &Candidate| DeliveryKey { webhook_id: webhook.id, event_id: candidate.event_id };
        let (queued, others): (Vec<&Candidate>, Vec<&Candidate>) =
            chosen.iter().copied().partition(|candidate| candidate.is_queued);
        let queued: Vec<DeliveryKey> = queued.into_iter().map(key).collect();
        hasten(conn, webhook, &queued, now).await?;
        let mut tried = Vec::with_capacity(others.len());
        for candidate in others {
            let key = key(candidate);
            let attempts = match candidate.ending {
                None => 0,
                Some(_) => match deliveries::reopen(conn, key).await? {
                    Some(attempts) => attempts,
                    // Forgotten meanwhile, with its event.
                    None => continue,
                },
            };
            tried.push((key, attempts));
        }
        put_back(conn, webhook, &tried, now).await
    }
}

fn is_wanted(webhook: &Webhook, candidate: &Candidate, wanted: Wanted) -> bool {
    let covers = candidate
        .event_type
        .subscriptions()
        .any(|name| webhook.subscriptions.iter().any(|subscription| subscription.as_str() == name));
    let is_before_it = candidate.event_id < EventId::first_at(webhook.created_at);
    covers
        && match (wanted, candidate.ending) {
            (Wanted::All, _) => true,
            (Wanted::Failed, Some(ending)) => ending != Ending::Delivered,
            (Wanted::Failed, None) => candidate.is_queued || !is_before_it,
        }
}
