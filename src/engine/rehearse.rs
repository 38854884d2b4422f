//! Rehearsing a rotation: a delivery to each webhook that the key signs which is next, so that whoever cannot verify it is found
//! while nothing depends on it. On request, a second one whose signatures are wrong finds whoever verifies nothing.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::addressees::Addressee;
use super::encryption::Unwritten;
use super::keys::{MayNotSign, TenantKeys};
use super::letters::envelope;
use super::{Engine, audit};
use crate::domain::audit::{Action, Actor};
use crate::domain::delivery::Attempt;
use crate::domain::event::Event;
use crate::domain::event_type::EventType;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::key_ring::{CannotRotate, Kid};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryMethod, Webhook};
use crate::signing::{Signer, SigningError};
use crate::store::{StoreError, webhooks};
use crate::wire::{self, Letter, Occasion};

/// What the deliveries of a rehearsal are called.
const KEY_REHEARSAL: &str = "signet.key.rehearsal";
/// Receivers that are rehearsed with at a time.
const AT_ONCE: usize = 32;

/// What somebody wishes of a rehearsal.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal {
    /// Webhooks below this one: they are gone through from the youngest to the oldest.
    pub before: Option<WebhookId>,
    pub limit: u32,
    /// Whether each receiver is also sent a delivery whose signatures are wrong.
    pub with_forgeries: bool,
}

/// How a receiver took part.
#[derive(Debug, Clone)]
pub struct Rehearsed {
    pub webhook_id: WebhookId,
    /// Signed by the standby: what is not acknowledged could not be verified, or was not liked for another reason.
    pub attempt: Attempt,
    /// With wrong signatures: what is acknowledged was not verified.
    pub forgery: Option<Attempt>,
}

impl Rehearsed {
    pub fn is_verified(&self) -> bool {
        self.attempt.outcome.is_acknowledged()
    }

    /// Whether it acknowledged what nobody signed; `None` when it was not asked.
    pub fn accepted_forgery(&self) -> Option<bool> {
        self.forgery.as_ref().map(|attempt| attempt.outcome.is_acknowledged())
    }
}

/// A page of receivers, of which those that are disabled are left out, those that collect, and those whose format carries no token.
#[derive(Debug, Clone)]
pub struct Performance {
    /// The key that signs next.
    pub kid: Kid,
    pub rehearsed: Vec<Rehearsed>,
    /// Where to go on.
    pub next: Option<WebhookId>,
}

/// A rehearsal that did not take place.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    #[error(transparent)]
    CannotRotate(#[from] CannotRotate),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    MayNotSign(#[from] MayNotSign),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who signs, for whom.
struct Stage {
    keys: Arc<TenantKeys>,
    signer: Signer,
    with_forgeries: bool,
    places: Semaphore,
}

impl Engine {
    /// Rehearses with a page of a tenant's webhooks. What the standby signed is in the delivery log.
    pub async fn rehearse(
        self: &Arc<Self>,
        actor: Actor,
        tenant_id: TenantId,
        wish: Rehearsal,
    ) -> Result<Performance, RehearseError> {
        self.take_leave_to_sign().await?;
        let keys = self.keys_of(tenant_id).ok_or(CannotRotate::NoStandby)?;
        let mut reader = self.store.read().await?;
        let situation = self.situation_on(reader.conn()).await?;
        let next = keys.ring.next_to_sign(&keys.policy, &situation).ok_or(CannotRotate::NoStandby)?;
        let kid = next.kid.clone();
        let signer = keys.announced_signer(self, &kid).ok_or(CannotRotate::NoStandby)??;
        let mut page = webhooks::list(reader.conn(), tenant_id, wish.before, wish.limit.saturating_add(1)).await?;
        let has_more = page.len() > usize::try_from(wish.limit).unwrap_or(usize::MAX);
        page.truncate(usize::try_from(wish.limit).unwrap_or(usize::MAX));
        let next = page.last().filter(|_| has_more).map(|webhook| webhook.id);
        let takes_part = |webhook: &&Webhook| {
            let is_sent_to = webhook.state.is_enabled() && webhook.method == DeliveryMethod::Push;
            is_sent_to && wire::carries_token(webhook.format)
        };
        let ids: Vec<WebhookId> = page.iter().filter(takes_part).map(|webhook| webhook.id).collect();
        let addressees = super::sound(webhooks::addressees(reader.conn(), &ids).await?).collect::<Vec<_>>();
        drop(reader);
        let places = Semaphore::new(AT_ONCE);
        let stage = Arc::new(Stage { keys, signer, with_forgeries: wish.with_forgeries, places });
        let mut playing = JoinSet::new();
        for loaded in addressees {
            let (engine, stage) = (self.clone(), stage.clone());
            playing.spawn(async move { engine.rehearse_with(&stage, engine.addressee(loaded)).await });
        }
        let mut rehearsed = playing.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
        rehearsed.sort_by_key(|rehearsed| std::cmp::Reverse(rehearsed.webhook_id));
        self.write_down_rehearsal(actor, tenant_id, &kid, &rehearsed).await?;
        Ok(Performance { kid, rehearsed, next })
    }

    async fn rehearse_with(&self, stage: &Stage, addressee: Addressee) -> Result<Rehearsed, StoreError> {
        // Nobody closes it.
        let _place = stage.places.acquire().await;
        let event_type = KEY_REHEARSAL.parse::<EventType>().expect("a name of ours is well formed");
        let tenant_id = stage.keys.tenant.id;
        let event = self.sample_event(tenant_id, event_type.clone());
        let begun = self.begin(1);
        let signed = self.rehearsal(stage, &addressee, &event, begun.at).await;
        let attempt = self.post(&self.egress, &addressee, signed, begun).await;
        self.log_probe(&event, addressee.webhook_id, &attempt).await?;
        let forgery = if stage.with_forgeries {
            let event = self.sample_event(tenant_id, event_type);
            let begun = self.begin(1);
            let forged = self.rehearsal(stage, &addressee, &event, begun.at).await.map(wire::forged);
            Some(self.post(&self.egress, &addressee, forged, begun).await)
        } else {
            None
        };
        Ok(Rehearsed { webhook_id: addressee.webhook_id, attempt, forgery })
    }

    /// A delivery that the standby signs.
    async fn rehearsal(
        &self,
        stage: &Stage,
        addressee: &Addressee,
        event: &Event,
        now: Timestamp,
    ) -> Result<Letter, Unwritten> {
        let event = self.for_addressee(event, addressee).await?;
        let envelope = envelope(&stage.keys, Some(&stage.signer), addressee, now)?;
        let body = wire::body(&event, &envelope, now).await?;
        Ok(wire::seal(&event, body, &envelope, Occasion { attempt: 1, now }))
    }

    async fn write_down_rehearsal(
        &self,
        actor: Actor,
        tenant_id: TenantId,
        kid: &Kid,
        rehearsed: &[Rehearsed],
    ) -> Result<(), StoreError> {
        let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let refused = rehearsed.iter().filter(|rehearsed| !rehearsed.is_verified()).count();
        let action =
            Action::KeyRehearsed { kid: kid.clone(), webhooks: count(rehearsed.len()), refused: count(refused) };
        let mut tx = self.store.write().await?;
        audit::record(tx.conn(), tenant_id, (actor, self.clock.now()), &[action]).await?;
        tx.commit().await
    }
}
