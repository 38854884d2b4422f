//! What a node knows of the catalogues that are closed or enforced, kept while it is current.
//!
//! A tenant's catalogue has a version in the database, which is asked for again after two seconds: what is changed on one
//! node counts on the others within that time. Schemas are compiled when the first event of their type comes in, and stay
//! compiled while the type does not change.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lru::LruCache;
use tokio::sync::Semaphore;

use super::schema::{Fault, Schema};
use super::{alike, operational};
use crate::domain::catalogue::Rules;
use crate::domain::event::NewEvent;
use crate::domain::event_type::{EventType, Subscription};
use crate::domain::id::TenantId;
use crate::engine::Engine;
use crate::engine::ingest::Idempotency;
use crate::store::catalogue::{self, Outline};
use crate::store::idempotency::Named;
use crate::store::{StoreError, idempotency};

/// How long a catalogue counts as current without asking.
const CURRENT_FOR: Duration = Duration::from_secs(2);
/// Names and schemas that are kept of all catalogues together, in bytes of text.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What compiled schemas take together, about; those that were needed longest ago are compiled again when they are needed.
const COMPILED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How many catalogues are kept, however small.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");
/// What a type takes besides its schema.
const TYPE_BYTES: usize = 256;
/// Work that takes long and is done at the same time, on threads of its own.
const LONG_AT_ONCE: usize = 1;
/// How many may wait for that; beyond them, events that take long are told to come back.
const WAITING_MAX: usize = 64;
/// Events that are judged before others have their turn.
const EVENTS_IN_A_ROW: usize = 16;
/// Unknown names of one request for which others are looked for: each is compared with the whole catalogue.
const SUGGESTED_FOR_MAX: usize = 10;

/// The catalogues that were looked at lately.
pub(in crate::engine) struct Catalogues {
    kept: Mutex<LruCache<TenantId, Arc<Catalogue>>>,
    compiled: Mutex<Compiled>,
    /// Held by whoever asks the database, and by whoever knows that it has changed.
    asking: tokio::sync::Mutex<()>,
    long: Arc<Semaphore>,
    /// How many wait for it.
    waiting: AtomicUsize,
}

/// One that waits, for as long as it does.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn of(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Catalogue {
    version: i64,
    /// When it was last known to be current, in microseconds of this machine's own count.
    current_at: AtomicU64,
    /// Whether it was changed here since.
    is_doubted: AtomicBool,
    types: BTreeMap<EventType, Known>,
    bytes: usize,
}

struct Known {
    version: i64,
    schema: Option<Arc<Lazy>>,
}

/// A schema that is compiled when it is needed.
struct Lazy {
    text: Bytes,
    compiled: Mutex<Option<Arc<Schema>>>,
    /// Held by whoever compiles it.
    compiling: tokio::sync::Mutex<()>,
}

/// Those that are compiled, by where they lie in memory.
struct Compiled {
    recent: LruCache<usize, (Arc<Lazy>, usize)>,
    bytes: usize,
}

impl Lazy {
    fn of(text: Bytes) -> Arc<Self> {
        Arc::new(Self { text, compiled: Mutex::default(), compiling: tokio::sync::Mutex::default() })
    }

    fn compiled(&self) -> MutexGuard<'_, Option<Arc<Schema>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Compiled {
    /// Notes that a schema was needed; forgets others if they take too much together.
    fn note(&mut self, lazy: &Arc<Lazy>, bytes: usize) {
        let before = self.recent.put(Arc::as_ptr(lazy).addr(), (lazy.clone(), bytes));
        self.bytes = self.bytes + bytes - before.map_or(0, |(_, bytes)| bytes);
        while self.bytes > COMPILED_BYTES_MAX
            && self.recent.len() > 1
            && let Some((_, (forgotten, bytes))) = self.recent.pop_lru()
        {
            forgotten.compiled().take();
            self.bytes -= bytes;
        }
    }
}

/// An event was not judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the schema of {0} is in the catalogue and cannot be compiled any more")]
    Unusable(EventType),
    /// Too many wait already for what takes long.
    #[error("too much is waiting to be checked")]
    Overloaded,
}

/// A subscription to nothing that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its place among those that were asked about.
    pub at: usize,
    pub detail: String,
}

