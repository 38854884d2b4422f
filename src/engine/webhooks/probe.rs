//! Testing webhooks: deliveries that are made at once and apart from the queue.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::delivery::{Attempt, DeliveryKey, Ending};
use crate::domain::event::Event;
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::webhook::DeliveryMethod;
use crate::engine::Engine;
use crate::engine::catalogue::operational;
use crate::engine::keys::MayNotSign;
use crate::store::deliveries::Ended;
use crate::store::mailbox::Mail;
use crate::store::{StoreError, catalogue, deliveries, events, mailbox, webhooks};

/// A sample was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It would be one of Signet's own events.
    #[error("{0}")]
    NoSuchEvent(String),
    #[error(transparent)]
    MayNotSign(#[from] MayNotSign),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A test delivery that was made, and what came of it.
pub struct Probe {
    pub event_id: EventId,
    /// None where its receiver has yet to collect it.
    pub attempt: Option<Attempt>,
}

impl Engine {
    /// Sends a sample event to a webhook at once, subscribed or not, enabled or not, and waits for what comes of it: one
    /// attempt, which the delivery log shows. For a receiver that collects, it lies ready. `None` when the tenant has no such webhook.
    pub async fn probe_webhook(
        &self,
        tenant_id: TenantId,
        id: WebhookId,
        event_type: EventType,
    ) -> Result<Option<Probe>, ProbeError> {
        let of_ours = event_type.is_reserved().then(|| operational::sample(&event_type, self.clock.now()));
        let of_ours = of_ours.transpose().map_err(ProbeError::NoSuchEvent)?.map(|data| data.to_string().into());
        self.take_leave_to_sign().await?;
        let mut reader = self.store.read().await?;
        let found: Result<Vec<_>, StoreError> = webhooks::addressees(reader.conn(), &[id]).await?.into_iter().collect();
        let described = catalogue::get(reader.conn(), tenant_id, &event_type).await?;
        drop(reader);
        let ours = |found: &webhooks::Addressee| found.webhook.tenant_id == tenant_id && !found.is_deleted;
        let Some(addressee) = found?.into_iter().find(ours).map(|found| self.addressee(found)) else {
            return Ok(None);
        };
        let mut event = self.sample_event(tenant_id, event_type);
        let of_theirs = described.and_then(|described| described.description.sample);
        if let Some(sample) = of_ours.or(of_theirs) {
            Arc::make_mut(&mut event).payload = sample;
        }
        let event_id = event.id;
        if addressee.method == DeliveryMethod::Pull {
            self.leave_probe(&event, id).await?;
            return Ok(Some(Probe { event_id, attempt: None }));
        }
        let attempt = self.attempt(&self.egress, &event, &addressee, 1).await;
        self.log_probe(&event, id, &attempt).await?;
        Ok(Some(Probe { event_id, attempt: Some(attempt) }))
    }

    /// Leaves a sample for a receiver to collect.
    async fn leave_probe(&self, event: &Arc<Event>, webhook_id: WebhookId) -> Result<(), StoreError> {
        let now = event.accepted_at;
        let key = DeliveryKey { webhook_id, event_id: event.id };
        let mut tx = self.store.write().await?;
        events::insert_probe(tx.conn(), event, webhook_id).await?;
        mailbox::insert(tx.conn(), &[Mail { key, entered_at: now, available_at: now, attempts: 0 }]).await?;
        tx.commit().await?;
        self.mailroom.ring([webhook_id]);
        Ok(())
    }

    /// An event that nobody published.
    pub(in crate::engine) fn sample_event(&self, tenant_id: TenantId, event_type: EventType) -> Arc<Event> {
        let now = self.clock.now();
        Arc::new(Event {
            id: EventId::from_bytes(self.clock.id()),
            tenant_id,
            payload: sample(&event_type),
            event_type,
            occurred_at: now,
            accepted_at: now,
            deliveries: 1,
        })
    }

    /// Writes down a delivery that was made apart from the queue.
    pub(in crate::engine) async fn log_probe(
        &self,
        event: &Arc<Event>,
        webhook_id: WebhookId,
        attempt: &Attempt,
    ) -> Result<(), StoreError> {
        let key = DeliveryKey { webhook_id, event_id: event.id };
        let ending = if attempt.outcome.is_acknowledged() { Ending::Delivered } else { Ending::Exhausted };
        let ended = Ended { key, ending, attempts: 1, at: self.clock.now() };
        let mut tx = self.store.write().await?;
        events::insert_probe(tx.conn(), event, webhook_id).await?;
        deliveries::append(tx.conn(), &[ended]).await?;
        deliveries::append_attempts(tx.conn(), &[(key, attempt)]).await?;
        tx.commit().await
    }
}

/// The data of a test event. An event type is a-z, 0-9, _ and dots, so it needs no escaping.
fn sample(event_type: &EventType) -> Bytes {
    Bytes::from(format!(
        r#"{{"test":true,"message":"A sample of {event_type}, sent because somebody asked for a test."}}"#
    ))
}
