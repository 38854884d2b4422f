//! Carrying out what key rings decide, one guarded transaction per step.
//!
//! A step is decided twice: before keys are made for it, and again inside the transaction that takes it. Two nodes that
//! want the same step are harmless: the second finds that it is no longer the next one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::job::{self, Woken};
use super::keys::{KeysError, TenantKeys, ring_of};
use super::{Engine, audit};
use crate::domain::audit::{Action, Actor};
use crate::domain::id::TenantId;
use crate::domain::key_ring::{CannotRotate, Key, KeyRing, KeyState, Kid, Situation, Step};
use crate::domain::tenant::Tenant;
use crate::domain::token::Algorithm;
use crate::signing::{KeyProvider as _, SealedKey, SigningError};
use crate::store::signing_keys::StoredKey;
use crate::store::{Conn, StoreError, nodes, service_time, signing_keys, tenants};

/// How often the rings are looked at. It also bounds how late a change on another node is noticed.
const EVERY: Duration = Duration::from_secs(1);

/// How long a device may take to make a key.
const MADE_WITHIN: Duration = Duration::from_secs(30);

/// A rotation that was asked for did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error(transparent)]
    CannotRotate(#[from] CannotRotate),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl From<StoreError> for RotateError {
    fn from(error: StoreError) -> Self {
        Self::Keys(error.into())
    }
}

/// Whether a requested rotation waits until no receiver can be hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    WhenSafe,
    Forced,
}

/// The job: keeps every tenant's ring in step, for ever.
pub async fn run(engine: Arc<Engine>, end: CancellationToken) {
    loop {
        let bell = engine.rotation_due.notified();
        // From before anything is looked at: a clock that is moved on meanwhile is looked at again.
        let until = engine.clock.now().plus(EVERY);
        if let Err(error) = engine.step_all_rings().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "keys could not be looked after; trying again");
            if job::pause(job::AFTER_FAILURE, &end).await == Woken::ToEnd {
                return;
            }
        }
        if job::rest(&engine.clock, bell, until, &end).await == Woken::ToEnd {
            return;
        }
    }
}

/// A key pair that a step will publish.
pub(super) struct Made {
    public_jwk: String,
    pub(super) sealed: SealedKey,
}

impl Engine {
    /// Takes every step that is due, of every tenant.
    pub async fn step_all_rings(&self) -> Result<(), KeysError> {
        self.refresh_keys().await?;
        self.measure().await?;
        self.look_at_master_keys().await?;
        if let Err(error) = self.revocations.reread() {
            tracing::error!(error = &error as &dyn std::error::Error, "the file of revoked keys cannot be read");
        }
        let situation = self.situation().await?;
        for keys in self.all_tenants() {
            // One ring that is stuck must not hold up the others.
            if let Err(error) = self.step_ring(keys.tenant.id, situation).await {
                tracing::error!(tenant.id = %keys.tenant.id, error = &error as &dyn std::error::Error, "a key ring is stuck");
            }
        }
        Ok(())
    }

    /// What is known at this moment to decide by.
    pub async fn situation(&self) -> Result<Situation, StoreError> {
        let mut reader = self.store.read().await?;
        self.situation_on(reader.conn()).await
    }

    /// The same for a change that is made now.
    pub(super) async fn moment(&self, conn: &mut Conn) -> Result<Situation, StoreError> {
        let service_time = service_time::mark(conn).await?;
        Ok(Situation { service_time, ..self.situation_on(conn).await? })
    }

    pub(super) async fn situation_on(&self, conn: &mut Conn) -> Result<Situation, StoreError> {
        let service_time = service_time::get(conn).await?;
        // Of several nodes, one may have a clock that is wrong; they go by the database's.
        let now = self.clock.shared(nodes::clock(conn).await?);
        // A server that is alone serves what it has written.
        let served = if self.store.is_shared() { nodes::served_version(conn).await? } else { None };
        Ok(Situation { now, service_time, served_version: served.unwrap_or(i64::MAX) })
    }

