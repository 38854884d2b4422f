//! Hot statements find what they want by an index: none of them reads a whole table that grows.
//!
//! The statements are not repeated here. A function of the store is run once, what it sent to the database is
//! overheard, and the database is asked how it would go about it.

mod collected;
mod hooks;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use signet::domain::delivery::{DeliveryKey, Ending};
use signet::domain::id::AnswerId;
use signet::store::answers::{self, Claim, Sealed};
use signet::store::batch::{self, Accepted, Settled};
use signet::store::deliveries::{self, Ended, Filter};
use signet::store::idempotency::{self, Named};
use signet::store::queue::{self, Entry, Lease, Postponed};
use signet::store::{Conn, api_keys, audit, events, settings, tenants, webhooks};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Instrument as _, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::{Database, event_id, event_type, node_id, second, tenant_id, webhook_id};

/// What sqlx calls its reports of statements.
const REPORTS: &str = "sqlx::query";
/// The span around the function whose statements are wanted; other tests of this process talk to databases too.
const OVERHEARD: &str = "overheard";
/// Has PostgreSQL count, which it does by itself now and then.
const ANALYZE: &str = "analyze events, queue, mailbox, pull_keys, deliveries, attempts, webhooks, subscriptions, idempotency_keys, tenants, api_keys, audit_log, idempotent_answers, hooks, hook_secrets, hook_log";
/// What may be read from end to end, because it is as small as the request itself.
const SMALL: [&str; 6] =
    ["= queue.claims)", "CONSTANT ROW", "VALUES CLAUSE", "SCAN lane", "SCAN given", "SCAN (subquery-"];

static STATEMENTS: LazyLock<Mutex<HashMap<u64, Vec<String>>>> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Overhearing);
    tracing::subscriber::set_global_default(subscriber).expect("no other test of this binary listens to traces");
    Mutex::default()
});

/// Keeps every statement that is sent inside an [`OVERHEARD`] span.
struct Overhearing;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Overhearing {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == REPORTS || metadata.name() == OVERHEARD
    }

    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        STATEMENTS.lock().unwrap().insert(id.into_u64(), Vec::new());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        let mut report = Report::default();
        event.record(&mut report);
        if let Some(statements) = STATEMENTS.lock().unwrap().get_mut(&span.id().into_u64()) {
            statements.push(report.statement);
        }
    }
}

#[derive(Default)]
struct Report {
    statement: String,
}

