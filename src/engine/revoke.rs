//! Taking a key back at once, for good, and letting receivers know.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::keys::{KeysError, TenantKeys};
use super::rotate::{Made, carry_out, held};
use super::{Engine, audit};
use crate::domain::audit::{Action, Actor};
use crate::domain::event::Event;
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId};
use crate::domain::key_ring::{CannotRevoke, KeyState, Kid, Situation, Step};
use crate::domain::time::Timestamp;
use crate::signing::{Signer, SigningError};
use crate::store::signing_keys::StoredKey;
use crate::store::{Conn, StoreError, events, mailbox, queue, signing_keys};

/// What receivers are told by.
pub(super) const KEY_REVOKED: &str = "signet.key.revoked";
/// Why a key is revoked that was revoked before.
const REVOKED_BEFORE: &str = "it was revoked before, and a restored database had brought it back";

/// How long a revocation waits for a key that nobody can know.
const UNKNOWN_WITHIN: Duration = Duration::from_secs(3);
/// How long receivers are told of it after that, where other nodes have to load that key first.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// How many keys may be announced before a revocation announces no other.
const PENDING_MAX: usize = 2;

/// A revocation that was asked for did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    #[error(transparent)]
    CannotRevoke(#[from] CannotRevoke),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl From<StoreError> for RevokeError {
    fn from(error: StoreError) -> Self {
        Self::Keys(error.into())
    }
}

/// What a revocation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The key that signs from then on.
    pub active: Option<Kid>,
    /// The key that signs in its stead, if it signed.
    pub successor: Option<Kid>,
    /// How many webhooks are told of it.
    pub told: u64,
}

/// What is told of a key that was revoked, and of the one that signs from then on.
pub(super) fn revocation_data((kid, active_kid): (&str, Option<&str>), reason: &str, at: Timestamp) -> Value {
    json!({"kid": kid, "reason": reason, "revoked_at": at.to_string(), "active_kid": active_kid})
}

impl Engine {
    /// Takes a key out of the JWKS at once. If it signed, the standby signs from the same transaction on; what is pending
    /// is signed when it is sent, and so with that one. In that transaction a key is published that nobody can know yet,
    /// and every webhook of the tenant is told by an event that this one signs: whoever verifies it must fetch the set
    /// anew, and forgets the key that was revoked.
    pub async fn revoke_key(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        kid: &Kid,
        reason: &str,
    ) -> Result<Revoked, RevokeError> {
        let revoked = self.revoke(actor, tenant_id, kid, reason).await?;
        self.follow_up(tenant_id).await;
        // Only now does this node sign with the new key.
        self.look_again();
        Ok(revoked)
    }

    async fn revoke(&self, actor: Actor, tenant_id: TenantId, kid: &Kid, reason: &str) -> Result<Revoked, RevokeError> {
        let made = self.make_unknown(tenant_id).await;
        let mut tx = self.store.write().await?;
        let (tenant, ring) = held(tx.conn(), tenant_id).await?.ok_or(CannotRevoke::Unknown)?;
        let successor = ring.revoke(kid)?;
        let situation = self.moment(tx.conn()).await?;
        // First what no backup can undo. When the rest fails, the key is revoked by it before long.
        self.remember_revocation(tenant_id, kid);
        signing_keys::revoke(tx.conn(), tenant_id, kid, reason, &situation).await?;
        if let Some(successor) = &successor {
            signing_keys::promote(tx.conn(), tenant_id, successor, &situation).await?;
        }
        let (revoked, next) = (kid.clone(), successor.clone());
        let mut actions = vec![match actor {
            Actor::Signet => Action::RevocationRepeated { kid: revoked, successor: next },
            _ => Action::KeyRevoked { kid: revoked, successor: next, reason: reason.to_owned() },
        }];
        let made = self.seal_again(tx.conn(), tenant_id, made).await?;
        let ring = ring.after_revocation(kid, successor.as_ref(), &situation);
        let publish = Step::Publish { algorithm: tenant.algorithm };
        actions.extend(carry_out(tx.conn(), (&tenant, &ring), &publish, made, &situation).await?);
        audit::record(tx.conn(), tenant_id, (actor, situation.now), &actions).await?;
        let active_kid = ring.active().map(|active| active.kid.as_str());
        let payload = revocation_data((kid.as_str(), active_kid), reason, situation.now);
        let told = self.tell_all(tx.conn(), tenant_id, payload.to_string().into(), &situation).await?;
        tx.commit().await?;
        tracing::warn!(tenant.id = %tenant_id, key.kid = %kid, reason, webhooks.count = told, "a key was revoked");
        Ok(Revoked { active: ring.active().map(|active| active.kid.clone()), successor, told })
    }

