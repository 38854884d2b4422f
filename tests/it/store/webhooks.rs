//! Webhooks, and who hears of what.

use std::collections::BTreeSet;

use signet::domain::event_type::EventType;
use signet::domain::id::{TenantId, WebhookId};
use signet::domain::webhook::{DeliveryMethod, DisabledReason, Webhook, WebhookState};
use signet::store::tenants;
use signet::store::webhooks::{self, Addressee, Listener, Subscriber};

use super::{Database, event_type, second, tenant, tenant_id, webhook, webhook_id};

fn subscriber(number: u8) -> Subscriber {
    Subscriber { listener: spoken_to(number, 1), method: DeliveryMethod::Push }
}

fn spoken_to(number: u8, version: i64) -> Listener {
    Listener { webhook_id: webhook_id(number), version }
}

impl Database {
    async fn addressees(&mut self, ids: &[WebhookId]) -> Vec<Addressee> {
        let found = webhooks::addressees(self.conn(), ids).await.unwrap();
        found.into_iter().map(Result::unwrap).collect()
    }

    async fn with_webhooks(registered: &[Webhook]) -> Self {
        let mut database = Self::with_tenant().await;
        for webhook in registered {
            webhooks::insert(database.conn(), webhook, "jwe").await.unwrap();
        }
        database
    }

    /// Which webhooks of tenant 1 hear of an event of this type.
    async fn listeners(&mut self, name: &str) -> Vec<WebhookId> {
        let types = BTreeSet::from([(tenant_id(1), event_type(name))]);
        let mut found = webhooks::listeners(self.conn(), &types).await.unwrap();
        let listeners = found.remove(&(tenant_id(1), event_type(name))).unwrap();
        listeners.iter().map(|subscriber| subscriber.listener.webhook_id).collect()
    }

    async fn found(&mut self, number: u8) -> Option<Webhook> {
        webhooks::get(self.conn(), tenant_id(1), webhook_id(number)).await.unwrap()
    }
}

fn gone() -> WebhookState {
    WebhookState::Disabled { at: second(5), reason: DisabledReason::Gone }
}

fn disabled() -> WebhookState {
    WebhookState::Disabled { at: second(5), reason: DisabledReason::Requested }
}

#[tokio::test]
async fn an_event_is_heard_by_those_who_subscribed_to_any_name_of_its_lineage() {
    let registered = [
        webhook(1, &["user"]),
        webhook(2, &["user.update"]),
        webhook(3, &["user.update.email"]),
        webhook(4, &["user.update.email.create"]),
        webhook(5, &["user.updated", "use", "session"]),
    ];
    let mut database = Database::with_webhooks(&registered).await;

    let listeners = database.listeners("user.update.email").await;

    assert_eq!(listeners, [1, 2, 3].map(webhook_id));
}

#[tokio::test]
async fn an_event_is_heard_by_those_who_subscribed_to_everything() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"]), webhook(2, &["user"])]).await;

    let listeners = database.listeners("session.created").await;

    assert_eq!(listeners, [webhook_id(1)]);
}

#[tokio::test]
async fn several_matching_subscriptions_make_one_listener() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*", "user", "user.created"])]).await;

    let listeners = database.listeners("user.created").await;

    assert_eq!(listeners, [webhook_id(1)]);
}

#[tokio::test]
async fn disabled_and_deleted_webhooks_hear_of_nothing() {
    let disabled = Webhook { state: disabled(), ..webhook(2, &["user"]) };
    let registered = [webhook(1, &["user"]), disabled, webhook(3, &["*"]), webhook(4, &["user"])];
    let mut database = Database::with_webhooks(&registered).await;

    webhooks::delete(database.conn(), tenant_id(1), webhook_id(3), second(5)).await.unwrap();
    let gone = Webhook { state: gone(), ..webhook(4, &["user"]) };
    assert!(webhooks::update_state(database.conn(), &gone).await.unwrap());

    assert_eq!(database.listeners("user.created").await, [webhook_id(1)]);
}

