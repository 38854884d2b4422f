//! Every tenant's keys as they are now, in memory: what signs, and what the JWKS lists.
//!
//! Signing and the JWKS never ask the database. They read a snapshot that is replaced whenever a tenant's keys change,
//! and stays when the database is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::Engine;
use crate::domain::id::TenantId;
use crate::domain::key_ring::{Key, KeyPolicy, KeyRing, KeyState, Kid, SigningLease};
use crate::domain::tenant::Tenant;
use crate::signing::{Jwks, KeyProvider as _, PublicJwk, SealedKey, Signer, SigningError};
use crate::store::signing_keys::StoredKey;
use crate::store::{Conn, StoreError, nodes, signing_keys, tenants};

/// Tenants that are loaded in one go.
const TENANTS_PER_LOAD: u32 = 500;

/// Keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error("what the database says of this tenant's keys cannot be loaded, so nothing is done to them")]
    Stuck,
}

/// A tenant and its keys at one moment.
pub struct TenantKeys {
    pub tenant: Tenant,
    pub issuer: String,
    /// How its keys rotate.
    pub policy: KeyPolicy,
    pub ring: KeyRing,
    pub jwks: Jwks,
    /// What the JWKS lists.
    public: Vec<PublicJwk>,
    active: Option<SealedKey>,
    /// Those that may sign later.
    pending: Vec<SealedKey>,
    signer: OnceLock<Arc<Signer>>,
}

impl TenantKeys {
    fn signer(&self, engine: &Engine) -> Result<Arc<Signer>, SigningError> {
        if let Some(signer) = self.signer.get() {
            return Ok(signer.clone());
        }
        // What cannot be opened now is tried again: a master key may be brought later.
        let sealed = self.active.as_ref().ok_or(SigningError::Signature)?;
        let signer = Arc::new(engine.providers.open(sealed)?);
        Ok(self.signer.get_or_init(|| signer).clone())
    }

    /// An announced key, ready to sign before its time: for rehearsals, and for what only an unknown key can do. Not kept:
    /// what does not sign yet does not lie open in memory.
    pub(super) fn announced_signer(&self, engine: &Engine, kid: &Kid) -> Option<Result<Signer, SigningError>> {
        let sealed = self.pending.iter().find(|sealed| sealed.kid == *kid)?;
        Some(engine.providers.open(sealed))
    }
}

/// A node signs nothing for as long as it is out of touch.
#[derive(Debug, thiserror::Error)]
#[error(
    "this node may not sign: it has not heard from the database for a minute, or its clock is wrong by more than that"
)]
pub struct MayNotSign;

/// The snapshots of all tenants.
#[derive(Default)]
pub struct KeyBook {
    pages: RwLock<Pages>,
    /// Held while loading, so that two loads do not write over each other out of order.
    version: Mutex<i64>,
    lease: RwLock<SigningLease>,
    /// Held by whoever asks the database for leave to sign.
    regaining: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Pages {
    tenants: HashMap<TenantId, Arc<TenantKeys>>,
    /// One of them, which is asked for most.
    default: Option<Arc<TenantKeys>>,
}

impl KeyBook {
    /// Which version of all keys is loaded.
    pub(super) fn version(&self) -> i64 {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key's private half with all that it must belong to; `None` when it is gone.
pub(super) fn sealed(tenant_id: TenantId, stored: &StoredKey) -> Option<SealedKey> {
    let private_half = stored.private_half.clone()?;
    Some(SealedKey { tenant_id, kid: stored.key.kid.clone(), algorithm: stored.key.algorithm, private_half })
}

impl Engine {
    /// A tenant's keys, if there is such a tenant.
    pub fn keys_of(&self, tenant_id: TenantId) -> Option<Arc<TenantKeys>> {
        let pages = self.keys.pages.read().unwrap_or_else(PoisonError::into_inner);
        pages.tenants.get(&tenant_id).cloned()
    }

    /// The tenant that is meant when nobody is named.
    pub fn default_keys(&self) -> Option<Arc<TenantKeys>> {
        let pages = self.keys.pages.read().unwrap_or_else(PoisonError::into_inner);
        pages.default.clone()
    }

    /// Every tenant there is.
    pub fn all_tenants(&self) -> Vec<Arc<TenantKeys>> {
        let pages = self.keys.pages.read().unwrap_or_else(PoisonError::into_inner);
        pages.tenants.values().cloned().collect()
    }

    /// How a tenant's keys rotate.
    pub(super) fn policy_of(&self, tenant: &Tenant) -> KeyPolicy {
        tenant.key_policy.unwrap_or(self.terms.key_policy)
    }

    /// Whether this node may sign: it has heard of late which keys do, and its clock is right.
    pub fn may_sign(&self) -> bool {
        self.lease().holds_at(self.clock.monotonic())
    }

    /// The same, after asking the database if it was not heard from of late.
    pub async fn regain_leave_to_sign(&self) -> bool {
        if !self.may_sign() {
            // One asks for all that wait: there may be thousands in hand.
            let _asking = self.keys.regaining.lock().await;
            if !self.may_sign() {
                self.regain_keys().await;
            }
        }
        self.may_sign()
    }

    /// The same for who is waiting for what would be signed.
    pub(super) async fn take_leave_to_sign(&self) -> Result<(), MayNotSign> {
        if self.regain_leave_to_sign().await { Ok(()) } else { Err(MayNotSign) }
    }

    /// Whether a delivery of this tenant would be signed now.
    pub(super) async fn can_sign_for(&self, tenant_id: TenantId) -> bool {
        self.regain_leave_to_sign().await && self.keys_of(tenant_id).is_some_and(|keys| keys.active.is_some())
    }

    /// Loads what changed, on the way to a signature. When that fails, this node signs for as long as its lease lasts.
    pub(super) async fn regain_keys(&self) {
        if let Err(error) = self.refresh_keys().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "it is not known which keys sign now");
        }
    }

