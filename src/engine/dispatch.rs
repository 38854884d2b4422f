//! Claiming what is due, and what a sender does with a claim. Holds no database connection while a socket waits.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::addressees::Addressee;
use super::clock::Stopwatch;
use super::encryption::Unwritten;
use super::job;
use super::lanes::{Answered, Grant, load_of};
use super::pace::Slot;
use super::settle::Verdict;
use crate::domain::delivery::{ATTEMPT_WITHIN, Attempt, Claim, Ending, FailureKind, Outcome, Settlement};
use crate::domain::event::Event;
use crate::domain::id::{EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{CustomHeaders, Origin};
use crate::egress::{Egress, Parcel};
use crate::store::queue::Lease;
use crate::store::{StoreError, events, queue, settings, webhooks};
use crate::wire::{self, Letter, Occasion};

/// How long a claim holds: the waits for a slot and for a turn, the 30 s that an attempt may take, and time to write down
/// what became of it.
pub(super) const LEASE: Duration = Duration::from_secs(45);
/// How long a delivery in hand waits for its slot, and for its turn. Then its receiver is not as quick as it was, and it is given back.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// How long a delivery rests that this node may not sign, or for which there is no key at the moment.
const UNSIGNED_WAITS_FOR: Duration = Duration::from_secs(1);
/// A receiver that takes longer to acknowledge is slow: it gets less at a time, so that it holds less of the room.
const QUICK_FOR: Duration = Duration::from_secs(2);
/// How often the queue itself is asked who has work, whatever the lanes remember.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A claimed delivery with all that is needed to send it. What is missing was deleted since it was queued.
pub(super) struct Shipment {
    pub(super) claim: Claim,
    pub(super) event: Option<Arc<Event>>,
    pub(super) addressee: Option<Arc<Addressee>>,
    pub(super) load: u32,
}

/// The job: claims and hands over to the senders, until the end.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    let mut look_at = engine.clock.now();
    while !end.is_cancelled() {
        if !engine.regain_leave_to_sign().await {
            // Nothing is claimed that could not be signed: other nodes may.
            job::pause(job::AFTER_FAILURE, &end).await;
            continue;
        }
        let bell = engine.due.notified();
        match engine.dispatch_once(&mut look_at).await {
            // There may be more: no rest.
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "due deliveries could not be claimed; trying again"
                );
                job::pause(job::AFTER_FAILURE, &end).await;
                continue;
            }
        }
        let until = engine.lanes().next_timer().map_or(look_at, |timer| timer.min(look_at));
        job::rest(&engine.clock, bell, until, &end).await;
    }
}

/// A delivery is not sent now.
struct Later {
    wait: Duration,
    answered: Answered,
}

/// An attempt that has begun.
pub(super) struct Begun {
    number: u32,
    pub(super) at: Timestamp,
    stopwatch: Stopwatch,
}

impl Begun {
    /// What is left of the time that an attempt may take.
    fn left_of(&self, timeout: Option<Duration>) -> Duration {
        timeout.unwrap_or(ATTEMPT_WITHIN).saturating_sub(self.stopwatch.elapsed())
    }
}

/// Room in the lanes that a delivery takes. It is given back however the delivery ends.
struct Room<'e> {
    engine: &'e Engine,
    webhook_id: WebhookId,
    load: u32,
    answered: Answered,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut lanes = self.engine.lanes();
        lanes.done(self.webhook_id, self.load, self.answered);
        if lanes.has_ready() {
            self.engine.due.notify_one();
        }
    }
}

impl Engine {
    /// One bounded step: claims what the lanes grant and starts sending it. Answers whether there was anything.
    async fn dispatch_once(&self, look_at: &mut Timestamp) -> Result<bool, StoreError> {
        let now = self.clock.now();
        if self.look_again.swap(false, Ordering::AcqRel) || now >= *look_at {
            self.look_into_queue().await?;
            *look_at = now.plus(LOOK_EVERY);
        }
        let grants = self.lanes().take(now);
        if grants.is_empty() {
            return Ok(false);
        }
        match self.claim(&grants, now).await {
            Ok(shipments) => {
                shipments.into_iter().for_each(|shipment| self.launch(shipment));
                Ok(true)
            }
            Err(error) => {
                // Leave that was not used goes back, and the lanes stay due.
                let mut lanes = self.lanes();
                grants.into_iter().for_each(|grant| lanes.claimed(grant, 0, Some(now), now));
                Err(error)
            }
        }
    }

    /// Tells the lanes what the queue holds, whoever put it there.
    async fn look_into_queue(&self) -> Result<(), StoreError> {
        let mut reader = self.store.read().await?;
        let backlogs = queue::backlogs(reader.conn()).await?;
        let mut lanes = self.lanes();
        backlogs.into_iter().for_each(|backlog| lanes.note_due(backlog.tenant_id, backlog.webhook_id, backlog.due_at));
        Ok(())
    }

