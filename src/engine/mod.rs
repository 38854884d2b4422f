//! What happens: use cases, and jobs that go on by themselves. The only ring with a clock.
//!
//! ```text
//!  POST /v1/events ─▶ ingest ──┐ one transaction: event, who it concerns, queue
//!                              ├─▶ dispatch ─▶ wire ─▶ signing ─▶ egress ─▶ receiver
//!  what is due ─▶ lanes ───────┘        │
//!                    ▲                  ▼ outcome, decided by the retry policy
//!                    └──────────────  settle   one transaction: history, or the queue again
//! ```
//! A job takes no input, may run at any moment and any number of times. Notifications shorten waits; losing one costs
//! latency, never work. Queues between jobs are bounded: when one is full, whoever fills it is told to come back.

pub mod access;
pub mod activation;
mod addressees;
mod allowances;
mod announce;
pub mod audit;
mod bodies;
pub mod calls;
pub mod catalogue;
pub mod clock;
mod cursors;
pub mod deliveries;
pub mod dispatch;
pub mod encryption;
mod health;
pub mod hooks;
pub mod idempotency;
pub mod ingest;
pub mod job;
mod key_sets;
pub mod keys;
mod lanes;
pub mod leftovers;
mod letters;
pub mod mailbox;
pub mod master_keys;
mod metrics;
pub mod nodes;
pub mod operator;
mod pace;
pub mod rehearse;
pub mod replay;
pub mod revoke;
pub mod rotate;
pub mod senders;
mod service_time;
pub mod settle;
pub mod sweep;
pub mod tenants;
pub mod webhooks;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc};

use crate::domain::id::NodeId;
use crate::domain::key_ring::KeyPolicy;
use crate::domain::quota::Quota;
use crate::domain::retry::RetryPolicy;
use crate::domain::webhook::PlainHttp;
use crate::egress::{Egress, EgressError};
use crate::signing::{MasterKeys, Providers};
use crate::store::revocations::Revocations;
use crate::store::{Store, StoreError};

use access::KnownCallers;
use addressees::Addressees;
use allowances::Allowances;
use bodies::Bodies;
use calls::Places;
use catalogue::known::Catalogues;
use clock::Clock;
use hooks::Hooks;
use ingest::Intake;
use key_sets::KeySets;
use keys::KeyBook;
use lanes::Lanes;
use leftovers::Leftovers;
use mailbox::Mailroom;
use metrics::Metrics;
use senders::Senders;
use service_time::Measured;
use settle::Verdict;

/// What the engine is told once, at its start.
pub struct Terms {
    /// The base of every issuer, without a trailing slash.
    pub public_url: String,
    pub plain_http: PlainHttp,
    pub key_policy: KeyPolicy,
    pub retry_policy: RetryPolicy,
    /// How long events, deliveries and attempts are kept.
    pub retention: Duration,
    /// SHA-256 of the operator's own key, if there is one.
    pub admin_key_digest: Option<[u8; 32]>,
    /// How often each API key may ask; as often as it likes, if there is none.
    pub quota: Option<Quota>,
}

/// Everything that use cases and jobs work with.
pub struct Engine {
    pub store: Store,
    pub clock: Clock,
    pub terms: Terms,
    master_keys: Arc<MasterKeys>,
    providers: Arc<Providers>,
    leftovers: Mutex<Leftovers>,
    egress: Egress,
    node_id: Mutex<NodeId>,
    /// Names under which it claims no more, and of which the others are yet to hear.
    given_up: Mutex<Vec<NodeId>>,
    keys: KeyBook,
    /// How many nodes there are, this one among them.
    live_nodes: AtomicU32,
    /// Which version of the keys the others know that this node serves.
    reported: Mutex<Option<i64>>,
    measured: Measured,
    /// What no backup of the database forgets.
    revocations: Revocations,
    callers: KnownCallers,
    allowances: Allowances,
    addressees: Addressees,
    bodies: Bodies,
    calls: Places,
    key_sets: KeySets,
    catalogues: Catalogues,
    hooks: Hooks,
    metrics: Metrics,
    intake: Intake,
    /// Those who wait for something to be collected.
    mailroom: Mailroom,
    verdicts: mpsc::Sender<Verdict>,
    lanes: Mutex<Lanes>,
    /// Rung when a lane may have something to grant.
    due: Notify,
    /// Set when the queue itself is to be asked who has work, before its time.
    look_again: AtomicBool,
    /// Rung when a key ring may have something to do.
    rotation_due: Notify,
    /// Places for those who wait for rows that others hold.
    row_waiters: Semaphore,
    senders: Senders,
}

