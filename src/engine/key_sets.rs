//! The keys that receivers publish to be encrypted to, kept while they say that they may be. A server that does not answer holds up
//! nobody but those whose keys stand there: one asks for all that wait, nobody waits longer than its attempt allows, and what
//! could not be had is not asked for again at once.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::watch;

use super::Engine;
use crate::domain::delivery::FailureKind;
use crate::domain::id::TenantId;
use crate::domain::webhook::WebhookUrl;
use crate::signing::Recipient;

/// How many sets are known at a time: about four kilobytes each.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("4,096 is not zero");
/// The largest set that is read.
const SET_BYTES_MAX: usize = 64 * 1024;
/// How long a set may take to come.
pub(super) const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// How long a set is kept that does not say how long it may be, and the bounds for one that does.
const KEPT_FOR: Duration = Duration::from_mins(10);
const KEPT_FOR_BETWEEN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24));
/// How long a set that is no longer fresh is used while no other one can be had.
const USED_AFTERWARDS_FOR: Duration = Duration::from_hours(24);
/// When a set is asked for again that could not be had: no later than a delivery that failed for it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The same while there is another one to use.
const AGAIN_AFTER_WITH_KEY: Duration = Duration::from_mins(1);

/// There is no key to encrypt to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    #[error("the key set could not be fetched: {}", .0.as_str())]
    Unreachable(FailureKind),
    #[error("the key set was answered with {0}; it must be 200")]
    Status(u16),
    #[error("what stands at jwks_url is no JWK Set: an object with a list `keys`")]
    NoKeySet,
    #[error("the key set has no key that can be encrypted to")]
    NoneUsable,
    #[error("the key that was registered could not be read")]
    Unreadable,
}

/// What is known of each URL. A tenant's is its own: what one asks for tells another nothing.
pub(super) struct KeySets(Mutex<LruCache<(TenantId, String), Place>>);

/// Where all who need the same set meet.
type Place = Arc<Mutex<Entry>>;

impl Default for KeySets {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT_MAX)))
    }
}

impl KeySets {
    fn entry(&self, tenant_id: TenantId, url: &WebhookUrl) -> Place {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert((tenant_id, url.as_str().to_owned()), Arc::default).clone()
    }
}

#[derive(Default)]
struct Entry {
    known: Known,
    /// Ends when the set has been asked for, whatever came of it.
    asking: Option<watch::Receiver<()>>,
}

/// What was heard of one URL.
#[derive(Default)]
struct Known {
    /// The key that was chosen last, and until when it may be used.
    key: Option<(Arc<Recipient>, Duration)>,
    /// Why nothing else was heard the last time.
    failure: Option<NoKey>,
    /// When it is asked for again.
    asked_again_at: Duration,
}

/// A set that came, and how long it may be kept.
struct Heard {
    key: Option<Recipient>,
    max_age: Option<Duration>,
}

impl Known {
    fn is_current(&self, now: Duration) -> bool {
        now < self.asked_again_at
    }

    /// The key to use, which may be of a set that could not be had anew.
    fn key(&self, now: Duration) -> Result<Arc<Recipient>, NoKey> {
        let usable = self.key.as_ref().filter(|(_, until)| now < *until);
        let late = NoKey::Unreachable(FailureKind::Timeout);
        usable.map(|(key, _)| key.clone()).ok_or(self.failure.unwrap_or(late))
    }

    fn note(&mut self, heard: Result<Heard, NoKey>, now: Duration) {
        match heard {
            Ok(Heard { key: Some(key), max_age }) => {
                let kept_for = max_age.unwrap_or(KEPT_FOR).clamp(KEPT_FOR_BETWEEN.0, KEPT_FOR_BETWEEN.1);
                *self = Self {
                    key: Some((Arc::new(key), now + kept_for + USED_AFTERWARDS_FOR)),
                    failure: None,
                    asked_again_at: now + kept_for,
                };
            }
            // The receiver has taken its keys back. Nothing is encrypted to them any more, and another one is looked for soon.
            Ok(Heard { key: None, .. }) => {
                *self = Self { key: None, failure: Some(NoKey::NoneUsable), asked_again_at: now + AGAIN_AFTER };
            }
            Err(failure) => {
                let again_after = if self.key(now).is_ok() { AGAIN_AFTER_WITH_KEY } else { AGAIN_AFTER };
                (self.failure, self.asked_again_at) = (Some(failure), now + again_after);
            }
        }
    }
}

impl Engine {
    /// The key of a set that is to be encrypted to now. Waits for no longer than this, and then takes what is known.
    pub(super) async fn key_of_set(
        &self,
        tenant_id: TenantId,
        url: &WebhookUrl,
        within: Duration,
    ) -> Result<Arc<Recipient>, NoKey> {
        let entry = self.key_sets.entry(tenant_id, url);
        let mut asking = {
            let (mut held, now) = (lock(&entry), self.clock.monotonic());
            if held.known.is_current(now) {
                return held.known.key(now);
            }
            let under_way = held.asking.clone().filter(|asking| asking.has_changed().is_ok());
            under_way.unwrap_or_else(|| held.asking.insert(self.ask_for_set(entry.clone(), url)).clone())
        };
        // It ends by its sender's end, so there is nothing to be had from it.
        let _ = tokio::time::timeout(within, asking.changed()).await;
        let held = lock(&entry);
        held.known.key(self.clock.monotonic())
    }

    /// Asks in a task of its own: who waits for it may give up before it ends, and the next one has what comes of it.
    fn ask_for_set(&self, entry: Place, url: &WebhookUrl) -> watch::Receiver<()> {
        let (ending, asking) = watch::channel(());
        let (egress, url) = (self.egress.clone(), url.clone());
        let (asked_at, stopwatch) = (self.clock.monotonic(), self.clock.stopwatch());
        tokio::spawn(async move {
            let fetched = egress.fetch_keys(url.as_url(), SET_BYTES_MAX, FETCH_WITHIN).await;
            let heard = fetched.map_err(NoKey::Unreachable).and_then(|document| match document.status_code {
                200 => {
                    let key = Recipient::of_set(&document.body).map_err(|_| NoKey::NoKeySet)?;
                    Ok(Heard { key, max_age: document.max_age })
                }
                status_code => Err(NoKey::Status(status_code)),
            });
            lock(&entry).known.note(heard, asked_at + stopwatch.elapsed());
            drop(ending);
        });
        asking
    }
}

/// For a few instructions: nobody holds it across a wait.
fn lock(entry: &Mutex<Entry>) -> MutexGuard<'_, Entry> {
    entry.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "key_sets_tests.rs"]
mod tests;
