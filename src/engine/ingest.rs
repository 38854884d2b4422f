//! Taking events in: durability is paid once per batch, not once per event.
//!
//! One writer takes everything that queued up while the last transaction was in flight and commits it as one. There is
//! no timer: when little comes in, batches are small and nobody waits. An event is answered when the commit that holds
//! it, its idempotency key and its deliveries is durable.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::dispatch::{LEASE, Shipment};
use super::lanes::load_of;
use super::{Engine, job};
use crate::domain::delivery::{Claim, DeliveryKey};
use crate::domain::event::{Event, NewEvent, Receipt};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::signing::digest;
use crate::store::idempotency::{Named, Remembered};
use crate::store::queue::Entry;
use crate::store::webhooks::{self, Listener};
use crate::store::{StoreError, events, idempotency, queue};

/// Publications that wait for the writer; beyond them, callers are told to come back.
const WAITING_MAX: usize = 1_024;
/// Bytes of payload that wait or are being written, in KiB: it bounds memory where the count would not.
const WAITING_KIB: u32 = 64 * 1024;
/// Events that are committed together.
const BATCH_EVENTS: usize = 256;

/// Events to be published together, all or none.
#[derive(Debug, Clone)]
pub struct Publication {
    pub tenant_id: TenantId,
    pub events: Vec<NewEvent>,
    pub idempotency: Option<Idempotency>,
}

/// The name that a caller gave to a publication, so that saying it twice publishes once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    /// The digest of what is asked.
    pub fingerprint: [u8; 32],
}

impl Idempotency {
    /// A name for a request that asks for these bytes.
    pub fn new(key: String, asked: &[u8]) -> Self {
        Self { key, fingerprint: digest::sha256(asked) }
    }
}

/// A publication that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    Fresh(Vec<Receipt>),
    /// The same was asked before under the same name; this is what was answered then.
    Replayed(Vec<Receipt>),
}

/// A publication that did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    #[error("too much is waiting to be written")]
    Overloaded,
    #[error("the idempotency key was used for something else")]
    KeyReused,
    #[error("the database is not available")]
    Unavailable,
}

struct Submission {
    publication: Publication,
    reply: oneshot::Sender<Result<Accepted, IngestError>>,
    /// Given back when the submission has been answered.
    _waiting: OwnedSemaphorePermit,
}

/// Where publications wait.
pub(super) struct Intake {
    submissions: mpsc::Sender<Submission>,
    kib: Arc<Semaphore>,
}

/// The receiving end of the intake.
pub struct Inbox(mpsc::Receiver<Submission>);

impl Intake {
    pub(super) fn new() -> (Self, Inbox) {
        let (submissions, inbox) = mpsc::channel(WAITING_MAX);
        let permits = usize::try_from(WAITING_KIB).unwrap_or(Semaphore::MAX_PERMITS);
        (Self { submissions, kib: Arc::new(Semaphore::new(permits)) }, Inbox(inbox))
    }
}

impl Engine {
    /// Publishes events. When this returns receipts, they are durable together with who they concern.
    pub async fn publish(&self, publication: Publication) -> Result<Accepted, IngestError> {
        let bytes: usize = publication.events.iter().map(|event| event.payload.len() + 1_024).sum();
        let kib = u32::try_from(bytes / 1_024).unwrap_or(WAITING_KIB).min(WAITING_KIB);
        let permits = self.intake.kib.clone().try_acquire_many_owned(kib);
        let waiting = permits.map_err(|_| IngestError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        let submission = Submission { publication, reply, _waiting: waiting };
        self.intake.submissions.try_send(submission).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => IngestError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => IngestError::Unavailable,
        })?;
        answer.await.unwrap_or(Err(IngestError::Unavailable))
    }
}

/// The job: writes publications until the end, and then those that still wait.
pub async fn run(engine: Arc<Engine>, mut inbox: Inbox, end: CancellationToken) {
    loop {
        let first = tokio::select! {
            submission = inbox.0.recv() => submission,
            () = end.cancelled() => {
                inbox.0.close();
                inbox.0.recv().await
            }
        };
        let Some(first) = first else { return };
        let mut batch = vec![first];
        let mut count = batch[0].publication.events.len();
        while count < BATCH_EVENTS
            && let Ok(next) = inbox.0.try_recv()
        {
            count += next.publication.events.len();
            batch.push(next);
        }
        engine.write_batch(batch, &end).await;
    }
}

/// What becomes of each submission of a batch, decided before anything is written.
enum Verdict {
    /// Its events stand at these places of the batch's list.
    Fresh(std::ops::Range<usize>),
    Replayed(Vec<EventId>),
    /// The same as an earlier submission of this batch.
    SameAs(usize),
    KeyReused,
}