    /// A key that nobody can know. A revocation is not held up when none can be made: its event is signed by the key that
    /// signs then, and receivers forget the other when their caches end.
    async fn make_unknown(&self, tenant_id: TenantId) -> Vec<Made> {
        let Some(keys) = self.keys_of(tenant_id) else { return Vec::new() };
        let pending = keys.ring.keys().iter().filter(|key| key.state == KeyState::Pending).count();
        if pending > PENDING_MAX {
            return Vec::new();
        }
        let algorithm = keys.tenant.algorithm;
        let publish = Step::Publish { algorithm };
        let making = tokio::time::timeout(UNKNOWN_WITHIN, self.make_for(&publish, tenant_id, algorithm)).await;
        match making.unwrap_or(Err(SigningError::Busy)) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(tenant.id = %tenant_id, error = &error as &dyn std::error::Error, "no key could be made that receivers do not know");
                Vec::new()
            }
        }
    }

    /// The key that signs an event, if that is not the active one: of a revocation receivers are told by the youngest key,
    /// which those fetch that do not know it.
    pub(super) fn signer_for(&self, keys: &TenantKeys, event: &Event) -> Option<Result<Signer, SigningError>> {
        if event.event_type.as_str() != KEY_REVOKED {
            return None;
        }
        let unknown = keys.ring.youngest().filter(|key| key.published_at >= event.accepted_at)?;
        keys.announced_signer(self, &unknown.kid)
    }

    /// Queues an event for every webhook of a tenant that listens, whatever it is subscribed to.
    async fn tell_all(
        &self,
        conn: &mut Conn,
        tenant_id: TenantId,
        payload: Bytes,
        situation: &Situation,
    ) -> Result<u64, StoreError> {
        let id = EventId::from_bytes(self.clock.id());
        let wait = if self.store.is_shared() { TOLD_AFTER } else { Duration::ZERO };
        let now = self.clock.now();
        let sent = queue::insert_for_all(conn, tenant_id, id, now.plus(wait)).await?;
        let told = sent + mailbox::insert_for_all(conn, tenant_id, id, (now, now.plus(wait))).await?;
        let event = Event {
            id,
            tenant_id,
            event_type: KEY_REVOKED.parse::<EventType>().expect("a name of ours is well formed"),
            payload,
            occurred_at: situation.now,
            accepted_at: situation.now,
            deliveries: u32::try_from(told).unwrap_or(u32::MAX),
        };
        events::insert(conn, &[Arc::new(event)]).await?;
        Ok(told)
    }

    /// Writes a revocation where no backup of the database forgets it. A revocation is not held up when that cannot be.
    fn remember_revocation(&self, tenant_id: TenantId, kid: &Kid) {
        if let Err(error) = self.revocations.note(kid, tenant_id, self.clock.now()) {
            let path = self.revocations.path().display();
            tracing::error!(key.kid = %kid, %path, error = &error as &dyn std::error::Error, "a revocation could not be written down apart from the database; restoring a backup of today would bring the key back");
        }
    }

    /// Learns of revocations by other nodes; answers what was revoked before and stands in the database as if it had not
    /// been.
    pub(super) fn resurrected(&self, tenant_id: TenantId, stored: &[StoredKey]) -> Vec<Kid> {
        let revoked = |stored: &&StoredKey| matches!(stored.key.state, KeyState::Revoked { .. });
        stored.iter().filter(revoked).for_each(|stored| self.remember_revocation(tenant_id, &stored.key.kid));
        let published = stored.iter().map(|stored| &stored.key).filter(|key| key.state.is_published());
        published.map(|key| &key.kid).filter(|kid| self.revocations.holds(kid)).cloned().collect()
    }

    /// Revokes what a restored database brought back.
    pub(super) async fn revoke_again(&self, tenant_id: TenantId) -> Result<(), KeysError> {
        let Some(keys) = self.keys_of(tenant_id) else { return Ok(()) };
        let published = keys.ring.published().into_iter().map(|key| key.kid.clone());
        let resurrected: Vec<Kid> = published.filter(|kid| self.revocations.holds(kid)).collect();
        for kid in &resurrected {
            match self.revoke(Actor::Signet, tenant_id, kid, REVOKED_BEFORE).await {
                // Somebody else was first.
                Ok(_) | Err(RevokeError::CannotRevoke(_)) => {}
                Err(RevokeError::Keys(error)) => return Err(error),
            }
        }
        if !resurrected.is_empty() {
            self.refresh_keys().await?;
            self.look_again();
        }
        Ok(())
    }
}