impl Default for Catalogues {
    fn default() -> Self {
        Self {
            kept: Mutex::new(LruCache::new(KEPT_MAX)),
            compiled: Mutex::new(Compiled { recent: LruCache::unbounded(), bytes: 0 }),
            asking: tokio::sync::Mutex::default(),
            long: Arc::new(Semaphore::new(LONG_AT_ONCE)),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Catalogues {
    fn get(&self, tenant_id: TenantId) -> Option<Arc<Catalogue>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant_id).cloned()
    }

    fn put(&self, tenant_id: TenantId, catalogue: Arc<Catalogue>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(tenant_id, catalogue);
        let mut bytes: usize = kept.iter().map(|(_, catalogue)| catalogue.bytes).sum();
        while bytes > KEPT_BYTES_MAX
            && kept.len() > 1
            && let Some((_, forgotten)) = kept.pop_lru()
        {
            bytes -= forgotten.bytes;
        }
    }

    /// Has a catalogue asked for anew that was changed here.
    pub(super) async fn look_again(&self, tenant_id: TenantId) {
        // Whoever asks at this moment may have seen what was before.
        let _asking = self.asking.lock().await;
        if let Some(kept) = self.get(tenant_id) {
            kept.is_doubted.store(true, Ordering::Release);
        }
    }

    /// A schema that is compiled by now; `None` when it cannot be.
    async fn schema(&self, lazy: &Arc<Lazy>) -> Option<Arc<Schema>> {
        let known = lazy.compiled().clone();
        let schema = match known {
            Some(schema) => schema,
            None => self.compiled(lazy).await?,
        };
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).note(lazy, schema.bytes());
        Some(schema)
    }

    async fn compiled(&self, lazy: &Lazy) -> Option<Arc<Schema>> {
        let _compiling = lazy.compiling.lock().await;
        // Somebody may have compiled it meanwhile.
        if let Some(schema) = lazy.compiled().clone() {
            return Some(schema);
        }
        let text = lazy.text.clone();
        let schema = Arc::new(self.apart(move || Schema::compile(&text).ok()).await?);
        *lazy.compiled() = Some(schema.clone());
        Some(schema)
    }