/// Everything that one transaction writes.
struct Draft {
    verdicts: Vec<Verdict>,
    events: Vec<Event>,
}

impl Engine {
    async fn write_batch(&self, batch: Vec<Submission>, end: &CancellationToken) {
        let publications: Vec<&Publication> = batch.iter().map(|submission| &submission.publication).collect();
        let answers = match self.commit(&publications).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    events.count = batch.len(),
                    "events could not be written"
                );
                job::pause(job::AFTER_FAILURE, end).await;
                batch.iter().map(|_| Err(IngestError::Unavailable)).collect()
            }
        };
        for (submission, answer) in batch.into_iter().zip(answers) {
            // Nobody listens any more when the caller hung up; the event is published all the same.
            let _ = submission.reply.send(answer);
        }
    }

    async fn commit(&self, batch: &[&Publication]) -> Result<Vec<Result<Accepted, IngestError>>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let named: Vec<Named> = batch.iter().filter_map(|publication| named(publication)).collect();
        let remembered = idempotency::find(tx.conn(), &named.iter().collect::<Vec<_>>()).await?;
        let mut draft = self.draft(batch, &remembered, now);
        let types: BTreeSet<(TenantId, EventType)> =
            draft.events.iter().map(|event| (event.tenant_id, event.event_type.clone())).collect();
        let listeners = webhooks::listeners(tx.conn(), &types).await?;
        for event in &mut draft.events {
            let concerned = listeners.get(&(event.tenant_id, event.event_type.clone()));
            event.deliveries = u32::try_from(concerned.map_or(0, Vec::len)).unwrap_or(u32::MAX);
        }
        let mut admissions = Admissions { engine: self, entries: Vec::new(), admitted: Vec::new() };
        admissions.admit(&draft.events, &listeners, now);
        let addressees = self.addressees(tx.conn(), &admissions.listeners(&listeners)).await?;
        events::insert(tx.conn(), &draft.events).await?;
        queue::insert(tx.conn(), &admissions.entries).await?;
        let fresh = draft.names(batch);
        idempotency::insert(tx.conn(), &fresh.iter().map(|(name, ids)| (name, ids.clone())).collect::<Vec<_>>(), now)
            .await?;
        let mut answers = Vec::with_capacity(batch.len());
        for verdict in &draft.verdicts {
            answers.push(match verdict {
                Verdict::Fresh(places) => Ok(Accepted::Fresh(draft.receipts(places.clone()))),
                Verdict::Replayed(ids) => Ok(Accepted::Replayed(events::receipts(tx.conn(), ids).await?)),
                Verdict::SameAs(earlier) => draft.replay_of(*earlier),
                Verdict::KeyReused => Err(IngestError::KeyReused),
            });
        }
        tx.commit().await?;
        admissions.launch(draft.events, &addressees, now);
        Ok(answers)
    }

    fn draft(
        &self,
        batch: &[&Publication],
        remembered: &HashMap<(TenantId, String), Remembered>,
        now: Timestamp,
    ) -> Draft {
        let mut draft = Draft { verdicts: Vec::with_capacity(batch.len()), events: Vec::new() };
        let mut in_batch: HashMap<(TenantId, String), usize> = HashMap::new();
        for (at, publication) in batch.iter().enumerate() {
            let name = publication.idempotency.as_ref().map(|name| (publication.tenant_id, name.key.clone()));
            let fingerprint = publication.idempotency.as_ref().map(|name| name.fingerprint);
            let before = name.as_ref().and_then(|name| remembered.get(name));
            let earlier = name.as_ref().and_then(|name| in_batch.get(name)).copied();
            let verdict = match (before, earlier) {
                (Some(before), _) if fingerprint.is_some_and(|asked| before.fingerprint == asked) => {
                    Verdict::Replayed(before.event_ids.clone())
                }
                (None, Some(earlier)) if same_request(batch[earlier], publication) => Verdict::SameAs(earlier),
                (Some(_), _) | (None, Some(_)) => Verdict::KeyReused,
                (None, None) => {
                    let first = draft.events.len();
                    draft.events.extend(publication.events.iter().map(|event| self.born(publication, event, now)));
                    Verdict::Fresh(first..draft.events.len())
                }
            };
            if let (Verdict::Fresh(_), Some(name)) = (&verdict, name) {
                in_batch.insert(name, at);
            }
            draft.verdicts.push(verdict);
        }
        draft
    }

    fn born(&self, publication: &Publication, event: &NewEvent, now: Timestamp) -> Event {
        Event {
            id: EventId::from_bytes(self.clock.id()),
            tenant_id: publication.tenant_id,
            event_type: event.event_type.clone(),
            payload: event.payload.clone(),
            occurred_at: event.occurred_at.unwrap_or(now),
            accepted_at: now,
            deliveries: 0,
        }
    }
}