#[tokio::test]
async fn tenants_do_not_hear_of_each_others_events() {
    let mut database = Database::with_tenant().await;
    tenants::insert(database.conn(), &tenant(2)).await.unwrap();
    for (number, tenant) in [(1, 1), (2, 2)] {
        let webhook = Webhook { tenant_id: tenant_id(tenant), ..webhook(number, &["*"]) };
        webhooks::insert(database.conn(), &webhook, "jwe").await.unwrap();
    }

    assert_eq!(database.listeners("user.created").await, [webhook_id(1)]);
}

#[tokio::test]
async fn many_types_are_asked_for_at_once_and_each_has_its_own_listeners() {
    let names: Vec<String> = (0..300).map(|number| format!("type_{number}")).collect();
    let mut database = Database::with_webhooks(&[webhook(1, &["type_7"]), webhook(2, &["type_299"])]).await;

    let types: BTreeSet<(TenantId, EventType)> = names.iter().map(|name| (tenant_id(1), event_type(name))).collect();
    let found = webhooks::listeners(database.conn(), &types).await.unwrap();

    let of = |name: &str| found.get(&(tenant_id(1), event_type(name))).unwrap().clone();
    assert_eq!(found.len(), 300);
    assert_eq!(of("type_7"), [subscriber(1)]);
    assert_eq!(of("type_299"), [subscriber(2)]);
    assert_eq!(of("type_70"), []);
}

#[tokio::test]
async fn a_webhook_is_read_as_it_was_registered() {
    let registered = Webhook {
        audience: Some("https://example.com".to_owned()),
        state: disabled(),
        ..webhook(1, &["session", "user.created", "*"])
    };
    let mut database = Database::with_webhooks(std::slice::from_ref(&registered)).await;

    let found = database.found(1).await.unwrap();

    assert_eq!(found.url.as_str(), registered.url.as_str());
    assert_eq!(found.subscriptions, registered.subscriptions);
    assert_eq!((found.description, found.audience), (registered.description, registered.audience));
    assert_eq!((found.state, found.version, found.format), (registered.state, 1, registered.format));
    assert_eq!((found.created_at, found.updated_at), (second(0), second(0)));
    assert_eq!(found.last_delivery_at, None);
}

#[tokio::test]
async fn a_webhook_of_another_tenant_is_not_found() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"])]).await;

    let found = webhooks::get(database.conn(), tenant_id(2), webhook_id(1)).await.unwrap();
    let listed = webhooks::list(database.conn(), tenant_id(2), None, 9).await.unwrap();

    assert!(found.is_none());
    assert!(listed.is_empty());
}

#[tokio::test]
async fn a_change_made_from_a_stale_version_is_refused_and_changes_nothing() {
    let mut database = Database::with_webhooks(&[webhook(1, &["user"])]).await;
    let first = Webhook { subscriptions: vec!["session".parse().unwrap()], ..webhook(1, &[]) };
    assert!(webhooks::update(database.conn(), &first, None).await.unwrap());

    let stale = Webhook { description: "stale".to_owned(), ..webhook(1, &["*"]) };
    let changed = webhooks::update(database.conn(), &stale, None).await.unwrap();

    let found = database.found(1).await.unwrap();
    assert!(!changed);
    assert_eq!((found.version, found.description), (2, first.description));
    assert_eq!(database.listeners("session.created").await, [webhook_id(1)]);
    assert!(database.listeners("user.created").await.is_empty());
}

#[tokio::test]
async fn a_deleted_webhook_is_seen_only_by_whoever_still_delivers_to_it() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"]), webhook(2, &["*"])]).await;

    let deleted = webhooks::delete(database.conn(), tenant_id(1), webhook_id(1), second(5)).await.unwrap();
    let again = webhooks::delete(database.conn(), tenant_id(1), webhook_id(1), second(6)).await.unwrap();

    let addressees = database.addressees(&[webhook_id(1)]).await;
    let listed = webhooks::list(database.conn(), tenant_id(1), None, 9).await.unwrap();
    assert_eq!((deleted, again), (true, false));
    assert!(database.found(1).await.is_none());
    assert_eq!(listed.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), [webhook_id(2)]);
    assert!(addressees[0].is_deleted);
    assert_eq!(addressees[0].webhook.version, 2);
}

