//! The schema, compiled in, once for each database. Forward only; what is written here was run somewhere and is never
//! edited.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{PgPool, SqlSafeStr, SqliteConnection};

use super::{Result, StoreError};

const NAMES: [&str; 17] = [
    "foundation",
    "nodes",
    "retention",
    "key_safety",
    "audit",
    "webhook_handling",
    "webhook_life",
    "idempotent_answers",
    "catalogue",
    "declared_webhooks",
    "formats",
    "probes_and_last_deliveries",
    "unproven_webhooks",
    "encrypted_webhooks",
    "hooks",
    "client_certificates",
    "pull_delivery",
];

const SQLITE: [&str; NAMES.len()] = [
    include_str!("../../migrations/sqlite/0001_foundation.sql"),
    include_str!("../../migrations/sqlite/0002_nodes.sql"),
    include_str!("../../migrations/sqlite/0003_retention.sql"),
    include_str!("../../migrations/sqlite/0004_key_safety.sql"),
    include_str!("../../migrations/sqlite/0005_audit.sql"),
    include_str!("../../migrations/sqlite/0006_webhook_handling.sql"),
    include_str!("../../migrations/sqlite/0007_webhook_life.sql"),
    include_str!("../../migrations/sqlite/0008_idempotent_answers.sql"),
    include_str!("../../migrations/sqlite/0009_catalogue.sql"),
    include_str!("../../migrations/sqlite/0010_declared_webhooks.sql"),
    include_str!("../../migrations/sqlite/0011_formats.sql"),
    include_str!("../../migrations/sqlite/0012_probes_and_last_deliveries.sql"),
    include_str!("../../migrations/sqlite/0013_unproven_webhooks.sql"),
    include_str!("../../migrations/sqlite/0014_encrypted_webhooks.sql"),
    include_str!("../../migrations/sqlite/0015_hooks.sql"),
    include_str!("../../migrations/sqlite/0016_client_certificates.sql"),
    include_str!("../../migrations/sqlite/0017_pull_delivery.sql"),
];

const POSTGRES: [&str; NAMES.len()] = [
    include_str!("../../migrations/postgres/0001_foundation.sql"),
    include_str!("../../migrations/postgres/0002_nodes.sql"),
    include_str!("../../migrations/postgres/0003_retention.sql"),
    include_str!("../../migrations/postgres/0004_key_safety.sql"),
    include_str!("../../migrations/postgres/0005_audit.sql"),
    include_str!("../../migrations/postgres/0006_webhook_handling.sql"),
    include_str!("../../migrations/postgres/0007_webhook_life.sql"),
    include_str!("../../migrations/postgres/0008_idempotent_answers.sql"),
    include_str!("../../migrations/postgres/0009_catalogue.sql"),
    include_str!("../../migrations/postgres/0010_declared_webhooks.sql"),
    include_str!("../../migrations/postgres/0011_formats.sql"),
    include_str!("../../migrations/postgres/0012_probes_and_last_deliveries.sql"),
    include_str!("../../migrations/postgres/0013_unproven_webhooks.sql"),
    include_str!("../../migrations/postgres/0014_encrypted_webhooks.sql"),
    include_str!("../../migrations/postgres/0015_hooks.sql"),
    include_str!("../../migrations/postgres/0016_client_certificates.sql"),
    include_str!("../../migrations/postgres/0017_pull_delivery.sql"),
];

pub(super) async fn run_on_sqlite(conn: &mut SqliteConnection) -> Result<()> {
    migrator(&SQLITE).run(conn).await.map_err(StoreError::Migration)
}

pub(super) async fn run_on_postgres(pool: &PgPool) -> Result<()> {
    migrator(&POSTGRES).run(pool).await.map_err(StoreError::Migration)
}

fn migrator(texts: &[&'static str; NAMES.len()]) -> Migrator {
    let migrations: Vec<Migration> = (1..)
        .zip(NAMES)
        .zip(texts)
        .map(|((version, name), sql)| {
            Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}
