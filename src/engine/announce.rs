//! Signet's own events: told to those webhooks of a tenant that are subscribed to them by name, in the transaction of what
//! they tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Engine;
use crate::domain::audit::Action;
use crate::domain::delivery::{DeliveryKey, Ending};
use crate::domain::event::Event;
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId, WebhookId};
use crate::domain::key_ring::Kid;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DeliveryMethod, News, Origin, Webhook, WebhookState};
use crate::store::deliveries::Ended;
use crate::store::mailbox::Mail;
use crate::store::queue::Entry;
use crate::store::webhooks::Subscriber;
use crate::store::{Conn, StoreError, events, mailbox, queue, webhooks};

pub(super) const KEY_ACTIVATED: &str = "signet.key.activated";
pub(super) const DELIVERY_EXHAUSTED: &str = "signet.delivery.exhausted";

/// What is told of a webhook.
pub(super) fn news_data(id: WebhookId, url: &str, state: WebhookState) -> Value {
    let mut data = json!({"webhook_id": id.to_string(), "url": url});
    match state {
        WebhookState::Enabled => {}
        WebhookState::Pending { .. } => data["status"] = json!(state.as_str()),
        WebhookState::Unproven { since, .. } => {
            data["failing_since"] = json!(since.to_string());
            data["unproven_since"] = json!(since.to_string());
        }
        WebhookState::Failing { since, .. } => data["failing_since"] = json!(since.to_string()),
        WebhookState::Disabled { at, reason } => {
            data["disabled_at"] = json!(at.to_string());
            data["disabled_reason"] = json!(reason.as_str());
        }
    }
    data
}

/// What is told of a key that begins to sign.
pub(super) fn promotion_data(kid: &str, previous_kid: Option<&str>) -> Value {
    json!({"kid": kid, "previous_kid": previous_kid})
}

/// What is told of a delivery that was given up.
pub(super) fn exhausted_data(key: DeliveryKey, event_type: &str, attempts: u32) -> Value {
    json!({
        "webhook_id": key.webhook_id.to_string(),
        "event_id": key.event_id.to_string(),
        "event": event_type,
        "attempts": attempts,
    })
}

impl Engine {
    /// Queues an event for whoever is subscribed to it; when nobody is, there is no such event. Whoever calls this has the
    /// queue looked at after the commit.
    pub(super) async fn announce(
        &self,
        conn: &mut Conn,
        tenant_id: TenantId,
        (name, data): (&'static str, Value),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event_type = name.parse::<EventType>().expect("a name of ours is well formed");
        let of_type = (tenant_id, event_type);
        let found = webhooks::listeners(conn, &BTreeSet::from([of_type.clone()])).await?;
        let listeners = found.get(&of_type).map_or(&[][..], Vec::as_slice);
        if listeners.is_empty() {
            return Ok(());
        }
        let event_id = EventId::from_bytes(self.clock.id());
        let by = |method: DeliveryMethod| {
            let concerned = listeners.iter().filter(move |subscriber| subscriber.method == method);
            concerned.map(|Subscriber { listener, .. }| DeliveryKey { webhook_id: listener.webhook_id, event_id })
        };
        let entry = |key| Entry { key, due_at: now, attempts: 0, node_id: None };
        let entries: Vec<Entry> = by(DeliveryMethod::Push).map(entry).collect();
        let mail = |key| Mail { key, entered_at: now, available_at: now, attempts: 0 };
        let mail: Vec<Mail> = by(DeliveryMethod::Pull).map(mail).collect();
        let event = Event {
            id: event_id,
            tenant_id,
            event_type: of_type.1,
            payload: data.to_string().into(),
            occurred_at: now,
            accepted_at: now,
            deliveries: u32::try_from(listeners.len()).unwrap_or(u32::MAX),
        };
        events::insert(conn, &[Arc::new(event)]).await?;
        mailbox::insert(conn, &mail).await?;
        queue::insert(conn, &entries).await
    }

    /// Tells what became of a webhook. Its URL is told without the query, which may be a secret.
    pub(super) async fn announce_news(
        &self,
        conn: &mut Conn,
        webhook: &Webhook,
        news: News,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut data =
            news_data(webhook.id, &webhook.clone().under(&self.terms.public_url).url.audience(), webhook.state);
        if webhook.origin == Origin::Declared {
            data["declared"] = json!(true);
        }
        self.announce(conn, webhook.tenant_id, (news.event_type(), data), now).await
    }

    /// Tells which key begins to sign.
    pub(super) async fn announce_promotions(
        &self,
        conn: &mut Conn,
        tenant_id: TenantId,
        actions: &[Action],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for action in actions {
            if let Action::KeyPromoted { kid, demoted } = action {
                let data = promotion_data(kid.as_str(), demoted.as_ref().map(Kid::as_str));
                self.announce(conn, tenant_id, (KEY_ACTIVATED, data), now).await?;
            }
        }
        Ok(())
    }

    /// Tells of deliveries that were given up. Of one of Signet's own events nothing is told: that could go on for ever.
    pub(super) async fn announce_exhausted(
        &self,
        conn: &mut Conn,
        ended: &[Ended],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let exhausted: Vec<&Ended> = ended.iter().filter(|ended| ended.ending == Ending::Exhausted).collect();
        let ids: Vec<EventId> = exhausted.iter().map(|ended| ended.key.event_id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let events: Vec<Event> = super::sound(events::by_ids(conn, &ids).await?).collect();
        for Ended { key, attempts, .. } in exhausted {
            let event = events.iter().find(|event| event.id == key.event_id && !event.event_type.is_reserved());
            let Some(event) = event else { continue };
            let data = exhausted_data(*key, event.event_type.as_str(), *attempts);
            self.announce(conn, event.tenant_id, (DELIVERY_EXHAUSTED, data), now).await?;
        }
        Ok(())
    }
}