    /// Takes every step of one tenant's ring that is due.
    async fn step_ring(&self, tenant_id: TenantId, mut situation: Situation) -> Result<(), KeysError> {
        self.revoke_again(tenant_id).await?;
        loop {
            let Some(keys) = self.keys_of(tenant_id) else { return Ok(()) };
            let Some(step) = keys.ring.next_step(&keys.policy, &situation) else { return Ok(()) };
            let made = self.make_for(&step, tenant_id, keys.tenant.algorithm).await?;
            let mut tx = self.store.write().await?;
            let Some((tenant, ring)) = held(tx.conn(), tenant_id).await? else { return Ok(()) };
            situation = self.moment(tx.conn()).await?;
            if ring.next_step(&self.policy_of(&tenant), &situation).as_ref() == Some(&step) {
                let made = self.seal_again(tx.conn(), tenant_id, made).await?;
                let actions = carry_out(tx.conn(), (&tenant, &ring), &step, made, &situation).await?;
                audit::record(tx.conn(), tenant_id, (Actor::Signet, situation.now), &actions).await?;
                self.announce_promotions(tx.conn(), tenant_id, &actions, situation.now).await?;
                tx.commit().await?;
                self.look_again();
                tracing::info!(tenant.id = %tenant_id, step = ?step, "a key ring took a step");
            } else {
                drop(tx);
                self.load_noted(&keys).await?;
            }
            // What was measured before the change is not counted on; from here it is.
            self.measure().await?;
            self.refresh_keys().await?;
            // Memory that does not follow the database would want the same step for ever.
            if self.is_unchanged(&keys) {
                return Err(KeysError::Stuck);
            }
        }
    }