/// The receiving ends of the engine's queues, for the jobs that empty them.
pub struct Inboxes {
    pub ingest: ingest::Inbox,
    pub settle: mpsc::Receiver<Verdict>,
    pub hook_log: hooks::LogInbox,
    /// One for each sender thread.
    pub senders: Vec<senders::Outbox>,
}

/// What an engine is made of.
pub struct Parts {
    pub store: Store,
    pub clock: Clock,
    pub master_keys: Arc<MasterKeys>,
    pub providers: Providers,
    pub revocations: Revocations,
    pub egress: Egress,
    pub sender_threads: NonZeroUsize,
    pub terms: Terms,
}

/// Verdicts that wait to be written; beyond them, deliveries wait before they are called done.
const VERDICTS_MAX: usize = 4_096;
/// Who waits for a row does so with a connection in hand, of which PostgreSQL gives a node sixteen. Beyond these, they wait
/// without one, so that many changes of one webhook leave enough for everything else.
const ROW_WAITERS_MAX: usize = 4;

impl Engine {
    /// Puts the parts together. Nothing runs yet: `app` starts the jobs.
    pub fn new(parts: Parts) -> Result<(Arc<Self>, Inboxes), EgressError> {
        let (intake, ingest) = Intake::new();
        let (verdicts, settle) = mpsc::channel(VERDICTS_MAX);
        let (senders, outboxes) = Senders::new(parts.sender_threads);
        let (hooks, hook_log) = Hooks::new(&parts.egress)?;
        let engine = Arc::new(Self {
            node_id: Mutex::new(NodeId::from_bytes(parts.clock.id())),
            given_up: Mutex::default(),
            store: parts.store,
            clock: parts.clock,
            terms: parts.terms,
            master_keys: parts.master_keys,
            providers: Arc::new(parts.providers),
            leftovers: Mutex::default(),
            egress: parts.egress,
            keys: KeyBook::default(),
            live_nodes: AtomicU32::new(1),
            reported: Mutex::default(),
            measured: Measured::default(),
            revocations: parts.revocations,
            callers: KnownCallers::default(),
            allowances: Allowances::default(),
            addressees: Addressees::default(),
            bodies: Bodies::default(),
            calls: Places::default(),
            key_sets: KeySets::default(),
            catalogues: Catalogues::default(),
            hooks,
            metrics: Metrics::default(),
            intake,
            mailroom: Mailroom::default(),
            verdicts,
            lanes: Mutex::new(Lanes::default()),
            due: Notify::new(),
            look_again: AtomicBool::new(false),
            rotation_due: Notify::new(),
            row_waiters: Semaphore::new(ROW_WAITERS_MAX),
            senders,
        });
        Ok((engine, Inboxes { ingest, settle, hook_log, senders: outboxes }))
    }

    /// Has the queue asked at once who has work, and those look who wait to collect.
    fn look_again(&self) {
        self.mailroom.ring_all();
        self.look_again.store(true, Ordering::Release);
        self.due.notify_one();
    }

    /// Leave to begin a transaction that may wait for a row, until it is dropped. Nobody closes it.
    async fn row_waiter(&self) -> Option<SemaphorePermit<'_>> {
        self.row_waiters.acquire().await.ok()
    }

    /// The lanes, for a few instructions: nobody holds them across a wait.
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What could be read of some records. The others are logged: they concern nobody but those who ask for them.
fn sound<T>(records: Vec<Result<T, StoreError>>) -> impl Iterator<Item = T> {
    records.into_iter().filter_map(|record| match record {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a damaged record is passed over");
            None
        }
    })
}
