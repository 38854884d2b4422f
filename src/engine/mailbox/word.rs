//! What receivers say of what they were handed: that they have it, or why they will not. Either ends a delivery, durably before
//! they are answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::{Collector, Poll, PollError, REASON_CHARS_MAX, Refused};
use crate::domain::delivery::{Attempt, DeliveryKey, Ending, FailureKind, Outcome};
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::store::deliveries::Ended;
use crate::store::mailbox::Taken;
use crate::store::{Conn, StoreError, deliveries, mailbox, webhooks};

/// How often it is written down that a receiver acknowledges what it is given.
const HEARD_EVERY: Duration = Duration::from_mins(1);
/// How often it is tried again when another transaction was in the way.
const RACES_MAX: u32 = 3;
/// How an acknowledgement, and a refusal, are written into the log: as if they had answered what was sent.
const ACKNOWLEDGED: u16 = 200;
const REFUSED: u16 = 400;

impl Engine {
    /// Ends what a receiver acknowledges or refuses. What is not in its mailbox, or not any more, it may say again.
    pub(super) async fn take_word(&self, collector: &Collector, poll: &Poll) -> Result<(), PollError> {
        let acknowledged: BTreeSet<EventId> = poll.acknowledged.iter().copied().collect();
        let refused = poll.refused.iter().filter(|refused| !acknowledged.contains(&refused.event_id));
        let refused: BTreeMap<EventId, &Refused> = refused.map(|refused| (refused.event_id, refused)).collect();
        if acknowledged.is_empty() && refused.is_empty() {
            return Ok(());
        }
        for _ in 0..RACES_MAX {
            match self.write_word(collector, &acknowledged, &refused).await {
                Err(StoreError::Contended(_)) => {}
                written => return Ok(written?),
            }
        }
        Ok(self.write_word(collector, &acknowledged, &refused).await?)
    }

    async fn write_word(
        &self,
        collector: &Collector,
        acknowledged: &BTreeSet<EventId>,
        refused: &BTreeMap<EventId, &Refused>,
    ) -> Result<(), StoreError> {
        let webhook_id = collector.webhook_id;
        let keys =
            acknowledged.iter().chain(refused.keys()).map(|event_id| DeliveryKey { webhook_id, event_id: *event_id });
        let keys: Vec<DeliveryKey> = keys.collect();
        let mut tx = self.store.write().await?;
        let now = self.clock.now();
        let taken = mailbox::take(tx.conn(), &keys).await?;
        let (mut ended, mut log) = (Vec::with_capacity(taken.len()), Vec::with_capacity(taken.len()));
        for taken in &taken {
            let (ending, status_code, excerpt) = match refused.get(&taken.key.event_id) {
                Some(refused) => (Ending::Exhausted, REFUSED, reason(refused)),
                None => (Ending::Delivered, ACKNOWLEDGED, String::new()),
            };
            ended.push(Ended { key: taken.key, ending, attempts: taken.attempts, at: now });
            let outcome = Outcome::Answered { status_code, retry_after: None };
            log.extend(attempt(taken, now, outcome).map(|attempt| (taken.key, Attempt { excerpt, ..attempt })));
        }
        self.write_ends(tx.conn(), &ended, &log, now).await?;
        let is_heard = ended.iter().any(|ended| ended.ending == Ending::Delivered)
            && collector.heard_at.is_none_or(|heard_at| now >= heard_at.plus(HEARD_EVERY));
        if is_heard {
            webhooks::acknowledged(tx.conn(), &[webhook_id], now).await?;
        }
        tx.commit().await?;
        if ended.iter().any(|ended| ended.ending == Ending::Exhausted) {
            self.look_again();
        }
        Ok(())
    }

    /// Ends deliveries without their receiver's word. One that was handed over, and of which nothing was heard, is logged as that.
    pub(super) async fn end_mail(
        &self,
        conn: &mut Conn,
        keys: &[DeliveryKey],
        (ending, now): (Ending, Timestamp),
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let taken = mailbox::take(conn, keys).await?;
        let ended = taken.iter().map(|taken| Ended { key: taken.key, ending, attempts: taken.attempts, at: now });
        let unheard = |taken: &Taken| Some((taken.key, attempt(taken, now, Outcome::Failed(FailureKind::Timeout))?));
        let log = if ending == Ending::Exhausted { taken.iter().filter_map(unheard).collect() } else { Vec::new() };
        self.write_ends(conn, &ended.collect::<Vec<_>>(), &log, now).await
    }

    async fn write_ends(
        &self,
        conn: &mut Conn,
        ended: &[Ended],
        log: &[(DeliveryKey, Attempt)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let log: Vec<(DeliveryKey, &Attempt)> = log.iter().map(|(key, attempt)| (*key, attempt)).collect();
        deliveries::append_made(conn, ended).await?;
        deliveries::append_attempts(conn, &log).await?;
        self.announce_exhausted(conn, ended, now).await
    }
}

/// The last time that it was handed over, as an attempt; `None` when it never was.
fn attempt(taken: &Taken, now: Timestamp, outcome: Outcome) -> Option<Attempt> {
    let started_at = taken.handed_over_at?;
    let took_for = now.since(started_at);
    Some(Attempt {
        number: taken.attempts,
        started_at,
        took_for,
        outcome,
        excerpt: String::new(),
        kid: taken.kid.clone(),
    })
}

/// Why it was refused, in the words in which a receiver that is sent SETs says so (RFC 8935 2.3).
fn reason(refused: &Refused) -> String {
    let short = |text: &str| text.chars().filter(|char| *char != '\0').take(REASON_CHARS_MAX).collect::<String>();
    match &refused.description {
        Some(description) => json!({"err": short(&refused.err), "description": short(description)}).to_string(),
        None => json!({"err": short(&refused.err)}).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_any_length_is_json_of_bounded_length() {
        let long = "\"ä\0".repeat(10_000);
        let refused = Refused { event_id: EventId::from_bytes([1; 16]), err: long.clone(), description: Some(long) };

        let reason = reason(&refused);

        let read: serde_json::Value = serde_json::from_str(&reason).unwrap_or_default();
        assert_eq!(read["err"].as_str().map(|err| err.chars().count()), Some(REASON_CHARS_MAX));
        assert!(!reason.contains("\\u0000"), "{reason}");
    }
}
