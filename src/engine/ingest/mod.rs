//! Taking events in: durability is paid once per batch, not once per event.
//!
//! One writer takes everything that queued up while the last transaction was in flight and commits it as one. There is
//! no timer: when little comes in, batches are small and nobody waits. An event is answered when the commit that holds
//! it, its idempotency key and its deliveries is durable.

mod admissions;
mod draft;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Engine, job};
use crate::domain::event::{Event, NewEvent, Receipt};
use crate::domain::id::{EventId, TenantId};
use crate::domain::time::Timestamp;
use crate::signing::digest;
use crate::store::idempotency::Named;
use crate::store::{StoreError, batch, events, idempotency, webhooks};
use admissions::Admissions;
use draft::{Answer, Draft};

/// Publications that wait for the writer; beyond them, callers are told to come back.
const WAITING_MAX: usize = 1_024;
/// Memory for publications that are read, wait or are being written, in KiB: it bounds what their count would not.
const RESERVED_KIB_MAX: u32 = 128 * 1024;
/// A body is there as bytes, as parsed events and as rows.
const COPIES: u64 = 3;
/// What a publication takes besides its body.
const BESIDES_BYTES: u64 = 2 * 1024;
/// How often a batch is tried again that another node got ahead of.
const RACES_MAX: u32 = 3;
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

impl Publication {
    fn named(&self) -> Option<Named> {
        let name = self.idempotency.as_ref()?;
        Some(Named { tenant_id: self.tenant_id, key: name.key.clone(), fingerprint: name.fingerprint })
    }
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
    #[error("it concerns more webhooks than one publication may")]
    TooWide,
    #[error("the database is not available")]
    Unavailable,
}

/// Memory that a publication may take, from before its body is read until it has been answered.
pub struct Reservation {
    _permits: OwnedSemaphorePermit,
}

struct Submission {
    publication: Publication,
    reply: oneshot::Sender<Result<Accepted, IngestError>>,
    _reservation: Reservation,
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
        let permits = usize::try_from(RESERVED_KIB_MAX).unwrap_or(Semaphore::MAX_PERMITS);
        (Self { submissions, kib: Arc::new(Semaphore::new(permits)) }, Inbox(inbox))
    }
}

impl Engine {
    /// Sets memory aside for a body of this size, before it is read.
    pub fn reserve(&self, body_bytes: u64) -> Result<Reservation, IngestError> {
        let kib = body_bytes.saturating_mul(COPIES).saturating_add(BESIDES_BYTES) / 1_024;
        let kib = u32::try_from(kib).unwrap_or(u32::MAX).min(RESERVED_KIB_MAX);
        let permits = self.intake.kib.clone().try_acquire_many_owned(kib);
        permits.map(|permits| Reservation { _permits: permits }).map_err(|_| IngestError::Overloaded)
    }

    /// Publishes events. When this returns receipts, they are durable together with who they concern.
    pub async fn publish(&self, publication: Publication, reservation: Reservation) -> Result<Accepted, IngestError> {
        let (reply, answer) = oneshot::channel();
        let submission = Submission { publication, reply, _reservation: reservation };
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

impl Engine {
    async fn write_batch(&self, batch: Vec<Submission>, end: &CancellationToken) {
        let publications: Vec<&Publication> = batch.iter().map(|submission| &submission.publication).collect();
        let mut committed = self.commit(&publications).await;
        for _ in 0..RACES_MAX {
            // Another node was first with an idempotency key of this batch; the next try finds what it remembered.
            if !matches!(committed, Err(StoreError::Conflict(_) | StoreError::Contended(_))) {
                break;
            }
            committed = self.commit(&publications).await;
        }
        let answers = match committed {
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

    async fn commit(&self, publications: &[&Publication]) -> Result<Vec<Result<Accepted, IngestError>>, StoreError> {
        // Whatever is written here is written by one statement, after all that is read.
        let mut tx = self.store.write_at_once().await?;
        // Leases count from here: the wait for the writer is not part of them.
        let now = self.clock.now();
        let named: Vec<Named> = publications.iter().filter_map(|publication| publication.named()).collect();
        let remembered = idempotency::find(tx.conn(), &named.iter().collect::<Vec<_>>()).await?;
        let mut draft = Draft::of(publications, &remembered, |publication, event| self.born(publication, event, now));
        let listeners = webhooks::listeners(tx.conn(), &draft.types()).await?;
        draft.bound(&listeners);
        let (events, outlook) = draft.settled();
        let admissions = Admissions::of(self, &events, &listeners, now);
        let addressees = self.addressees(tx.conn(), &admissions.listeners(&listeners)).await?;
        let names = outlook.names(publications);
        let mut answers = Vec::with_capacity(publications.len());
        for answer in outlook.answers {
            answers.push(match answer {
                Answer::Said(answer) => answer,
                Answer::Remembered(ids) => Ok(Accepted::Replayed(events::receipts(tx.conn(), &ids).await?)),
            });
        }
        let Admissions { entries, mail, .. } = &admissions;
        let accepted = batch::Accepted { events: &events, entries, mail, names: &names, at: now };
        batch::accept(tx.conn(), &accepted).await.inspect_err(|error| self.doubt_claims(error))?;
        tx.commit().await?;
        admissions.launch(&events, &addressees, now);
        Ok(answers)
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
