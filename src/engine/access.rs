//! Who is asking, and making and revoking the keys they ask with.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;

use super::clock::NoRandomness;
use super::{Engine, audit};
use crate::domain::access::{ApiKey, ApiKeySecret, Caller, Scope};
use crate::domain::audit::{Action, Actor, INSTALLATION};
use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::time::Timestamp;
use crate::signing::digest;
use crate::store::{Conn, StoreError, api_keys, settings};

/// How long a caller is remembered before its key is looked up again: a key that was revoked elsewhere is refused here
/// within this time.
const REMEMBERED_FOR: Duration = Duration::from_secs(3);
/// How many callers are remembered.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("ten thousand is not zero");

/// Callers whose keys were looked up lately, by the digest of the key.
pub(super) struct KnownCallers(Mutex<LruCache<[u8; 32], (Timestamp, Caller)>>);

impl Default for KnownCallers {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED_MAX)))
    }
}

impl KnownCallers {
    fn get(&self, digest: &[u8; 32], now: Timestamp) -> Option<Caller> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, caller) = known.get(digest)?;
        (now >= *at && now.since(*at) < REMEMBERED_FOR).then(|| caller.clone())
    }

    fn put(&self, digest: [u8; 32], now: Timestamp, caller: Caller) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(digest, (now, caller));
    }

    fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What somebody wishes of an API key.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub tenant_id: Option<TenantId>,
    pub label: String,
    pub scopes: Vec<Scope>,
}

/// No key was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Engine {
    /// Whose key this is; `None` when it is nobody's.
    pub async fn caller_of(&self, presented: &str) -> Result<Option<Caller>, StoreError> {
        let digest = digest::sha256(presented.as_bytes());
        if self.terms.admin_key_digest.is_some_and(|admin| digest::equal(&admin, &digest)) {
            return Ok(Some(Caller::operator()));
        }
        if ApiKeySecret::parse(presented).is_none() {
            return Ok(None);
        }
        let now = self.clock.now();
        if let Some(caller) = self.callers.get(&digest, now) {
            return Ok(Some(caller));
        }
        let mut reader = self.store.read().await?;
        let Some(key) = api_keys::find(reader.conn(), &digest).await? else { return Ok(None) };
        let caller = Caller { key_id: Some(key.id), tenant_id: key.tenant_id, scopes: key.scopes };
        self.callers.put(digest, now, caller.clone());
        Ok(Some(caller))
    }

    /// Makes an API key. The secret is returned this once and kept nowhere.
    pub async fn create_api_key(
        &self,
        actor: Actor,
        wish: NewApiKey,
    ) -> Result<(ApiKey, ApiKeySecret), CreateKeyError> {
        let mut tx = self.store.write().await?;
        let made = self.insert_api_key(tx.conn(), actor, wish).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Makes an API key for a newcomer; `None` when there is or was one, of whoever made it.
    pub async fn create_first_api_key(&self, wish: NewApiKey) -> Result<Option<ApiKeySecret>, CreateKeyError> {
        let mut tx = self.store.write().await?;
        settings::hold_first_start(tx.conn()).await?;
        if !api_keys::list(tx.conn(), None, None, 1).await?.is_empty() {
            return Ok(None);
        }
        let (_, secret) = self.insert_api_key(tx.conn(), Actor::Signet, wish).await?;
        tx.commit().await?;
        Ok(Some(secret))
    }

    async fn insert_api_key(
        &self,
        conn: &mut Conn,
        actor: Actor,
        wish: NewApiKey,
    ) -> Result<(ApiKey, ApiKeySecret), CreateKeyError> {
        let secret = ApiKeySecret::from_random(&self.clock.secret_bytes()?);
        let key = ApiKey {
            id: ApiKeyId::from_bytes(self.clock.id()),
            tenant_id: wish.tenant_id,
            label: wish.label,
            tail: secret.tail(),
            scopes: wish.scopes,
            created_at: self.clock.now(),
            revoked_at: None,
        };
        let made = Action::ApiKeyMade {
            id: key.id.to_string(),
            label: key.label.clone(),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
        };
        audit::record(conn, log_of(&key), (actor, key.created_at), &[made]).await?;
        api_keys::insert(conn, &key, &digest::sha256(secret.reveal().as_bytes())).await?;
        Ok((key, secret))
    }

    /// Revokes an API key, of this tenant if one is named; answers whether there was one to revoke.
    pub async fn revoke_api_key(
        &self,
        actor: Actor,
        id: ApiKeyId,
        tenant_id: Option<TenantId>,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        let Some(key) = api_keys::get(tx.conn(), id).await? else { return Ok(false) };
        if !api_keys::revoke(tx.conn(), id, tenant_id, now).await? {
            return Ok(false);
        }
        audit::record(tx.conn(), log_of(&key), (actor, now), &[Action::ApiKeyRevoked { id: id.to_string() }]).await?;
        tx.commit().await?;
        self.callers.forget_all();
        Ok(true)
    }
}

/// Whose log tells of a key: its tenant's, or the installation's when it reaches every tenant.
fn log_of(key: &ApiKey) -> TenantId {
    key.tenant_id.unwrap_or(INSTALLATION)
}