    /// Whether so much waits for what takes long that nothing more should.
    fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= WAITING_MAX
    }

    /// Does what takes long where nobody else waits, one after the other.
    pub(super) async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _waiting = Waiting::of(&self.waiting);
        let permit = self.long.clone().acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match done.await {
            Ok(done) => done,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The server has ended meanwhile, and nobody waits any more.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Catalogue {
    /// What was read, with what is compiled already of an earlier version.
    fn of(version: i64, outlines: Vec<Outline>, before: Option<&Self>) -> Self {
        let mut types = BTreeMap::new();
        let mut bytes = 0;
        for Outline { name, version, schema } in outlines {
            bytes += TYPE_BYTES + schema.as_ref().map_or(0, Bytes::len);
            let same = before.and_then(|before| before.types.get(&name)).filter(|known| known.version == version);
            let fresh = || schema.map(Lazy::of);
            let schema = same.map_or_else(fresh, |known| known.schema.clone());
            types.insert(name, Known { version, schema });
        }
        Self { version, current_at: AtomicU64::new(0), is_doubted: AtomicBool::new(false), types, bytes }
    }

    fn is_current(&self, now: Duration) -> bool {
        let current_for = now.saturating_sub(Duration::from_micros(self.current_at.load(Ordering::Acquire)));
        current_for < CURRENT_FOR && !self.is_doubted.load(Ordering::Acquire)
    }

    fn confirm(&self, now: Duration) {
        self.current_at.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Known names that are like this one, and names above known ones if those count too; the most alike first.
    fn nearest(&self, name: &str, with_groups: bool) -> Vec<String> {
        let names: BTreeSet<&str> = match with_groups {
            true => self.types.keys().flat_map(EventType::lineage).collect(),
            false => self.types.keys().map(EventType::as_str).collect(),
        };
        alike::nearest(name, names)
    }

    fn advice(&self, name: &str, with_groups: bool, suggested: &mut usize) -> String {
        const UNKNOWN: &str = "is not in this tenant's catalogue, which is closed";
        *suggested += 1;
        let nearest = if *suggested > SUGGESTED_FOR_MAX { Vec::new() } else { self.nearest(name, with_groups) };
        match nearest.as_slice() {
            [] => format!("{UNKNOWN}; GET /v1/event-types lists what is"),
            names => format!("{UNKNOWN}; did you mean {}?", names.join(" or ")),
        }
    }
}

impl Engine {
    /// How strictly a tenant's catalogue is kept, from memory.
    pub fn catalogue_rules(&self, tenant_id: TenantId) -> Rules {
        self.keys_of(tenant_id).map_or(Rules::OPEN, |keys| keys.tenant.catalogue)
    }

    /// Which of these subscriptions concern nothing that there is: of Signet's own events those that are none, and of the
    /// tenant's those that its catalogue does not know, if it is closed.
    pub async fn unknown_subscriptions(
        &self,
        tenant_id: TenantId,
        subscriptions: &[Subscription],
    ) -> Result<Vec<Unknown>, StoreError> {
        let of_ours = |(at, subscription): (usize, &Subscription)| {
            operational::objection(subscription).map(|detail| Unknown { at, detail })
        };
        let mut unknown: Vec<Unknown> = subscriptions.iter().enumerate().filter_map(of_ours).collect();
        if !self.catalogue_rules(tenant_id).is_closed {
            return Ok(unknown);
        }
        let catalogue = self.catalogue(tenant_id).await?;
        let mut suggested = 0;
        for (at, subscription) in subscriptions.iter().enumerate() {
            if !subscription.is_known_among(catalogue.types.keys()) {
                let detail = catalogue.advice(subscription.as_str(), true, &mut suggested);
                unknown.push(Unknown { at, detail });
            }
        }
        unknown.sort_by_key(|unknown| unknown.at);
        Ok(unknown)
    }

    /// What the tenant's catalogue has against each of these events: for most of them, nothing. Pointers are into the
    /// event, as it is published.
    pub async fn judge(&self, tenant_id: TenantId, events: &[&NewEvent]) -> Result<Vec<Vec<Fault>>, JudgeError> {
        let rules = self.catalogue_rules(tenant_id);
        if rules == Rules::OPEN {
            return Ok(vec![Vec::new(); events.len()]);
        }
        let catalogue = self.catalogue(tenant_id).await?;
        let (mut judged, mut suggested) = (Vec::with_capacity(events.len()), 0);
        for (at, event) in events.iter().enumerate() {
            if at % EVENTS_IN_A_ROW == EVENTS_IN_A_ROW - 1 {
                tokio::task::yield_now().await;
            }
            let faults = match catalogue.types.get(&event.event_type) {
                None if rules.is_closed => {
                    let advice = catalogue.advice(event.event_type.as_str(), false, &mut suggested);
                    vec![Fault::new("/type", advice)]
                }
                Some(Known { schema: Some(schema), .. }) if rules.enforces_schema => {
                    self.violations(schema.clone(), event).await?
                }
                _ => Vec::new(),
            };
            judged.push(faults);
        }
        Ok(judged)
    }

    /// Whether something was published under this name that asked for the same.
    pub async fn remembers(&self, tenant_id: TenantId, name: &Idempotency) -> Result<bool, StoreError> {
        let named = Named { tenant_id, key: name.key.clone(), fingerprint: name.fingerprint };
        let mut reader = self.store.read().await?;
        let remembered = idempotency::find(reader.conn(), &[&named]).await?;
        Ok(remembered.values().any(|before| before.fingerprint == named.fingerprint))
    }

    async fn violations(&self, lazy: Arc<Lazy>, event: &NewEvent) -> Result<Vec<Fault>, JudgeError> {
        let schema = self.catalogues.schema(&lazy).await;
        let schema = schema.ok_or_else(|| JudgeError::Unusable(event.event_type.clone()))?;
        // It was read before, so it is JSON.
        let Ok(value) = serde_json::from_slice(&event.payload) else { return Ok(Vec::new()) };
        let examination = schema.examine(value);
        let faults = if examination.is_quick() {
            schema.violations(&examination)
        } else {
            if self.catalogues.is_crowded() {
                return Err(JudgeError::Overloaded);
            }
            self.catalogues.apart(move || schema.violations(&examination)).await
        };
        Ok(faults.into_iter().map(|fault| fault.beneath("/data")).collect())
    }

    /// A tenant's catalogue as it was within the last two seconds.
    async fn catalogue(&self, tenant_id: TenantId) -> Result<Arc<Catalogue>, StoreError> {
        let is_current = |kept: &Arc<Catalogue>| kept.is_current(self.clock.monotonic());
        if let Some(kept) = self.catalogues.get(tenant_id).filter(is_current) {
            return Ok(kept);
        }
        // One asks for all that wait.
        let _asking = self.catalogues.asking.lock().await;
        let kept = self.catalogues.get(tenant_id);
        if let Some(kept) = kept.clone().filter(is_current) {
            return Ok(kept);
        }
        let asked_at = self.clock.monotonic();
        let mut reader = self.store.read().await?;
        let version = catalogue::version(reader.conn(), tenant_id).await?;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.version == version) {
            kept.confirm(asked_at);
            return Ok(kept.clone());
        }
        let outlines = catalogue::outlines(reader.conn(), tenant_id).await?;
        let loaded = Arc::new(Catalogue::of(version, outlines, kept.as_deref()));
        loaded.confirm(asked_at);
        self.catalogues.put(tenant_id, loaded.clone());
        Ok(loaded)
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