fn named(publication: &Publication) -> Option<Named> {
    let name = publication.idempotency.as_ref()?;
    Some(Named { tenant_id: publication.tenant_id, key: name.key.clone(), fingerprint: name.fingerprint })
}

fn same_request(a: &Publication, b: &Publication) -> bool {
    a.tenant_id == b.tenant_id && a.idempotency == b.idempotency
}

impl Draft {
    fn receipts(&self, places: std::ops::Range<usize>) -> Vec<Receipt> {
        let receipt = |event: &Event| Receipt {
            event_id: event.id,
            event_type: event.event_type.clone(),
            deliveries: event.deliveries,
        };
        self.events[places].iter().map(receipt).collect()
    }

    fn replay_of(&self, earlier: usize) -> Result<Accepted, IngestError> {
        match &self.verdicts[earlier] {
            Verdict::Fresh(places) => Ok(Accepted::Replayed(self.receipts(places.clone()))),
            _ => Err(IngestError::KeyReused),
        }
    }

    /// The idempotency keys that become known with this batch.
    fn names(&self, batch: &[&Publication]) -> Vec<(Named, Vec<EventId>)> {
        let fresh = batch.iter().zip(&self.verdicts).filter_map(|(publication, verdict)| match verdict {
            Verdict::Fresh(places) => Some((named(publication)?, places.clone())),
            _ => None,
        });
        fresh.map(|(name, places)| (name, self.events[places].iter().map(|event| event.id).collect())).collect()
    }
}

/// The deliveries of a batch: those that this node sends at once are born claimed, the others due. Leave that was taken
/// for a batch that is never committed is given back when this is dropped.
struct Admissions<'e> {
    engine: &'e Engine,
    entries: Vec<Entry>,
    /// Places in the batch's events of the deliveries that were admitted, with their webhooks.
    admitted: Vec<(usize, WebhookId, u32)>,
}

impl Admissions<'_> {
    fn admit(&mut self, events: &[Event], listeners: &HashMap<(TenantId, EventType), Vec<Listener>>, now: Timestamp) {
        let node_id = self.engine.node_id;
        let mut lanes = self.engine.lanes();
        for (at, event) in events.iter().enumerate() {
            let load = load_of(event.payload.len());
            for listener in listeners.get(&(event.tenant_id, event.event_type.clone())).into_iter().flatten() {
                let key = DeliveryKey { webhook_id: listener.webhook_id, event_id: event.id };
                self.entries.push(if lanes.admit(listener.webhook_id, load) {
                    self.admitted.push((at, listener.webhook_id, load));
                    Entry { key, due_at: now.plus(LEASE), attempts: 1, node_id: Some(node_id) }
                } else {
                    Entry { key, due_at: now, attempts: 0, node_id: None }
                });
            }
        }
    }

    /// The listeners that are about to be sent to.
    fn listeners(&self, all: &HashMap<(TenantId, EventType), Vec<Listener>>) -> Vec<Listener> {
        let admitted: BTreeSet<WebhookId> = self.admitted.iter().map(|(_, webhook_id, _)| *webhook_id).collect();
        let mut listeners: Vec<Listener> =
            all.values().flatten().filter(|listener| admitted.contains(&listener.webhook_id)).copied().collect();
        listeners.sort_by_key(|listener| listener.webhook_id);
        listeners.dedup();
        listeners
    }

    /// Sends what was admitted and lets the lanes know of the rest. Only after the commit.
    fn launch(
        mut self,
        events: Vec<Event>,
        addressees: &HashMap<WebhookId, Arc<super::addressees::Addressee>>,
        now: Timestamp,
    ) {
        let events: Vec<Arc<Event>> = events.into_iter().map(Arc::new).collect();
        for (at, webhook_id, load) in std::mem::take(&mut self.admitted) {
            let (event, addressee) = (events[at].clone(), addressees.get(&webhook_id).cloned());
            let key = DeliveryKey { webhook_id, event_id: event.id };
            self.engine.launch(Shipment { claim: Claim { key, attempt: 1 }, event: Some(event), addressee, load });
        }
        let waiting: Vec<WebhookId> =
            self.entries.iter().filter(|entry| entry.node_id.is_none()).map(|entry| entry.key.webhook_id).collect();
        if !waiting.is_empty() {
            let mut lanes = self.engine.lanes();
            waiting.into_iter().for_each(|webhook_id| lanes.note_due(webhook_id, now));
            self.engine.due.notify_one();
        }
    }
}

impl Drop for Admissions<'_> {
    fn drop(&mut self) {
        let mut lanes = self.engine.lanes();
        for (_, webhook_id, load) in self.admitted.drain(..) {
            lanes.done(webhook_id, load, true);
        }
    }
}