    async fn claim(&self, grants: &[Grant], now: Timestamp) -> Result<Vec<Shipment>, StoreError> {
        let mut tx = self.store.write().await?;
        // The lease counts from here: the wait for the writer is not part of it.
        let lease = Lease { node_id: self.node_id(), now, until: self.clock.now().plus(LEASE) };
        let mut claims = Vec::new();
        let mut answers = Vec::with_capacity(grants.len());
        for grant in grants {
            let claimed = queue::claim(tx.conn(), grant.webhook_id, grant.limit, &lease).await?;
            let next_due_at = queue::next_due_at(tx.conn(), grant.webhook_id).await?;
            answers.push((*grant, u32::try_from(claimed.len()).unwrap_or(grant.limit), next_due_at));
            claims.extend(claimed);
        }
        let webhook_ids: BTreeSet<WebhookId> = claims.iter().map(|claim| claim.key.webhook_id).collect();
        let event_ids: BTreeSet<EventId> = claims.iter().map(|claim| claim.key.event_id).collect();
        let versions = webhooks::versions(tx.conn(), &Vec::from_iter(webhook_ids)).await?;
        let addressees = self.addressees(tx.conn(), &versions).await?;
        let events = events::by_ids(tx.conn(), &Vec::from_iter(event_ids)).await?;
        let keys_version = settings::keys_version(tx.conn()).await?;
        tx.commit().await.inspect_err(|error| self.doubt_claims(error))?;
        if keys_version > self.served_version() {
            // A key may have been revoked on another node before this was claimed: it is signed with the one after it.
            self.regain_keys().await;
        }
        let events: HashMap<EventId, Arc<Event>> =
            super::sound(events).map(|event| (event.id, Arc::new(event))).collect();
        let mut lanes = self.lanes();
        answers.into_iter().for_each(|(grant, used, next_due_at)| lanes.claimed(grant, used, next_due_at, now));
        let shipment = |claim: Claim| {
            let event = events.get(&claim.key.event_id).cloned();
            let load = load_of(event.as_ref().map_or(0, |event| event.payload.len()));
            lanes.weigh(claim.key.webhook_id, load);
            Shipment { event, addressee: addressees.get(&claim.key.webhook_id).cloned(), load, claim }
        };
        Ok(claims.into_iter().map(shipment).collect())
    }

    /// Starts sending.
    pub(super) fn launch(&self, shipment: Shipment) {
        self.senders.send(shipment);
    }

    /// Makes an attempt, if anybody listens still, and passes on what became of it.
    pub(super) async fn deliver(&self, egress: &Egress, shipment: Shipment) {
        let Shipment { claim, event, addressee, load } = shipment;
        let webhook_id = claim.key.webhook_id;
        let mut room = Room { engine: self, webhook_id, load, answered: Answered::Badly };
        let unsent = |claim, settlement| {
            let addressee = addressee.clone();
            Verdict { claim, attempt: None, settlement, addressee, occurrence: None, is_heard: false }
        };
        let verdict = match (event, &addressee) {
            (Some(event), Some(addressee)) if addressee.is_listening => match self.go_ahead(addressee).await {
                Ok(_turn) => {
                    let attempt = self.attempt(egress, &event, addressee, claim.attempt).await;
                    if attempt.outcome.is_acknowledged() && attempt.took_for < QUICK_FOR {
                        room.answered = Answered::Well;
                    }
                    self.judged(claim, attempt, addressee)
                }
                Err(later) => {
                    room.answered = later.answered;
                    unsent(claim, Settlement::Retry { due_at: self.clock.now().plus(later.wait) })
                }
            },
            _ => {
                room.answered = Answered::Nothing;
                unsent(claim, Settlement::Ended(Ending::Cancelled))
            }
        };
        // When nobody writes verdicts any more, this node is ending: the delivery is given back.
        let _ = self.verdicts.send(verdict).await;
    }