    /// The database decides otherwise. Either somebody was first, and there is a newer version to load; or only notes were
    /// taken of keys, as when a node reports late that it serves one: then they become a version.
    async fn load_noted(&self, keys: &Arc<TenantKeys>) -> Result<(), KeysError> {
        self.refresh_keys().await?;
        let tenant_id = keys.tenant.id;
        if self.is_unchanged(keys) {
            let mut tx = self.store.write().await?;
            if tenants::hold(tx.conn(), tenant_id).await?.is_some() {
                tenants::touch_keys(tx.conn(), tenant_id).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Whether nothing newer was loaded of a tenant.
    fn is_unchanged(&self, keys: &Arc<TenantKeys>) -> bool {
        self.keys_of(keys.tenant.id).is_some_and(|after| Arc::ptr_eq(&after, keys))
    }

    /// Lets the standby sign from now on, because somebody asked; answers its kid.
    pub async fn rotate(&self, actor: Actor, tenant_id: TenantId, haste: Haste) -> Result<Kid, RotateError> {
        self.measure().await?;
        let mut tx = self.store.write().await?;
        let (tenant, ring) = held(tx.conn(), tenant_id).await?.ok_or(CannotRotate::NoStandby)?;
        let situation = self.situation_on(tx.conn()).await?;
        let policy = self.policy_of(&tenant);
        let step = match haste {
            Haste::WhenSafe => ring.rotate_now(&policy, &situation)?,
            Haste::Forced => ring.force_rotation()?,
        };
        let overrules = haste == Haste::Forced && ring.rotate_now(&policy, &situation).is_err();
        let situation = self.moment(tx.conn()).await?;
        let mut actions = carry_out(tx.conn(), (&tenant, &ring), &step, Vec::new(), &situation).await?;
        let Step::Promote { kid, .. } = step else { return Err(CannotRotate::NoStandby.into()) };
        if overrules {
            actions.push(Action::WaitOverruled { kid: kid.clone() });
        }
        audit::record(tx.conn(), tenant_id, (actor, situation.now), &actions).await?;
        self.announce_promotions(tx.conn(), tenant_id, &actions, situation.now).await?;
        tx.commit().await?;
        self.look_again();
        tracing::info!(tenant.id = %tenant_id, key.kid = %kid, ?haste, "a key was promoted on request");
        self.follow_up(tenant_id).await;
        Ok(kid)
    }

    /// Loads what was just committed and takes the steps that follow from it. What fails here is not undone by saying so:
    /// the change stands, and the job goes on with it.
    pub(super) async fn follow_up(&self, tenant_id: TenantId) {
        let followed = async {
            self.measure().await?;
            self.refresh_keys().await?;
            let situation = self.situation().await?;
            self.step_ring(tenant_id, situation).await
        };
        // Boxed, because a step may end in a revocation, which is followed up too.
        if let Err(error) = Box::pin(followed).await {
            tracing::warn!(tenant.id = %tenant_id, error = &error as &dyn std::error::Error, "a change of keys is not in effect here yet");
            self.rotation_due.notify_one();
        }
    }

    pub(super) async fn make_for(
        &self,
        step: &Step,
        tenant_id: TenantId,
        present: Algorithm,
    ) -> Result<Vec<Made>, SigningError> {
        let (count, algorithm) = match step {
            Step::Open => (2, present),
            Step::Publish { algorithm } => (1, *algorithm),
            Step::Promote { .. } | Step::Withdraw { .. } | Step::Archive { .. } => return Ok(Vec::new()),
        };
        let mut made = Vec::with_capacity(count);
        for _ in 0..count {
            // An RSA key takes a few hundred milliseconds, and a device as long as it takes.
            let providers = self.providers.clone();
            let making = tokio::task::spawn_blocking(move || providers.make(tenant_id, algorithm));
            let key = tokio::time::timeout(MADE_WITHIN, making).await.map_err(|_| SigningError::Busy)?;
            let key = key.map_err(|_| SigningError::Generation(algorithm.as_str()))??;
            made.push(Made { public_jwk: key.public.as_str().to_owned(), sealed: key.sealed });
        }
        Ok(made)
    }
}

/// A tenant and its ring as they stand, kept for this transaction alone.
pub(super) async fn held(conn: &mut Conn, tenant_id: TenantId) -> Result<Option<(Tenant, KeyRing)>, StoreError> {
    let Some(tenant) = tenants::hold(conn, tenant_id).await? else { return Ok(None) };
    let stored = signing_keys::of_tenant(conn, tenant_id).await?;
    let ring = ring_of(&tenant, &stored);
    Ok(Some((tenant, ring)))
}

/// Takes a step; answers what is to be written down about it in the same transaction.
pub(super) async fn carry_out(
    conn: &mut Conn,
    (tenant, ring): (&Tenant, &KeyRing),
    step: &Step,
    made: Vec<Made>,
    situation: &Situation,
) -> Result<Vec<Action>, StoreError> {
    let mut actions = Vec::new();
    let version = tenants::touch_keys(conn, tenant.id).await?;
    match step {
        Step::Promote { kid, demoted } => {
            // The one that signed goes first: at no moment are there two.
            if let Some(demoted) = demoted {
                signing_keys::demote(conn, tenant.id, demoted, situation).await?;
            }
            signing_keys::promote(conn, tenant.id, kid, situation).await?;
            let algorithm = ring.find(kid).map_or(tenant.algorithm, |key| key.algorithm);
            if algorithm != tenant.algorithm {
                tenants::update(conn, &Tenant { algorithm, cut_over: None, ..tenant.clone() }).await?;
            }
            actions.push(Action::KeyPromoted { kid: kid.clone(), demoted: demoted.clone() });
        }
        Step::Withdraw { kid } => {
            signing_keys::archive(conn, tenant.id, kid, situation).await?;
            actions.push(Action::KeyWithdrawn { kid: kid.clone() });
        }
        Step::Archive { kid } => {
            signing_keys::archive(conn, tenant.id, kid, situation).await?;
            actions.push(Action::KeyArchived { kid: kid.clone() });
        }
        Step::Open | Step::Publish { .. } => {
            let missed_at = service_time::node_lost(conn).await?;
            for (at, made) in made.into_iter().enumerate() {
                let signs = *step == Step::Open && at == 0;
                let state = match signs {
                    true => KeyState::Active { activated_at: situation.now },
                    false => KeyState::Pending,
                };
                let key = Key {
                    kid: made.sealed.kid,
                    algorithm: made.sealed.algorithm,
                    publication: ring.next_publication(),
                    published_at: situation.now,
                    version,
                    since: situation.service_time,
                    missed_at,
                    state,
                };
                let (kid, algorithm) = (key.kid.clone(), key.algorithm);
                actions.push(match key.state {
                    KeyState::Active { .. } => Action::KeyOpened { kid, algorithm },
                    _ => Action::KeyPublished { kid, algorithm },
                });
                let (public_jwk, private_half) = (made.public_jwk, Some(made.sealed.private_half));
                signing_keys::insert(conn, tenant.id, &StoredKey { key, public_jwk, private_half }).await?;
            }
        }
    }
    Ok(actions)
}
