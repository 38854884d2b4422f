//! What one transaction of the intake will write and what its callers will be told: decided, not done.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Accepted, IngestError, Publication};
use crate::domain::event::{Event, NewEvent, Receipt};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, TenantId};
use crate::domain::webhook::WEBHOOKS_MAX;
use crate::store::idempotency::{Named, Remembered};
use crate::store::webhooks::Subscriber;

/// Deliveries that one transaction makes. It bounds memory and the time that everybody else waits for the writer.
const DELIVERIES_MAX: usize = 100_000;
// An event that concerns every webhook of its tenant can be published.
const _: () = assert!(WEBHOOKS_MAX as usize <= DELIVERIES_MAX);

/// Who wants to hear of which events.
pub(super) type Listeners = HashMap<(TenantId, EventType), Vec<Subscriber>>;

/// What becomes of a publication.
enum Verdict {
    Fresh(Vec<Event>),
    /// Something with its name is remembered from an earlier batch.
    Replayed(Vec<EventId>),
    /// The same as an earlier publication of this batch.
    SameAs(usize),
    Refused(IngestError),
}

/// The verdicts on a batch, before it is known whom its events concern.
pub(super) struct Draft(Vec<Verdict>);

/// What a caller will be told.
pub(super) enum Answer {
    Said(Result<Accepted, IngestError>),
    /// What was said when these events were accepted.
    Remembered(Vec<EventId>),
}

/// The answers to a batch, and the events behind each.
pub(super) struct Outlook {
    pub(super) answers: Vec<Answer>,
    fresh: Vec<Option<Vec<EventId>>>,
}

impl Draft {
    /// Decides what is new, what was said before, and what contradicts it. `born` gives a new event its id.
    pub(super) fn of(
        batch: &[&Publication],
        remembered: &HashMap<(TenantId, String), Remembered>,
        mut born: impl FnMut(&Publication, &NewEvent) -> Event,
    ) -> Self {
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(batch.len());
        let mut in_batch: HashMap<(TenantId, String), usize> = HashMap::new();
        for (at, publication) in batch.iter().enumerate() {
            let name = publication.named();
            let key = name.as_ref().map(|name| (name.tenant_id, name.key.clone()));
            let before = key.as_ref().and_then(|key| remembered.get(key));
            let earlier = key.as_ref().and_then(|key| in_batch.get(key)).copied();
            let asks_the_same = |fingerprint: &[u8]| name.as_ref().is_some_and(|name| name.fingerprint == fingerprint);
            verdicts.push(match (before, earlier) {
                (Some(before), _) if asks_the_same(&before.fingerprint) => Verdict::Replayed(before.event_ids.clone()),
                (None, Some(earlier)) if batch[earlier].named() == name => Verdict::SameAs(earlier),
                (Some(_), _) | (None, Some(_)) => Verdict::Refused(IngestError::KeyReused),
                (None, None) => {
                    in_batch.extend(key.map(|key| (key, at)));
                    Verdict::Fresh(publication.events.iter().map(|event| born(publication, event)).collect())
                }
            });
        }
        Self(verdicts)
    }

    /// The types of its events, each once per tenant.
    pub(super) fn types(&self) -> BTreeSet<(TenantId, EventType)> {
        self.events().map(|event| (event.tenant_id, event.event_type.clone())).collect()
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().flat_map(|verdict| match verdict {
            Verdict::Fresh(events) => events.as_slice(),
            _ => &[],
        })
    }

    /// Notes how many webhooks each event concerns, and refuses what goes beyond one transaction: for ever what would
    /// never fit, for now what does not fit beside the others.
    pub(super) fn bound(&mut self, listeners: &Listeners) {
        let mut total = 0;
        for verdict in &mut self.0 {
            let Verdict::Fresh(events) = verdict else { continue };
            let mut own = 0;
            for event in events {
                let concerned = listeners.get(&(event.tenant_id, event.event_type.clone())).map_or(0, Vec::len);
                event.deliveries = u32::try_from(concerned).unwrap_or(u32::MAX);
                own += concerned;
            }
            if own > DELIVERIES_MAX {
                *verdict = Verdict::Refused(IngestError::TooWide);
            } else if total + own > DELIVERIES_MAX {
                *verdict = Verdict::Refused(IngestError::Overloaded);
            } else {
                total += own;
            }
        }
    }

    /// The events to write, and what will be said about them.
    pub(super) fn settled(self) -> (Vec<Arc<Event>>, Outlook) {
        let receipts: Vec<Option<Vec<Receipt>>> = self.0.iter().map(Verdict::receipts).collect();
        let mut events = Vec::new();
        let mut outlook =
            Outlook { answers: Vec::with_capacity(self.0.len()), fresh: Vec::with_capacity(self.0.len()) };
        let mut refusals: Vec<Option<IngestError>> = Vec::with_capacity(self.0.len());
        for (at, verdict) in self.0.into_iter().enumerate() {
            let mut ids = None;
            let mut refusal = None;
            let answer = match verdict {
                Verdict::Fresh(fresh) => {
                    ids = Some(fresh.iter().map(|event| event.id).collect());
                    events.extend(fresh.into_iter().map(Arc::new));
                    Answer::Said(Ok(Accepted::Fresh(receipts[at].clone().unwrap_or_default())))
                }
                Verdict::Replayed(ids) => Answer::Remembered(ids),
                Verdict::SameAs(earlier) => Answer::Said(match (&receipts[earlier], refusals[earlier]) {
                    (Some(receipts), _) => Ok(Accepted::Replayed(receipts.clone())),
                    (None, refusal) => Err(refusal.unwrap_or(IngestError::Overloaded)),
                }),
                Verdict::Refused(error) => {
                    refusal = Some(error);
                    Answer::Said(Err(error))
                }
            };
            outlook.answers.push(answer);
            outlook.fresh.push(ids);
            refusals.push(refusal);
        }
        (events, outlook)
    }
}

impl Verdict {
    fn receipts(&self) -> Option<Vec<Receipt>> {
        let Self::Fresh(events) = self else { return None };
        let receipt = |event: &Event| Receipt {
            event_id: event.id,
            event_type: event.event_type.clone(),
            deliveries: event.deliveries,
        };
        Some(events.iter().map(receipt).collect())
    }
}

impl Outlook {
    /// The idempotency keys that become known with this batch.
    pub(super) fn names(&self, batch: &[&Publication]) -> Vec<(Named, Vec<EventId>)> {
        let fresh = batch.iter().zip(&self.fresh);
        fresh.filter_map(|(publication, ids)| Some((publication.named()?, ids.clone()?))).collect()
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
