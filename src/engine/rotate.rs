//! Carrying out what key rings decide, one guarded transaction per step.
//!
//! A step is decided twice: before keys are made for it, and again inside the transaction that takes it. Two nodes that
//! want the same step are harmless: the second finds that it is no longer the next one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::job::{self, Woken};
use super::keys::KeysError;
use crate::domain::id::TenantId;
use crate::domain::key_ring::{CannotRevoke, CannotRotate, Key, KeyRing, KeyState, Kid, Step};
use crate::domain::time::Timestamp;
use crate::domain::token::Algorithm;
use crate::signing::{KeyPair, SealedKey, SigningError};
use crate::store::signing_keys::StoredKey;
use crate::store::{Conn, signing_keys, tenants};

/// How often the rings are looked at. It also bounds how late a change on another node is noticed.
const EVERY: Duration = Duration::from_secs(1);

/// A rotation or revocation that was asked for did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error(transparent)]
    CannotRotate(#[from] CannotRotate),
    #[error(transparent)]
    CannotRevoke(#[from] CannotRevoke),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl From<crate::store::StoreError> for RotateError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Keys(error.into())
    }
}

impl From<SigningError> for RotateError {
    fn from(error: SigningError) -> Self {
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
        if let Err(error) = engine.step_all_rings().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "keys could not be looked after; trying again");
            if job::pause(job::AFTER_FAILURE, &end).await == Woken::ToEnd {
                return;
            }
        }
        let until = engine.clock.now().plus(EVERY);
        if job::rest(&engine.clock, bell, until, &end).await == Woken::ToEnd {
            return;
        }
    }
}

/// A key pair that a step will publish.
pub(super) struct Made {
    public_jwk: String,
    sealed: SealedKey,
}

impl Engine {
    /// Takes every step that is due, of every tenant.
    pub async fn step_all_rings(&self) -> Result<(), KeysError> {
        self.refresh_keys().await?;
        for keys in self.all_tenants() {
            // One ring that is stuck must not hold up the others.
            if let Err(error) = self.step_ring(keys.tenant.id).await {
                tracing::error!(tenant.id = %keys.tenant.id, error = &error as &dyn std::error::Error, "a key ring is stuck");
            }
        }
        Ok(())
    }

    /// Takes every step of one tenant's ring that is due.
    pub async fn step_ring(&self, tenant_id: TenantId) -> Result<(), KeysError> {
        let policy = self.terms.key_policy;
        loop {
            let Some(keys) = self.keys_of(tenant_id) else { return Ok(()) };
            let Some(step) = keys.ring.next_step(&policy, self.clock.now()) else { return Ok(()) };
            let made = self.make_for(&step, tenant_id, keys.tenant.algorithm).await?;
            let now = self.clock.now();
            let mut tx = self.store.write().await?;
            tenants::hold(tx.conn(), tenant_id).await?;
            let ring = ring_of(tx.conn(), tenant_id).await?;
            if ring.next_step(&policy, now).as_ref() == Some(&step) {
                carry_out(tx.conn(), (tenant_id, &ring), &step, made, now).await?;
                tx.commit().await?;
                tracing::info!(tenant.id = %tenant_id, step = ?step, "a key ring took a step");
            }
            self.refresh_keys().await?;
        }
    }

