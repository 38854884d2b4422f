//! Destroying what a device keeps and no row needs: keys that sign no more, and what a crash left behind.
//!
//! Nothing is destroyed because somebody is about to demote a key: only what the database says, after the commit, counts. A
//! key whose row has no private half any more goes at once. One that has no row at all may be about to get it, so it is
//! spared for some looks; one of a tenant that is not known here is spared for ever, because it may be somebody else's.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::job::{self, Woken};
use super::keys::KeysError;
use crate::domain::key_ring::Kid;
use crate::domain::time::Timestamp;
use crate::signing::{KeptKey, KeyProvider as _, Providers, SigningError};
use crate::store::sealed;
use crate::store::signing_keys::{self, Half};

/// How often it is asked whether it is time to look.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// How often is looked when no key changed.
const EVERY: Duration = Duration::from_mins(1);
/// How often at most when they do: listing is dear, and keys change seldom.
const AFTER_CHANGE: Duration = Duration::from_secs(5);
/// How many looks, a minute or so apart, spare a key without a row. Writing the row takes seconds.
const LOOKS: u32 = 5;
/// Rows that are read at a time.
const PAGE: u32 = 500;

/// What one node has seen of keys that no row needs.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Of which version of all keys the last look was, and when.
    looked: Option<(i64, Timestamp)>,
    without_row: HashMap<KeptKey, u32>,
    kids: HashMap<KeptKey, Kid>,
}

impl Leftovers {
    fn is_due(&mut self, version: i64, now: Timestamp) -> bool {
        let is_due = self.looked.is_none_or(|(seen, at)| {
            let wait = if seen == version { EVERY } else { AFTER_CHANGE };
            now >= at.plus(wait) || now < at
        });
        if is_due {
            self.looked = Some((version, now));
        }
        is_due
    }

    /// Counts a look at a key without a row; answers whether that were enough of them.
    fn has_waited(&mut self, kept: &KeptKey) -> bool {
        let looks = self.without_row.entry(kept.clone()).or_default();
        *looks += 1;
        *looks > LOOKS
    }
}

/// The job, apart from that of the rings: a device that hangs holds up nothing else.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    loop {
        tokio::select! {
            () = engine.destroy_leftovers() => {}
            () = end.cancelled() => return,
        }
        let until = engine.clock.now().plus(LOOKS_EVERY);
        if job::rest_until(&engine.clock, until, &end).await == Woken::ToEnd {
            return;
        }
    }
}

impl Engine {
    /// Looks now and then, and when keys changed. May run at any moment, on any number of nodes.
    pub(super) async fn destroy_leftovers(&self) {
        if !self.providers.keep_beside_rows() {
            return;
        }
        let is_due = self.leftovers().is_due(self.keys.version(), self.clock.now());
        if !is_due {
            return;
        }
        if let Err(error) = self.look_for_leftovers().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "keys that nobody needs are not destroyed yet; trying again"
            );
        }
    }

    async fn look_for_leftovers(&self) -> Result<(), KeysError> {
        // First what is kept, then what is needed: a key that was made in between is not among the first.
        let kept = self.at_the_device(|providers| providers.list()).await?;
        let needed = self.needed_beside_rows().await?;
        {
            let is_kept: HashSet<&KeptKey> = kept.iter().collect();
            let mut leftovers = self.leftovers();
            leftovers.kids.retain(|key, _| is_kept.contains(key));
            leftovers.without_row.retain(|key, _| is_kept.contains(key) && !needed.contains(&key.private_half));
        }
        for key in kept.into_iter().filter(|key| !needed.contains(&key.private_half)) {
            if self.is_leftover(&key).await? {
                let destroyed = key.clone();
                self.at_the_device(move |providers| providers.destroy(&destroyed)).await?;
                tracing::info!(tenant.id = %key.tenant_id, key.uri = key.private_half, "a key that signs no more was destroyed");
            }
        }
        Ok(())
    }

    /// Whether nobody will ever need a key that no row names.
    async fn is_leftover(&self, key: &KeptKey) -> Result<bool, KeysError> {
        if self.keys_of(key.tenant_id).is_none() {
            return Ok(false);
        }
        let mut kid = self.leftovers().kids.get(key).cloned();
        if kid.is_none() {
            let asked = key.clone();
            kid = self.at_the_device(move |providers| providers.kid_of(&asked)).await?;
        }
        let half = match &kid {
            Some(kid) => {
                self.leftovers().kids.insert(key.clone(), kid.clone());
                signing_keys::half_of(self.store.read().await?.conn(), key.tenant_id, kid).await?
            }
            // Half a pair, of which nobody knows whose it was.
            None => Half::NoRow,
        };
        Ok(match half {
            Half::Destroyed => true,
            Half::Kept => false,
            Half::NoRow => self.leftovers().has_waited(key),
        })
    }

    async fn needed_beside_rows(&self) -> Result<HashSet<String>, KeysError> {
        let mut needed = HashSet::new();
        let mut after = None;
        loop {
            let page = sealed::private_halves(self.store.read().await?.conn(), after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(needed) };
            after = Some((last.tenant_id, last.kid.clone()));
            needed.extend(page.into_iter().map(|half| half.text).filter(|text| Providers::stands_beside_row(text)));
        }
    }

    /// Speaks to every device once: what is wrong with its settings shows here, and not at the first delivery.
    pub async fn confirm_providers(&self) -> Result<(), SigningError> {
        self.at_the_device(Providers::confirm).await
    }

    /// Asks a provider something on a thread that may wait.
    async fn at_the_device<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Providers) -> Result<T, SigningError> + Send + 'static,
    ) -> Result<T, SigningError> {
        let providers = Arc::clone(&self.providers);
        let asked = tokio::task::spawn_blocking(move || ask(&providers)).await;
        asked.map_err(|_| SigningError::Busy)?
    }

    fn leftovers(&self) -> MutexGuard<'_, Leftovers> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::TenantId;

    fn second(number: i64) -> Timestamp {
        Timestamp::from_micros(number * 1_000_000)
    }

    #[test]
    fn it_is_looked_every_minute_and_soon_after_a_change() {
        let mut leftovers = Leftovers::default();

        let looks: Vec<bool> = [(1, 0), (1, 59), (1, 60), (2, 64), (2, 65), (2, 66), (2, 30)]
            .into_iter()
            .map(|(version, at)| leftovers.is_due(version, second(at)))
            .collect();

        assert_eq!(looks, [true, false, true, false, true, false, true]);
    }

    #[test]
    fn a_key_without_a_row_is_spared_for_five_looks() {
        let mut leftovers = Leftovers::default();
        let key = KeptKey { tenant_id: TenantId::from_bytes([1; 16]), private_half: "pkcs11:id=1".to_owned() };

        let waited: Vec<bool> = (0..6).map(|_| leftovers.has_waited(&key)).collect();

        assert_eq!(waited, [false, false, false, false, false, true]);
    }
}