impl Visit for Report {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A statement of a few words is its own summary.
        let is_whole = field.name() == "db.statement" && !value.is_empty();
        if is_whole || (field.name() == "summary" && self.statement.is_empty()) {
            value.trim().clone_into(&mut self.statement);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Database {
    /// Runs a function of the store, and answers how the database goes about each of its statements.
    async fn plans(&mut self, run: impl AsyncFnOnce(&mut Self)) -> Vec<String> {
        LazyLock::force(&STATEMENTS);
        let span = tracing::info_span!("overheard");
        let id = span.id().unwrap().into_u64();
        async {
            run(self).await;
            // A statement is reported when the next one begins.
            settings::get(self.conn(), "the end").await.unwrap();
        }
        .instrument(span)
        .await;
        let mut statements = STATEMENTS.lock().unwrap().remove(&id).unwrap();
        assert!(statements.pop().is_some_and(|last| last.contains("from settings")));
        assert!(!statements.is_empty(), "nothing was overheard");
        if let Conn::Postgres(conn) = self.conn() {
            // The planner knows that everything is empty, as the queue is whenever somebody counts at a quiet moment.
            conn.execute(ANALYZE).await.unwrap();
        }
        let mut plans = Vec::new();
        // What goes to the database together is explained one by one.
        let each = statements.iter().flat_map(|together| together.split(";\n"));
        for statement in each.filter(|statement| !statement.starts_with("begin")) {
            plans.extend(self.explain(statement).await);
        }
        plans
    }

    async fn explain(&mut self, statement: &str) -> Vec<String> {
        match self.conn() {
            Conn::Sqlite(conn) => {
                let explain = AssertSqlSafe(format!("explain query plan {statement}"));
                let steps = sqlx::query_as::<_, (i64, i64, i64, String)>(explain)
                    .fetch_all(conn.driver().await.unwrap())
                    .await
                    .unwrap();
                steps.into_iter().map(|(_, _, _, step)| step).collect()
            }
            Conn::Postgres(conn) => {
                // A prepared statement, so that it is planned once for all values, as it is for the server.
                let values = (1..100).take_while(|at| statement.contains(&format!("${at}"))).count();
                let nulls = vec!["null"; values].join(", ");
                let arguments = if values == 0 { String::new() } else { format!("({nulls})") };
                let prepare = AssertSqlSafe(format!("prepare explained as {statement}"));
                conn.execute(sqlx::raw_sql(prepare)).await.unwrap();
                let explain = AssertSqlSafe(format!("explain (costs off) execute explained{arguments}"));
                let steps = sqlx::raw_sql(explain).fetch_all(&mut **conn).await.unwrap();
                conn.execute("deallocate explained").await.unwrap();
                steps.iter().map(|step| step.get(0)).collect()
            }
        }
    }

    /// Nothing that a function of the store asks makes the database read a table from end to end.
    async fn check(&mut self, run: impl AsyncFnOnce(&mut Self)) -> Vec<String> {
        let plans = self.plans(run).await;
        assert!(!plans.iter().any(|step| is_scan(step)), "{plans:#?}");
        assert!(plans.iter().any(|step| is_search(step)), "{plans:#?}");
        plans
    }
}

fn is_scan(step: &str) -> bool {
    // A join filter compares all rows of both sides, whatever the sides are.
    let is_whole = step.contains("SCAN ") || step.contains("Seq Scan") || step.contains("Join Filter");
    is_whole && !SMALL.iter().any(|small| step.contains(small))
}

fn is_search(step: &str) -> bool {
    step.contains("SEARCH ") || step.contains("Index Cond")
}

fn key(webhook: u8, event: u16) -> DeliveryKey {
    DeliveryKey { webhook_id: webhook_id(webhook), event_id: event_id(event) }
}

#[tokio::test]
async fn a_scan_would_be_seen() {
    let mut database = Database::open().await;

    let steps = database.explain("select payload from events where type = 'user.created'").await;

    assert!(steps.iter().any(|step| is_scan(step)), "{steps:?}");
}

#[tokio::test]
async fn listeners_are_found_by_index() {
    let names = ["user.update.email", "session.created"];
    let types: BTreeSet<_> = names.into_iter().map(|name| (tenant_id(1), event_type(name))).collect();

    Database::open()
        .await
        .check(async |database| {
            webhooks::listeners(database.conn(), &types).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn addressees_and_versions_are_found_by_index() {
    let ids = [1, 2, 3].map(webhook_id);

    Database::open()
        .await
        .check(async |database| {
            webhooks::addressees(database.conn(), &ids).await.unwrap();
            webhooks::versions(database.conn(), &ids).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn due_deliveries_are_claimed_by_index() {
    let lease = Lease { node_id: node_id(1), now: second(0), until: second(40) };

    Database::open()
        .await
        .check(async |database| {
            queue::claim(database.conn(), webhook_id(1), 9, &lease).await.unwrap();
            queue::next_due_at(database.conn(), webhook_id(1)).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn claims_are_settled_by_index() {
    let later = [1, 2, 3].map(|event| Postponed { key: key(1, event), fence: 1, attempts: 1, due_at: second(5) });

    let plans = Database::open()
        .await
        .check(async |database| {
            queue::remove(database.conn(), &[(key(1, 1), 1), (key(1, 2), 1)]).await.unwrap();
            let ended = Ended { key: key(1, 1), ending: Ending::Delivered, attempts: 1, at: second(1) };
            batch::end(database.conn(), &[Settled { ended, fence: 1, attempt: None }]).await.unwrap();
            queue::postpone(database.conn(), &later).await.unwrap();
            queue::hasten(database.conn(), &[key(1, 1), key(1, 2)], second(5)).await.unwrap();
            queue::holds(database.conn(), key(1, 1)).await.unwrap();
            deliveries::reopen(database.conn(), key(1, 1)).await.unwrap();
            let again = [1, 2].map(|event| Entry { key: key(1, event), due_at: second(1), attempts: 0, node_id: None });
            queue::insert_missing(database.conn(), &again).await.unwrap();
        })
        .await;

    // That index finds all of a webhook's deliveries, however many there are.
    assert!(!plans.iter().any(|step| step.contains("queue_due")), "{plans:#?}");
}

#[tokio::test]
async fn receivers_that_were_heard_are_found_by_index() {
    Database::open()
        .await
        .check(async |database| {
            webhooks::acknowledged(database.conn(), &[1, 2].map(webhook_id), second(1)).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn backlogs_are_found_by_jumping_from_webhook_to_webhook() {
    Database::open()
        .await
        .check(async |database| {
            queue::backlogs(database.conn()).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn events_are_found_by_index() {
    let ids = [1, 2, 3].map(event_id);

    Database::open()
        .await
        .check(async |database| {
            events::by_ids(database.conn(), &ids).await.unwrap();
            events::list(database.conn(), tenant_id(1), None, 9).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn idempotency_keys_are_found_and_forgotten_by_index() {
    let named = |key: &str| Named { tenant_id: tenant_id(1), key: key.to_owned(), fingerprint: [1; 32] };
    let (first, other) = (named("a"), named("b"));

    Database::open()
        .await
        .check(async |database| {
            idempotency::find(database.conn(), &[&first, &other]).await.unwrap();
            idempotency::forget(database.conn(), second(0), 9).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn the_log_of_a_webhook_is_read_by_index_and_already_in_order() {
    let states = vec!["failed", "delivered"];
    let filter = Filter { before: Some(event_id(9)), from: None, states, event_type: Some(event_type("user")) };

    let plans = Database::open()
        .await
        .plans(async |database| {
            deliveries::list(database.conn(), webhook_id(1), &filter, 9).await.unwrap();
        })
        .await;

    let is_costly = |step: &String| is_scan(step) || step.contains("TEMP B-TREE") || step.contains("Sort");
    assert!(plans.iter().any(|step| is_search(step)), "{plans:#?}");
    assert!(!plans.iter().any(is_costly), "{plans:#?}");
}

#[tokio::test]
async fn the_deliveries_and_attempts_of_one_event_are_found_by_index() {
    Database::open()
        .await
        .check(async |database| {
            deliveries::of_event(database.conn(), tenant_id(1), event_id(1), 9).await.unwrap();
            deliveries::attempts(database.conn(), key(1, 1)).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn writing_reads_nothing_from_end_to_end() {
    let entries = [1, 2, 3].map(|event| Entry { key: key(1, event), due_at: second(0), attempts: 0, node_id: None });
    let ended = entries.map(|entry| Ended { key: entry.key, ending: Ending::Delivered, attempts: 1, at: second(1) });
    let mail = [4, 5].map(|event| super::mailbox::mail(1, event, 0));
    let told = [1, 2, 3].map(|number| Arc::new(super::event(number, "user.created")));

    let plans = Database::open()
        .await
        .plans(async |database| {
            let accepted = Accepted { events: &told, entries: &entries, mail: &mail, names: &[], at: second(0) };
            batch::accept(database.conn(), &accepted).await.unwrap();
            deliveries::append(database.conn(), &ended).await.unwrap();
        })
        .await;

    assert!(!plans.iter().any(|step| is_scan(step)), "{plans:#?}");
}

#[tokio::test]
async fn webhooks_are_read_and_changed_by_index() {
    let mut database = Database::with_tenant().await;
    webhooks::insert(database.conn(), &super::webhook(1, &["user"]), "jwe").await.unwrap();

    database
        .check(async |database| {
            webhooks::get(database.conn(), tenant_id(1), webhook_id(1)).await.unwrap();
            webhooks::list(database.conn(), tenant_id(1), None, 9).await.unwrap();
            webhooks::are_as_many(database.conn(), tenant_id(1), 9).await.unwrap();
            webhooks::update(database.conn(), &super::webhook(1, &["session"]), None).await.unwrap();
            webhooks::update_state(database.conn(), &super::webhook(1, &["session"])).await.unwrap();
            webhooks::delete(database.conn(), tenant_id(1), webhook_id(1), second(5)).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn webhooks_that_are_declared_are_found_among_all_others_by_an_index_that_holds_no_others() {
    let plans = Database::open()
        .await
        .plans(async |database| {
            webhooks::declared(database.conn()).await.unwrap();
        })
        .await;

    let of_webhooks = |step: &&String| step.contains("webhooks") || step.contains("SCAN w");
    assert!(plans.iter().filter(of_webhooks).all(|step| step.contains("webhooks_declared")), "{plans:#?}");
}

#[tokio::test]
async fn what_every_second_every_request_and_every_audit_asks_is_found_by_index() {
    Database::with_tenant()
        .await
        .check(async |database| {
            tenants::changed_since(database.conn(), 0, 9).await.unwrap();
            tenants::touch_keys(database.conn(), tenant_id(1)).await.unwrap();
            audit::head(database.conn(), tenant_id(1)).await.unwrap();
            audit::list(database.conn(), tenant_id(1), 7, 9).await.unwrap();
            audit::latest(database.conn(), tenant_id(1), Some(7), 9).await.unwrap();
            api_keys::find(database.conn(), &[1; 32]).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn answers_are_claimed_kept_and_forgotten_by_index() {
    let claim =
        Claim { id: AnswerId::from_bytes([1; 16]), tenant_id: tenant_id(1), name: [1; 32], fingerprint: [1; 32] };
    let sealed = Sealed { status: 201, body_jwe: "jwe".to_owned() };

    Database::open()
        .await
        .check(async |database| {
            answers::find(database.conn(), tenant_id(1), &claim.name).await.unwrap();
            answers::renew(database.conn(), claim.id, second(9)).await.unwrap();
            answers::keep(database.conn(), claim.id, &sealed).await.unwrap();
            answers::bodies(database.conn(), None, 9).await.unwrap();
            answers::exchange_body(database.conn(), claim.id, "jwe", "again").await.unwrap();
            answers::release(database.conn(), claim.id).await.unwrap();
            answers::forget(database.conn(), second(0), 9).await.unwrap();
        })
        .await;
}
