//! Which deliveries of a batch are sent at once, and which wait their turn.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::draft::Listeners;
use crate::domain::delivery::{Claim, DeliveryKey};
use crate::domain::event::Event;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::DeliveryMethod;
use crate::engine::Engine;
use crate::engine::addressees::Addressee;
use crate::engine::dispatch::{LEASE, Shipment};
use crate::engine::lanes::{Answered, load_of};
use crate::store::mailbox::Mail;
use crate::store::queue::Entry;
use crate::store::webhooks::{Listener, Subscriber};

/// The deliveries of a batch: those that this node sends at once are born claimed, the others due, and those that receivers collect
/// lie apart. Leave that was taken
/// for a batch that is never committed is given back when this is dropped.
pub(super) struct Admissions<'e> {
    engine: &'e Engine,
    pub(super) entries: Vec<Entry>,
    pub(super) mail: Vec<Mail>,
    /// Places in the batch's events of the deliveries that were admitted, with their webhooks.
    admitted: Vec<(usize, WebhookId, u32)>,
    waiting: Vec<(TenantId, WebhookId)>,
}

impl<'e> Admissions<'e> {
    pub(super) fn of(engine: &'e Engine, events: &[Arc<Event>], listeners: &Listeners, now: Timestamp) -> Self {
        let (entries, mail, admitted, waiting) = Default::default();
        let mut admissions = Self { engine, entries, mail, admitted, waiting };
        let (node_id, may_sign) = (engine.node_id(), engine.may_sign());
        let mut lanes = engine.lanes();
        for (at, event) in events.iter().enumerate() {
            let load = load_of(event.payload.len());
            let concerned = listeners.get(&(event.tenant_id, event.event_type.clone()));
            for Subscriber { listener, method } in concerned.into_iter().flatten() {
                let key = DeliveryKey { webhook_id: listener.webhook_id, event_id: event.id };
                if *method == DeliveryMethod::Pull {
                    admissions.mail.push(Mail { key, entered_at: now, available_at: now, attempts: 0 });
                    continue;
                }
                admissions.entries.push(if may_sign && lanes.admit(event.tenant_id, listener.webhook_id, load) {
                    admissions.admitted.push((at, listener.webhook_id, load));
                    Entry { key, due_at: now.plus(LEASE), attempts: 0, node_id: Some(node_id) }
                } else {
                    admissions.waiting.push((event.tenant_id, listener.webhook_id));
                    Entry { key, due_at: now, attempts: 0, node_id: None }
                });
            }
        }
        drop(lanes);
        admissions
    }

    /// The listeners that are about to be sent to.
    pub(super) fn listeners(&self, all: &Listeners) -> Vec<Listener> {
        let admitted: BTreeSet<WebhookId> = self.admitted.iter().map(|(_, webhook_id, _)| *webhook_id).collect();
        let listeners = all.values().flatten().map(|subscriber| subscriber.listener);
        let mut listeners: Vec<Listener> =
            listeners.filter(|listener| admitted.contains(&listener.webhook_id)).collect();
        listeners.sort_by_key(|listener| listener.webhook_id);
        listeners.dedup();
        listeners
    }

    /// Sends what was admitted and lets the lanes know of the rest. Only after the commit.
    pub(super) fn launch(
        mut self,
        events: &[Arc<Event>],
        addressees: &HashMap<WebhookId, Arc<Addressee>>,
        now: Timestamp,
    ) {
        for (at, webhook_id, load) in std::mem::take(&mut self.admitted) {
            let (event, addressee) = (events[at].clone(), addressees.get(&webhook_id).cloned());
            let key = DeliveryKey { webhook_id, event_id: event.id };
            self.engine.launch(Shipment {
                claim: Claim { key, fence: 1, attempt: 1 },
                event: Some(event),
                addressee,
                load,
            });
        }
        self.engine.mailroom.ring(self.mail.iter().map(|mail| mail.key.webhook_id));
        if !self.waiting.is_empty() {
            let mut lanes = self.engine.lanes();
            self.waiting.iter().for_each(|(tenant_id, webhook_id)| lanes.note_due(*tenant_id, *webhook_id, now));
            self.engine.due.notify_one();
        }
    }
}

impl Drop for Admissions<'_> {
    fn drop(&mut self) {
        let mut lanes = self.engine.lanes();
        for (_, webhook_id, load) in self.admitted.drain(..) {
            lanes.done(webhook_id, load, Answered::Nothing);
        }
    }
}
