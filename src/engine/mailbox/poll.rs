//! Handing over: what is oldest, as much of it as one answer may hold.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Collected, Collector, Handed, LEASE_STANDARD, Poll, PollError};
use crate::domain::delivery::{DeliveryKey, Ending};
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::Format;
use crate::engine::Engine;
use crate::engine::addressees::Addressee;
use crate::engine::encryption::Unwritten;
use crate::engine::letters::Signing;
use crate::store::mailbox::{HandOver, Waiting};
use crate::store::{Conn, StoreError, events, mailbox, pull_keys, settings, webhooks};
use crate::wire::{Letter, Occasion};

/// How much data the deliveries of one answer carry at most, unless the first alone carries more. Signed and written as text, it
/// is about twice as much.
const PAYLOAD_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// What else a delivery takes.
const BESIDES_BYTES: u32 = 2 * 1024;
/// How often it is begun anew because keys have changed on another node.
const ROUNDS_MAX: u32 = 2;

/// Deliveries that were noted as handed over, and are yet to be written.
struct Chosen {
    addressee: Arc<Addressee>,
    deliveries: Vec<(Arc<Event>, u32, Signing)>,
    leased_until: Option<Timestamp>,
    has_more: bool,
}

/// What came of choosing.
enum Choice {
    Made(Chosen),
    Nothing,
    /// Keys have changed of which this node has not heard.
    StaleKeys,
}

impl Engine {
    /// Hands over what may be; `None` when that is nothing.
    pub(super) async fn hand_over(&self, collector: &Collector, poll: &Poll) -> Result<Option<Collected>, PollError> {
        // Who finds nothing leaves those alone who write.
        let mut reader = self.store.read().await?;
        let found = mailbox::with_available(reader.conn(), &[collector.webhook_id], self.clock.now()).await?;
        drop(reader);
        if found.is_empty() {
            return Ok(None);
        }
        self.take_leave_to_sign().await?;
        for round in 1..=ROUNDS_MAX {
            match self.choose(collector, poll, round == ROUNDS_MAX).await? {
                Choice::Made(chosen) => return Ok(Some(self.handed(chosen).await?)),
                Choice::Nothing => return Ok(None),
                Choice::StaleKeys => self.regain_keys().await,
            }
        }
        Ok(None)
    }

    /// Chooses what is handed over, and notes it.
    async fn choose(&self, collector: &Collector, poll: &Poll, is_last: bool) -> Result<Choice, PollError> {
        let id = collector.webhook_id;
        let mut tx = self.store.write().await?;
        let now = self.clock.now();
        if pull_keys::find(tx.conn(), &collector.digest, now).await? != Some(id) {
            return Err(PollError::Ended);
        }
        let versions = webhooks::versions(tx.conn(), &[id]).await?;
        let addressee = self.addressees(tx.conn(), &versions).await?.remove(&id);
        let Some(addressee) = addressee.filter(|addressee| addressee.is_listening) else { return Ok(Choice::Nothing) };
        let mut waiting = mailbox::available(tx.conn(), id, now, poll.limit.saturating_add(1)).await?;
        let has_more = cut(&mut waiting, poll.limit);
        let deliveries = self.whole(tx.conn(), &addressee, &waiting, now).await?;
        let until = lease_of(poll, addressee.format, now);
        let given = deliveries.iter().map(|(event, _, signing)| HandOver { event_id: event.id, kid: signing.kid() });
        mailbox::hand_over(tx.conn(), id, &given.collect::<Vec<_>>(), (now, until.unwrap_or(now))).await?;
        // As where deliveries are claimed: a key may have been revoked on another node before this was handed over.
        if !is_last && settings::keys_version(tx.conn()).await? > self.served_version() {
            // Who chooses again passes over what is held.
            tx.undo().await?;
            return Ok(Choice::StaleKeys);
        }
        tx.commit().await?;
        if deliveries.is_empty() && !has_more {
            return Ok(Choice::Nothing);
        }
        if until.is_none() {
            // Others who wait have passed over what was being handed over, and may have it too.
            self.mailroom.ring([id]);
        }
        Ok(Choice::Made(Chosen { addressee, deliveries, leased_until: until, has_more }))
    }

