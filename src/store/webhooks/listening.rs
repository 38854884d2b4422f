//! Finding who wants to hear of an event.

use std::collections::{BTreeSet, HashMap};

use super::{Listener, Subscriber};
use crate::domain::event_type::EventType;
use crate::domain::id::{TenantId, WebhookId};
use crate::domain::webhook::DeliveryMethod;
use crate::store::bulk::{Set, Words};
use crate::store::record::Record;
use crate::store::{Conn, Result};

/// Who wants to hear of events of these types: enabled webhooks subscribed to any name of the type's lineage or to
/// everything, each once.
pub async fn listeners(
    conn: &mut Conn,
    types: &BTreeSet<(TenantId, EventType)>,
) -> Result<HashMap<(TenantId, EventType), Vec<Subscriber>>> {
    let mut found: HashMap<(TenantId, String), Vec<Subscriber>> = HashMap::new();
    let names: BTreeSet<(TenantId, &str)> =
        types.iter().flat_map(|(tenant_id, name)| name.subscriptions().map(|name| (*tenant_id, name))).collect();
    let names: Vec<(TenantId, &str)> = names.into_iter().collect();
    let rows = Set::default()
        .blobs(names.iter().map(|(tenant_id, _)| &tenant_id.as_bytes()[..]))
        .texts(names.iter().map(|(_, name)| *name));
    let subscribed = rows.fetch_all(
        conn,
        Words {
            sqlite: "select s.tenant_id, s.name, s.webhook_id, w.version, w.delivery_method
                 from subscriptions s
                 join webhooks w on w.id = s.webhook_id
                 where w.disabled_at is null
                   and w.deleted_at is null
                   and (s.tenant_id, s.name) in (select column1, column2 from {rows})",
            postgres: "select given.column1 as tenant_id, given.column2 as name, s.webhook_id, w.version, w.delivery_method
                 from {rows}
                 cross join lateral (
                     select webhook_id from subscriptions where tenant_id = given.column1 and name = given.column2 offset 0
                 ) s
                 cross join lateral (
                     select version, delivery_method
                     from webhooks
                     where id = s.webhook_id
                       and disabled_at is null
                       and deleted_at is null
                     offset 0
                 ) w",
        },
    );
    for row in subscribed.await? {
        let record = Record::new("subscriptions", &row);
        let listener =
            Listener { webhook_id: WebhookId::from_bytes(record.id("webhook_id")?), version: record.int("version")? };
        let method = record.word("delivery_method", DeliveryMethod::parse)?;
        let name = (TenantId::from_bytes(record.id("tenant_id")?), record.text("name")?);
        found.entry(name).or_default().push(Subscriber { listener, method });
    }
    Ok(types.iter().map(|of_type| (of_type.clone(), merged(of_type, &found))).collect())
}

fn merged(
    (tenant_id, event_type): &(TenantId, EventType),
    found: &HashMap<(TenantId, String), Vec<Subscriber>>,
) -> Vec<Subscriber> {
    let mut subscribers: Vec<Subscriber> = event_type
        .subscriptions()
        .filter_map(|name| found.get(&(*tenant_id, name.to_owned())))
        .flatten()
        .copied()
        .collect();
    subscribers.sort_by_key(|subscriber| subscriber.listener.webhook_id);
    subscribers.dedup_by_key(|subscriber| subscriber.listener.webhook_id);
    subscribers
}