    /// Lets the standby sign from now on, because somebody asked; answers its kid.
    pub async fn rotate(&self, tenant_id: TenantId, haste: Haste) -> Result<Kid, RotateError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        tenants::hold(tx.conn(), tenant_id).await?;
        let ring = ring_of(tx.conn(), tenant_id).await?;
        let step = match haste {
            Haste::WhenSafe => ring.rotate_now(&self.terms.key_policy, now)?,
            Haste::Forced => ring.force_rotation()?,
        };
        carry_out(tx.conn(), (tenant_id, &ring), &step, Vec::new(), now).await?;
        tx.commit().await?;
        let Step::Promote { kid, .. } = step else { return Err(CannotRotate::NoStandby.into()) };
        tracing::info!(tenant.id = %tenant_id, key.kid = %kid, ?haste, "a key was promoted on request");
        self.follow_up(tenant_id).await;
        Ok(kid)
    }

    /// Takes a key out of the JWKS at once. If it signed, the standby signs from the same transaction on.
    pub async fn revoke_key(&self, tenant_id: TenantId, kid: &Kid, reason: &str) -> Result<Option<Kid>, RotateError> {
        let now = self.clock.now();
        let mut tx = self.store.write().await?;
        tenants::hold(tx.conn(), tenant_id).await?;
        let successor = ring_of(tx.conn(), tenant_id).await?.revoke(kid)?;
        signing_keys::revoke(tx.conn(), tenant_id, kid, reason, now).await?;
        if let Some(successor) = &successor {
            signing_keys::promote(tx.conn(), tenant_id, successor, now).await?;
        }
        tenants::touch_keys(tx.conn(), tenant_id).await?;
        tx.commit().await?;
        tracing::warn!(tenant.id = %tenant_id, key.kid = %kid, reason, "a key was revoked");
        self.follow_up(tenant_id).await;
        Ok(successor)
    }

    /// Loads what was just committed and takes the steps that follow from it. What fails here is not undone by saying so:
    /// the change stands, and the job goes on with it.
    pub(super) async fn follow_up(&self, tenant_id: TenantId) {
        let followed = match self.refresh_keys().await {
            Ok(()) => self.step_ring(tenant_id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = followed {
            tracing::warn!(tenant.id = %tenant_id, error = &error as &dyn std::error::Error, "a change of keys is not in effect here yet");
            self.rotation_due.notify_one();
        }
    }

    pub(super) async fn make_for(
        &self,
        step: &Step,
        tenant_id: TenantId,
        algorithm: Algorithm,
    ) -> Result<Vec<Made>, SigningError> {
        let count = match step {
            Step::Open => 2,
            Step::Publish => 1,
            Step::Promote { .. } | Step::Archive { .. } => 0,
        };
        let mut made = Vec::with_capacity(count);
        for _ in 0..count {
            // An RSA key takes a few hundred milliseconds.
            let pair = tokio::task::spawn_blocking(move || KeyPair::generate(algorithm))
                .await
                .map_err(|_| SigningError::Generation(algorithm.as_str()))??;
            let sealed = pair.seal(&self.master_key, tenant_id)?;
            made.push(Made { public_jwk: pair.public()?.as_str().to_owned(), sealed });
        }
        Ok(made)
    }
}

async fn ring_of(conn: &mut Conn, tenant_id: TenantId) -> crate::store::Result<KeyRing> {
    let stored = signing_keys::of_tenant(conn, tenant_id).await?;
    Ok(KeyRing::new(stored.into_iter().map(|stored| stored.key).collect()))
}

pub(super) async fn carry_out(
    conn: &mut Conn,
    (tenant_id, ring): (TenantId, &KeyRing),
    step: &Step,
    made: Vec<Made>,
    now: Timestamp,
) -> crate::store::Result<()> {
    match step {
        Step::Promote { kid, demoted } => {
            // The one that signed goes first: at no moment are there two.
            if let Some(demoted) = demoted {
                signing_keys::demote(conn, tenant_id, demoted, now).await?;
            }
            signing_keys::promote(conn, tenant_id, kid, now).await?;
        }
        Step::Archive { kid } => {
            signing_keys::archive(conn, tenant_id, kid, now).await?;
        }
        Step::Open | Step::Publish => {
            for (at, made) in made.into_iter().enumerate() {
                let signs = *step == Step::Open && at == 0;
                let state = if signs { KeyState::Active { activated_at: now } } else { KeyState::Pending };
                let key = Key {
                    kid: made.sealed.kid,
                    algorithm: made.sealed.algorithm,
                    publication: ring.next_publication(),
                    published_at: now,
                    state,
                };
                let stored = StoredKey { key, public_jwk: made.public_jwk, private_jwe: Some(made.sealed.jwe) };
                signing_keys::insert(conn, tenant_id, &stored).await?;
            }
        }
    }
    tenants::touch_keys(conn, tenant_id).await
}