    /// Deliveries with their events, and who signs each. One whose event is gone, or cannot be read, ends: it would be in the way of
    /// the others for ever.
    async fn whole(
        &self,
        conn: &mut Conn,
        addressee: &Addressee,
        waiting: &[Waiting],
        now: Timestamp,
    ) -> Result<Vec<(Arc<Event>, u32, Signing)>, PollError> {
        let ids: Vec<EventId> = waiting.iter().map(|waiting| waiting.event_id).collect();
        let found: Result<_, StoreError> = events::by_ids(conn, &ids).await;
        let events = crate::engine::sound(found?).map(|event| (event.id, Arc::new(event)));
        let events: HashMap<EventId, Arc<Event>> = events.collect();
        let (mut whole, mut lost) = (Vec::with_capacity(waiting.len()), Vec::new());
        for Waiting { event_id, attempts, .. } in waiting {
            match events.get(event_id) {
                Some(event) => whole.push((event.clone(), attempts + 1, self.signing(event, addressee)?)),
                None => lost.push(DeliveryKey { webhook_id: addressee.webhook_id, event_id: *event_id }),
            }
        }
        self.end_mail(conn, &lost, (Ending::Cancelled, now)).await?;
        Ok(whole)
    }

    /// Writes what was chosen, as it would have been sent.
    async fn handed(&self, chosen: Chosen) -> Result<Collected, Unwritten> {
        let Chosen { addressee, deliveries, leased_until, has_more } = chosen;
        let mut handed = Vec::with_capacity(deliveries.len());
        for (event, attempt, signing) in deliveries {
            let occasion = Occasion { attempt, now: self.clock.now() };
            let letter = self.letter_by(&event, &addressee, &signing, occasion).await?;
            handed.push(shown(&event, attempt, leased_until, letter));
            // Signatures of some kinds take a while, and others wait for this thread.
            tokio::task::yield_now().await;
        }
        Ok(Collected { format: addressee.format, deliveries: handed, has_more })
    }
}

/// As many as one answer holds; answers whether there are more.
fn cut(waiting: &mut Vec<Waiting>, limit: u32) -> bool {
    let count = waiting.len();
    let mut bytes = 0_u32;
    let fits = waiting.iter().enumerate().take_while(|(at, waiting)| {
        bytes = bytes.saturating_add(waiting.payload_bytes).saturating_add(BESIDES_BYTES);
        *at == 0 || bytes <= PAYLOAD_BYTES_MAX
    });
    let fits = fits.count().min(usize::try_from(limit).unwrap_or(usize::MAX));
    waiting.truncate(fits);
    fits < count
}

/// Until when nobody else is given it; `None` when it may be handed over again at once.
fn lease_of(poll: &Poll, format: Format, now: Timestamp) -> Option<Timestamp> {
    let standard = (format != Format::Set).then_some(LEASE_STANDARD);
    poll.lease.or(standard).filter(|lease| !lease.is_zero()).map(|lease| now.plus(lease))
}

fn shown(event: &Event, attempt: u32, leased_until: Option<Timestamp>, letter: Letter) -> Handed {
    let headers = letter.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    Handed {
        event_id: event.id,
        attempt,
        leased_until,
        content_type: letter.content_type,
        headers: headers.chain(letter.own_headers).collect(),
        // Every format writes text; data was found to be UTF-8 when it was accepted.
        body: String::from_utf8_lossy(&letter.body).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(sizes: &[u32]) -> Vec<Waiting> {
        let of = |(at, bytes): (usize, &u32)| Waiting {
            event_id: EventId::from_bytes([u8::try_from(at).unwrap_or_default(); 16]),
            attempts: 0,
            payload_bytes: *bytes,
        };
        sizes.iter().enumerate().map(of).collect()
    }

    fn check(sizes: &[u32], limit: u32, expected: (usize, bool)) {
        let mut waiting = waiting(sizes);
        let has_more = cut(&mut waiting, limit);

        assert_eq!((waiting.len(), has_more), expected, "{sizes:?}");
    }

    #[test]
    fn an_answer_holds_as_much_as_it_may_and_one_delivery_at_least() {
        let large = 256 * 1024;

        check(&[], 9, (0, false));
        check(&[1, 1, 1], 3, (3, false));
        check(&[1, 1, 1], 2, (2, true));
        check(&[large; 20], 20, (7, true));
        check(&[u32::MAX, 1], 9, (1, true));
    }

    #[test]
    fn a_set_is_leased_to_nobody_unless_somebody_asks_for_that() {
        let now = Timestamp::from_micros(0);
        let lease = |lease: Option<u64>, format| {
            let poll = Poll { lease: lease.map(std::time::Duration::from_secs), ..Poll::default() };
            lease_of(&poll, format, now).map(Timestamp::as_micros)
        };

        assert_eq!([lease(None, Format::Set), lease(Some(5), Format::Set)], [None, Some(5_000_000)]);
        assert_eq!([lease(None, Format::Token), lease(Some(0), Format::Token)], [Some(60_000_000), None]);
    }
}