#[tokio::test]
async fn deleting_the_webhook_of_another_tenant_changes_nothing() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"])]).await;

    let deleted = webhooks::delete(database.conn(), tenant_id(2), webhook_id(1), second(5)).await.unwrap();

    assert!(!deleted);
    assert_eq!(database.listeners("user.created").await, [webhook_id(1)]);
}

#[tokio::test]
async fn every_state_of_a_webhook_is_read_as_it_was_written() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"])]).await;

    for (version, state) in [
        (1, WebhookState::Failing { since: second(3), warned_at: None }),
        (2, WebhookState::Failing { since: second(3), warned_at: Some(second(4)) }),
        (3, gone()),
        (4, WebhookState::Disabled { at: second(7), reason: DisabledReason::Failing }),
        (5, WebhookState::Unproven { since: second(3), warned_at: Some(second(4)) }),
        (6, WebhookState::Enabled),
    ] {
        let written = Webhook { state, version, ..webhook(1, &["*"]) };
        assert!(webhooks::update_state(database.conn(), &written).await.unwrap());

        let found = database.found(1).await.unwrap();
        assert_eq!((found.state, found.version), (state, version + 1));
    }
}

#[tokio::test]
async fn a_webhook_that_changed_since_it_was_spoken_to_keeps_its_state() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"])]).await;
    assert!(webhooks::update(database.conn(), &webhook(1, &["user"]), None).await.unwrap());

    let stale = Webhook { state: gone(), ..webhook(1, &["*"]) };

    assert!(!webhooks::update_state(database.conn(), &stale).await.unwrap());
    assert!(database.found(1).await.unwrap().state.is_enabled());
}

#[tokio::test]
async fn webhooks_are_listed_newest_first_in_pages() {
    let registered: Vec<Webhook> = (1..=5).map(|number| webhook(number, &["*"])).collect();
    let mut database = Database::with_webhooks(&registered).await;

    let first = webhooks::list(database.conn(), tenant_id(1), None, 3).await.unwrap();
    let rest = webhooks::list(database.conn(), tenant_id(1), Some(first[2].id), 3).await.unwrap();

    let ids = |page: &[Webhook]| page.iter().map(|webhook| webhook.id).collect::<Vec<_>>();
    assert_eq!(ids(&first), [5, 4, 3].map(webhook_id));
    assert_eq!(ids(&rest), [2, 1].map(webhook_id));
}

#[tokio::test]
async fn a_webhook_shows_when_a_delivery_was_last_acknowledged() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"])]).await;
    assert_eq!(database.found(1).await.unwrap().last_delivery_at, None);

    for seconds in [3, 5, 4] {
        webhooks::acknowledged(database.conn(), &[1, 9].map(webhook_id), second(seconds)).await.unwrap();
    }

    assert_eq!(database.found(1).await.unwrap().last_delivery_at, Some(second(5)));
}

#[tokio::test]
async fn versions_and_addressees_are_those_of_the_ids_that_exist() {
    let mut database = Database::with_webhooks(&[webhook(1, &["*"]), webhook(2, &["*"])]).await;
    assert!(webhooks::update(database.conn(), &webhook(2, &["user"]), None).await.unwrap());

    let ids = [1, 2, 9].map(webhook_id);
    let mut versions = webhooks::versions(database.conn(), &ids).await.unwrap();
    let addressees = database.addressees(&ids).await;

    versions.sort_by_key(|listener| listener.webhook_id);
    assert_eq!(versions, [spoken_to(1, 1), spoken_to(2, 2)]);
    assert_eq!(addressees.len(), 2);
    assert!(addressees.iter().all(|addressee| addressee.secret_jwe == "jwe" && !addressee.is_deleted));
}
