//! How often each API key may ask. Counted in memory and by each node on its own: a count that nodes share would cost every
//! request a journey to the database.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use super::Engine;
use crate::domain::id::ApiKeyId;
use crate::domain::quota::{Allowance, Bucket};

/// How many keys are counted. The one that was used least lately is forgotten, and has a full bucket when it comes back.
const COUNTED_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");

/// A bucket for each key; the operator's own has one too.
pub(super) struct Allowances(Mutex<LruCache<Option<ApiKeyId>, Bucket>>);

impl Default for Allowances {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(COUNTED_MAX)))
    }
}

impl Engine {
    /// Counts a request; `None` when requests are not counted.
    pub fn allow(&self, key_id: Option<ApiKeyId>) -> Option<Allowance> {
        let quota = self.terms.quota?;
        let now = self.clock.monotonic();
        let mut buckets = self.allowances.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(buckets.get_or_insert_mut(key_id, Bucket::default).take(quota, now))
    }
}