    /// A tenant's published keys, unless this node was cut off from the others for so long that they may be gone.
    pub fn published(&self, keys: Option<Arc<TenantKeys>>) -> Option<Arc<TenantKeys>> {
        // A server that is alone changes keys by itself or not at all.
        // An empty set would be cached.
        let keys = keys.filter(|keys| !keys.public.is_empty());
        let counts = |profile| self.lease().may_serve_at(self.clock.monotonic(), profile);
        keys.filter(|keys| !self.store.is_shared() || counts(keys.policy.profile()))
    }

    /// The version of the keys that this node serves.
    pub(super) fn served_version(&self) -> i64 {
        *self.keys.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Read with each signature and each key set that is asked for, so that nobody who reads it waits for another.
    pub(super) fn lease(&self) -> SigningLease {
        *self.keys.lease.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn renew_lease(&self, change: impl FnOnce(&mut SigningLease)) {
        change(&mut self.keys.lease.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The signer of a tenant, and what it signs for.
    pub(super) fn signer_of(&self, tenant_id: TenantId) -> Result<(Arc<TenantKeys>, Arc<Signer>), SigningError> {
        let keys = self.keys_of(tenant_id).ok_or(SigningError::Signature)?;
        let signer = keys.signer(self)?;
        Ok((keys, signer))
    }

    /// Loads every tenant whose keys changed since the last time, here or on another node.
    pub async fn refresh_keys(&self) -> Result<(), KeysError> {
        loop {
            let asked_at = self.clock.monotonic();
            let known = self.served_version();
            let mut reader = self.store.read().await?;
            if tenants::newest_version(reader.conn()).await? < known {
                tracing::warn!("the database has gone back to an earlier state; loading every tenant anew");
                self.replace_pages(known, 0, Vec::new());
                continue;
            }
            let changed = tenants::changed_since(reader.conn(), known, TENANTS_PER_LOAD).await?;
            let Some((newest, _)) = changed.last() else {
                let is_entered = self.store.is_shared() && nodes::is_entered(reader.conn(), self.node_id()).await?;
                self.renew_lease(|lease| {
                    lease.confirm(asked_at);
                    if is_entered {
                        lease.show(asked_at);
                    }
                });
                return Ok(());
            };
            let newest = *newest;
            let mut loaded = Vec::with_capacity(changed.len());
            for tenant in super::sound(changed.into_iter().map(|(_, tenant)| tenant).collect()) {
                let id = tenant.id;
                match self.load_keys(reader.conn(), tenant).await {
                    Ok(keys) => loaded.push(keys),
                    Err(KeysError::Store(error @ StoreError::Unavailable(_))) => return Err(error.into()),
                    // A damaged record concerns its tenant alone, which goes on with what is in memory and is not revoked.
                    Err(error) => {
                        tracing::error!(tenant.id = %id, error = &error as &dyn std::error::Error, "a tenant's keys cannot be loaded");
                        loaded.extend(self.without_revoked(reader.conn(), id).await?);
                    }
                }
            }
            drop(reader);
            if self.replace_pages(known, newest, loaded) && self.store.is_shared() {
                self.report_served_version().await;
            }
        }
    }

    /// What is in memory of a tenant that cannot be loaded, less the keys that were revoked since; `None` when none was.
    async fn without_revoked(&self, conn: &mut Conn, id: TenantId) -> Result<Option<TenantKeys>, KeysError> {
        let Some(keys) = self.keys_of(id) else { return Ok(None) };
        let stored = match signing_keys::of_tenant(conn, id).await {
            Ok(stored) => stored,
            Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let revoked = |kid: &Kid| {
            let of_kid = stored.iter().find(|stored| stored.key.kid == *kid);
            of_kid.is_some_and(|stored| matches!(stored.key.state, KeyState::Revoked { .. }))
        };
        if !keys.public.iter().any(|public| revoked(public.kid())) {
            return Ok(None);
        }
        let public: Vec<PublicJwk> = keys.public.iter().filter(|public| !revoked(public.kid())).cloned().collect();
        Ok(Some(TenantKeys {
            tenant: keys.tenant.clone(),
            issuer: keys.issuer.clone(),
            policy: keys.policy,
            ring: keys.ring.clone(),
            jwks: Jwks::of(&public),
            public,
            active: keys.active.clone().filter(|sealed| !revoked(&sealed.kid)),
            pending: keys.pending.iter().filter(|sealed| !revoked(&sealed.kid)).cloned().collect(),
            signer: OnceLock::new(),
        }))
    }

    /// Takes over what was loaded, unless another task has loaded something newer meanwhile.
    fn replace_pages(&self, known: i64, newest: i64, loaded: Vec<TenantKeys>) -> bool {
        let mut version = self.keys.version.lock().unwrap_or_else(PoisonError::into_inner);
        if *version == known {
            *version = newest;
            self.put_pages(loaded);
        }
        *version == newest
    }

    fn put_pages(&self, loaded: Vec<TenantKeys>) {
        let mut pages = self.keys.pages.write().unwrap_or_else(PoisonError::into_inner);
        for keys in loaded.into_iter().map(Arc::new) {
            if keys.tenant.is_default {
                pages.default = Some(keys.clone());
            }
            pages.tenants.insert(keys.tenant.id, keys);
        }
    }

    async fn load_keys(&self, conn: &mut Conn, tenant: Tenant) -> Result<TenantKeys, KeysError> {
        let stored = signing_keys::of_tenant(conn, tenant.id).await?;
        self.refuse_foreign(tenant.id, &stored)?;
        let resurrected = self.resurrected(tenant.id, &stored);
        let ring = ring_of(&tenant, &stored);
        let of_kid = |kid: &Kid| stored.iter().find(|stored| stored.key.kid == *kid);
        let mut public = Vec::new();
        for key in ring.published().into_iter().filter(|key| !resurrected.contains(&key.kid)) {
            if let Some(stored) = of_kid(&key.kid) {
                public.push(PublicJwk::from_record(&stored.public_jwk, &key.kid, key.algorithm)?);
            }
        }
        let sealed = |key: &Key| sealed(tenant.id, of_kid(&key.kid).filter(|_| !resurrected.contains(&key.kid))?);
        let active = ring.active().and_then(sealed);
        let pending = ring.keys().iter().filter(|key| key.state == KeyState::Pending).filter_map(sealed).collect();
        Ok(TenantKeys {
            issuer: tenant.issuer(&self.terms.public_url),
            policy: self.policy_of(&tenant),
            jwks: Jwks::of(&public),
            public,
            tenant,
            ring,
            active,
            pending,
            signer: OnceLock::new(),
        })
    }
}

/// A tenant's keys as a ring.
pub(super) fn ring_of(tenant: &Tenant, stored: &[StoredKey]) -> KeyRing {
    KeyRing::new(stored.iter().map(|stored| stored.key.clone()).collect(), tenant.algorithm, tenant.cut_over)
}
