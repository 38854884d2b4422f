//! What a tenant's catalogue has against events and subscriptions, as problems that name the member.

use std::collections::HashMap;

use crate::api::problem::{Fault, Problem};
use crate::domain::event::{Event, NewEvent, Receipt};
use crate::domain::event_type::Subscription;
use crate::domain::id::{EventId, TenantId};
use crate::engine::Engine;
use crate::engine::catalogue::Fault as SchemaFault;
use crate::engine::ingest::Idempotency;
use crate::store::events;

/// An event that was understood, or why it was not.
pub(super) type Read = Result<NewEvent, Problem>;

/// What the catalogue has against each of these events, in their order; nothing at all, not even for those that it has
/// nothing against, when it is open. What was published before under the same name is not judged again: it is answered as
/// it was then.
pub(super) async fn objections(
    engine: &Engine,
    tenant_id: TenantId,
    events: &[&NewEvent],
    name: Option<&Idempotency>,
) -> Result<Vec<Option<Problem>>, Problem> {
    let rules = engine.catalogue_rules(tenant_id);
    if !rules.is_closed && !rules.enforces_schema {
        return Ok(Vec::new());
    }
    if let Some(name) = name
        && engine.remembers(tenant_id, name).await?
    {
        return Ok(Vec::new());
    }
    let judged = engine.judge(tenant_id, events).await?.into_iter();
    let objection = |faults: Vec<SchemaFault>| {
        let faults: Vec<Fault> = faults.into_iter().map(Fault::from).collect();
        (!faults.is_empty()).then(|| Problem::invalid(faults))
    };
    Ok(judged.map(objection).collect())
}

/// The events that are published, and what is told of those that are not.
pub(super) async fn judged(
    engine: &Engine,
    tenant_id: TenantId,
    read: &[Read],
    name: Option<&Idempotency>,
) -> Result<(Vec<NewEvent>, Vec<Option<Problem>>), Problem> {
    let understood: Vec<&NewEvent> = read.iter().filter_map(|read| read.as_ref().ok()).collect();
    let mut objections = objections(engine, tenant_id, &understood, name).await?.into_iter();
    let (mut events, mut refused) = (Vec::with_capacity(understood.len()), Vec::with_capacity(read.len()));
    for read in read {
        let refusal = match read {
            Ok(_) => objections.next().flatten(),
            Err(problem) => Some(problem.clone()),
        };
        if let (Ok(event), None) = (read, &refusal) {
            events.push(event.clone());
        }
        refused.push(refusal);
    }
    Ok((events, refused))
}

/// What became of the events of a batch when it was first published: the catalogue may have been another one then. Of two
/// that are the same, both were accepted or none.
pub(super) async fn as_told_before(
    engine: &Engine,
    read: Vec<Read>,
    receipts: Vec<Receipt>,
) -> Result<Vec<Result<Receipt, Problem>>, Problem> {
    let understood = read.iter().filter(|read| read.is_ok()).count();
    let is_whole = understood == receipts.len();
    let ids: Vec<EventId> = receipts.iter().map(|receipt| receipt.event_id).collect();
    let mut reader = engine.store.read().await?;
    let stored = if is_whole { Vec::new() } else { events::by_ids(reader.conn(), &ids).await? };
    let stored: Result<HashMap<EventId, Event>, _> =
        stored.into_iter().map(|event| event.map(|event| (event.id, event))).collect();
    let stored = stored?;
    let is_of = |receipt: &Receipt, event: &NewEvent| {
        let same = |stored: &Event| stored.event_type == event.event_type && stored.payload == event.payload;
        is_whole || stored.get(&receipt.event_id).is_some_and(same)
    };
    let mut receipts = receipts.into_iter().peekable();
    let told = read.into_iter().map(|read| {
        let event = read?;
        receipts.next_if(|receipt| is_of(receipt, &event)).ok_or_else(|| {
            Problem::invalid_one("", "was refused when this batch was published first; publish it under another name")
        })
    });
    Ok(told.collect())
}

/// Refuses subscriptions to what a closed catalogue does not know. Names that are no subscriptions are passed over.
pub(super) async fn refuse_unknown(engine: &Engine, tenant_id: TenantId, names: &[String]) -> Result<(), Problem> {
    let parsed = names.iter().enumerate().filter_map(|(at, name)| Some((at, name.parse::<Subscription>().ok()?)));
    let (places, subscriptions): (Vec<usize>, Vec<Subscription>) = parsed.unzip();
    let unknown = engine.unknown_subscriptions(tenant_id, &subscriptions).await?.into_iter();
    let faults = unknown.filter_map(|unknown| {
        Some(Fault { pointer: format!("/events/{}", places.get(unknown.at)?), detail: unknown.detail })
    });
    let faults: Vec<Fault> = faults.collect();
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
}