    /// Leave to send a delivery: its receiver wants one now, has a turn for it, and this node may sign. Else the delivery is
    /// given back.
    async fn go_ahead<'a>(&self, addressee: &'a Addressee) -> Result<SemaphorePermit<'a>, Later> {
        if let Some(rate) = addressee.handling.rate {
            let nodes = self.live_nodes.load(Ordering::Relaxed);
            match addressee.pace.take(rate, nodes, self.clock.monotonic(), TURN_WITHIN) {
                Slot::In(Duration::ZERO) => {}
                Slot::In(wait) => self.clock.sleep_until(self.clock.now().plus(wait)).await,
                // Less of it in hand then.
                Slot::TooFar(wait) => return Err(Later { wait, answered: Answered::Badly }),
            }
        }
        let given_back = |wait| Later { wait, answered: Answered::Nothing };
        let turn = self.turn(addressee).await.ok_or(given_back(Duration::ZERO))?;
        // What no key of the tenant's signs does not wait for one; a node that is cut off sends nothing either way.
        let may_sign = match wire::carries_token(addressee.format) {
            true => self.can_sign_for(addressee.tenant_id).await,
            false => self.regain_leave_to_sign().await,
        };
        if may_sign { Ok(turn) } else { Err(given_back(UNSIGNED_WAITS_FOR)) }
    }

    /// Leave to speak to a receiver; `None` when the lease would end before an attempt does.
    async fn turn<'a>(&self, addressee: &'a Addressee) -> Option<SemaphorePermit<'a>> {
        if let Ok(turn) = addressee.turns.try_acquire() {
            return Some(turn);
        }
        tokio::select! {
            turn = addressee.turns.acquire() => turn.ok(),
            () = self.clock.sleep_until(self.clock.now().plus(TURN_WITHIN)) => None,
        }
    }

    /// What an attempt means for its delivery.
    fn judged(&self, claim: Claim, attempt: Attempt, addressee: &Arc<Addressee>) -> Verdict {
        let (now, jitter) = (self.clock.now(), self.clock.jitter());
        let policy = addressee.handling.retry_policy.as_ref().unwrap_or(&self.terms.retry_policy);
        let settlement = match policy.settle(claim.attempt, &attempt.outcome, now, jitter) {
            // Nothing that its receiver says disables it.
            Settlement::Gone if addressee.origin == Origin::Declared => {
                policy.settle_failure(claim.attempt, &attempt.outcome, now, jitter)
            }
            settlement => settlement,
        };
        tracing::debug!(event.id = %claim.key.event_id, webhook.id = %claim.key.webhook_id, delivery.attempt = claim.attempt, outcome = ?attempt.outcome, "an attempt was made");
        let occurrence = addressee.health.note((addressee.origin, addressee.state), &attempt, now);
        let is_heard = addressee.health.hears(&attempt, now);
        let addressee = Some(addressee.clone());
        Verdict { claim, attempt: Some(attempt), settlement, addressee, occurrence, is_heard }
    }

    /// Makes one attempt: writes the delivery, signs it with the key that is active now, sends it.
    pub(super) async fn attempt(&self, egress: &Egress, event: &Event, addressee: &Addressee, number: u32) -> Attempt {
        let begun = self.begin(number);
        let letter = self.letter(event, addressee, Occasion { attempt: number, now: begun.at }).await;
        self.post(egress, addressee, letter, begun).await
    }

    pub(super) fn begin(&self, number: u32) -> Begun {
        Begun { number, at: self.clock.now(), stopwatch: self.clock.stopwatch() }
    }

    /// Sends what was written, if it could be.
    pub(super) async fn post(
        &self,
        egress: &Egress,
        addressee: &Addressee,
        letter: Result<Letter, Unwritten>,
        begun: Begun,
    ) -> Attempt {
        let (outcome, excerpt, kid) = match letter {
            Ok(letter) => {
                let none = CustomHeaders::default();
                let parcel = Parcel {
                    url: letter.url.as_ref().unwrap_or(addressee.url.as_url()),
                    content_type: letter.content_type,
                    headers: &letter.headers,
                    own_headers: &letter.own_headers,
                    custom: addressee.shared.as_ref().map_or(&none, |shared| &shared.headers),
                    body: letter.body,
                    timeout: Some(begun.left_of(addressee.handling.timeout)),
                };
                let (outcome, excerpt) = match addressee.way_out(egress).post(parcel, begun.at).await {
                    Ok(reply) => {
                        let (status_code, retry_after) = (reply.status_code, reply.retry_after);
                        (Outcome::Answered { status_code, retry_after }, reply.excerpt)
                    }
                    Err(kind) => (Outcome::Failed(kind), String::new()),
                };
                (outcome, excerpt, letter.kid.map(|kid| kid.as_str().to_owned()))
            }
            Err(Unwritten::NoKey(no_key)) => (Outcome::Failed(FailureKind::EncryptionKey), no_key.to_string(), None),
            Err(error) => {
                tracing::error!(webhook.id = %addressee.webhook_id, error = &error as &dyn std::error::Error, "a delivery could not be signed");
                (Outcome::Failed(FailureKind::Internal), String::new(), None)
            }
        };
        let Begun { number, at, stopwatch } = begun;
        Attempt { number, started_at: at, took_for: stopwatch.elapsed(), outcome, excerpt, kid }
    }
}
