//! What every function of the store promises, each promise a sentence, on a database of its own: on SQLite or on
//! PostgreSQL, as `support/database.rs` says.

mod answers;
mod audit;
mod deliveries;
mod events;
mod history;
mod keys;
mod mailbox;
mod plans;
mod queue;
mod races;
mod sealed;
mod twins;
mod webhooks;

use signet::domain::catalogue::Rules;
use signet::domain::dialect::Dialect;
use signet::domain::event::Event;
use signet::domain::event_type::EventType;
use signet::domain::id::{EventId, NodeId, TenantId, WebhookId};
use signet::domain::tenant::{TOKEN_SUBJECT_STANDARD, Tenant};
use signet::domain::time::Timestamp;
use signet::domain::token::{Algorithm, TokenTtl, TokenType};
use signet::domain::webhook::{DeliveryMethod, Format, Handling, Origin, Webhook, WebhookState, WebhookUrl};
use signet::store::{Conn, Store, StoreError, Tx, settings, tenants};
use tempfile::TempDir;

use crate::support::database;

/// A database with its tables and nothing in them, inside one transaction.
struct Database {
    tx: Tx,
    store: Store,
    _folder: TempDir,
}

impl Database {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&database::fresh(folder.path())).await.unwrap();
        Self { tx: store.write().await.unwrap(), store, _folder: folder }
    }

    /// A database with one tenant, number 1.
    async fn with_tenant() -> Self {
        let mut database = Self::open().await;
        tenants::insert(database.conn(), &tenant(1)).await.unwrap();
        database
    }

    fn conn(&mut self) -> &mut Conn {
        self.tx.conn()
    }
}

fn tenant_id(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

fn webhook_id(number: u8) -> WebhookId {
    WebhookId::from_bytes([number; 16])
}

/// Events with greater numbers are newer.
fn event_id(number: u16) -> EventId {
    EventId::from_bytes((u128::from(number) << 80).to_be_bytes())
}

fn node_id(number: u8) -> NodeId {
    NodeId::from_bytes([number; 16])
}

/// This many seconds after the beginning of every test.
fn second(number: i64) -> Timestamp {
    Timestamp::from_micros((1_770_000_000 + number) * 1_000_000)
}

fn event_type(name: &str) -> EventType {
    name.parse().unwrap()
}

fn tenant(number: u8) -> Tenant {
    Tenant {
        id: tenant_id(number),
        name: format!("tenant {number}"),
        is_default: false,
        algorithm: Algorithm::Es256,
        cut_over: None,
        key_policy: None,
        token_subject: TOKEN_SUBJECT_STANDARD.to_owned(),
        token_ttl: TokenTtl::STANDARD,
        dialect: Dialect::standard(),
        catalogue: Rules::OPEN,
        created_at: second(0),
    }
}

/// A webhook of tenant 1.
fn webhook(number: u8, subscriptions: &[&str]) -> Webhook {
    Webhook {
        id: webhook_id(number),
        tenant_id: tenant_id(1),
        method: DeliveryMethod::Push,
        url: WebhookUrl::from_record("https://example.com/webhooks?key=1").unwrap(),
        subscriptions: subscriptions.iter().map(|name| name.parse().unwrap()).collect(),
        description: "the billing team's".to_owned(),
        format: Format::Token,
        token_type: TokenType::Jwt,
        public_key: None,
        client_certificate: None,
        audience: None,
        header_names: Vec::new(),
        encryption: None,
        handling: Handling::default(),
        activation: None,
        state: WebhookState::Enabled,
        version: 1,
        origin: Origin::Registered,
        last_delivery_at: None,
        created_at: second(0),
        updated_at: second(0),
    }
}

/// An event of tenant 1.
fn event(number: u16, name: &str) -> Event {
    Event {
        id: event_id(number),
        tenant_id: tenant_id(1),
        event_type: event_type(name),
        payload: format!(r#"{{"id":{number}}}"#).into(),
        occurred_at: second(-1),
        accepted_at: second(0),
        deliveries: 1,
    }
}

#[tokio::test]
async fn what_is_committed_is_read_and_what_is_dropped_leaves_no_trace() {
    let Database { mut tx, store, _folder } = Database::open().await;
    settings::put(tx.conn(), "kept", "1").await.unwrap();
    tx.commit().await.unwrap();

    let mut dropped = store.write().await.unwrap();
    settings::put(dropped.conn(), "kept", "2").await.unwrap();
    drop(dropped);

    let mut reader = store.read().await.unwrap();
    assert_eq!(settings::get(reader.conn(), "kept").await.unwrap().as_deref(), Some("1"));
    assert_eq!(settings::get(reader.conn(), "unknown").await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let Database { tx, store, _folder } = Database::open().await;
    drop(tx);

    let mut reader = store.read().await.unwrap();
    let written = settings::put(reader.conn(), "name", "value").await;

    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
}

#[tokio::test]
async fn a_database_that_is_opened_again_still_has_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("deep/er/signet.db").display());
    let store = Store::open(&url).await.unwrap();
    let mut tx = store.write().await.unwrap();
    settings::put(tx.conn(), "name", "value").await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;

    let store = Store::open(&url).await.unwrap();

    let mut reader = store.read().await.unwrap();
    assert_eq!(settings::get(reader.conn(), "name").await.unwrap().as_deref(), Some("value"));
}

#[tokio::test]
async fn a_database_of_another_kind_is_refused_without_its_password() {
    let refused = Store::open("oracle://scott:tiger@db.example.com/signet").await.err();

    let words = refused.unwrap().to_string();
    assert!(words.contains("oracle") && words.contains("sqlite://"), "{words}");
    assert!(!words.contains("tiger"), "{words}");
}

#[tokio::test]
async fn a_transaction_that_the_database_ended_by_itself_does_not_break_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}", folder.path().join("signet.db").display())).await.unwrap();

    // What SQLite does on its own when the disk is full, behind the back of the driver.
    let mut tx = store.write().await.unwrap();
    let Conn::Sqlite(conn) = tx.conn() else { panic!("this is SQLite") };
    sqlx::query("rollback").execute(conn.driver().await.unwrap()).await.unwrap();
    drop(tx);

    store.check().await.unwrap();
    store.write().await.unwrap().commit().await.unwrap();
}
