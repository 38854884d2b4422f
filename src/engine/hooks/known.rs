//! What is known of tenants' hooks, kept for a second: what is changed on one node counts on the others within that time, and
//! on its own at once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;

use crate::domain::hook::{Hook, HookKind};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::engine::Engine;
use crate::signing::digest::WebhookSecret;
use crate::signing::{AnswerKeys, Confidential, Purpose, SigningError};
use crate::store::{StoreError, hooks};

/// How long what was read counts as current.
const CURRENT_FOR: Duration = Duration::from_secs(1);
/// How many tenants' hooks are kept: a few kilobytes each.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");

/// A tenant's hooks, ready to be asked.
pub(super) struct TenantHooks {
    pub(super) hooks: BTreeMap<HookKind, Arc<KnownHook>>,
    /// An error when there are hooks and their record does not open.
    secrets: Result<Vec<(WebhookSecret, Option<Timestamp>)>, SigningError>,
}

pub(super) struct KnownHook {
    pub(super) hook: Hook,
    /// `None` where answers need no signature.
    pub(super) answer_keys: Option<AnswerKeys>,
}

impl TenantHooks {
    /// The secrets that sign at this instant, newest first.
    pub(super) fn secrets_at(&self, now: Timestamp) -> Result<Vec<&WebhookSecret>, SigningError> {
        let secrets = self.secrets.as_ref().map_err(Clone::clone)?.iter();
        let alive = secrets.filter(|(_, expires_at)| expires_at.is_none_or(|at| now < at));
        Ok(alive.map(|(secret, _)| secret).collect())
    }
}

pub(super) struct Known(Mutex<Kept>);

struct Kept {
    tenants: LruCache<TenantId, (Duration, Arc<TenantHooks>)>,
    /// Counts the changes that were made here: what was read before one may be what it replaced.
    changes: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self(Mutex::new(Kept { tenants: LruCache::new(KEPT_MAX), changes: 0 }))
    }
}

impl Known {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// They were changed here.
    pub(super) fn forget(&self, tenant_id: TenantId) {
        let mut kept = self.kept();
        kept.changes += 1;
        kept.tenants.pop(&tenant_id);
    }
}

impl Engine {
    /// A tenant's hooks, from memory where that is current and from the database where it is not.
    pub(super) async fn hooks_of(&self, tenant_id: TenantId) -> Result<Arc<TenantHooks>, StoreError> {
        let now = self.clock.monotonic();
        let changes = {
            let mut kept = self.hooks.known.kept();
            match kept.tenants.get(&tenant_id) {
                Some((read_at, hooks)) if now.saturating_sub(*read_at) < CURRENT_FOR => return Ok(hooks.clone()),
                _ => kept.changes,
            }
        };
        let mut reader = self.store.read().await?;
        let hooks = hooks::of_tenant(reader.conn(), tenant_id).await?;
        // Most tenants have none, and so no secret that anybody needs.
        let secret_jwe = if hooks.is_empty() { None } else { hooks::secret(reader.conn(), tenant_id).await? };
        drop(reader);
        let loaded = Arc::new(self.readied(tenant_id, hooks, secret_jwe.as_deref())?);
        let mut kept = self.hooks.known.kept();
        if kept.changes == changes {
            kept.tenants.put(tenant_id, (now, loaded.clone()));
        }
        Ok(loaded)
    }

    fn readied(
        &self,
        tenant_id: TenantId,
        hooks: Vec<(HookKind, Hook)>,
        secret_jwe: Option<&str>,
    ) -> Result<TenantHooks, StoreError> {
        let damaged = StoreError::Corrupt { table: "hooks", column: "answer_keys", why: "no public keys" };
        let ready = |(kind, hook): (HookKind, Hook)| {
            let answer_keys = hook.answer_keys.as_deref().map(AnswerKeys::from_record);
            // Answers that must be signed are never believed without.
            let answer_keys = answer_keys.map(|keys| keys.ok_or(())).transpose()?;
            Ok((kind, Arc::new(KnownHook { hook, answer_keys })))
        };
        let hooks: BTreeMap<_, _> = hooks.into_iter().map(ready).collect::<Result<_, ()>>().map_err(|()| damaged)?;
        let unreadable = || SigningError::Unreadable(tenant_id.to_string());
        let secrets = match secret_jwe {
            None if hooks.is_empty() => Ok(Vec::new()),
            // Nothing is asked without a signature.
            None => Err(unreadable()),
            Some(sealed) => self.master_keys.open(&Purpose::HookSecret { tenant_id }, sealed).and_then(|plain| {
                let signers = Confidential::read(&plain).and_then(|confidential| confidential.signers());
                signers.ok_or_else(unreadable)
            }),
        };
        if let Err(error) = &secrets {
            tracing::error!(tenant.id = %tenant_id, error = error as &dyn std::error::Error, "the secret of a tenant's hooks cannot be used");
        }
        Ok(TenantHooks { hooks, secrets })
    }
}
