//! The schema, compiled in. Forward only; what is written here was run somewhere and is never edited.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlitePool};

use super::{Result, StoreError};

const SQLITE: [(i64, &str, &str); 1] = [(1, "foundation", include_str!("../../migrations/sqlite/0001_foundation.sql"))];

pub(super) async fn run(pool: &SqlitePool) -> Result<()> {
    let migrations = SQLITE.map(|(version, name, sql)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let migrator = Migrator { migrations: Cow::Owned(migrations.to_vec()), ..Migrator::DEFAULT };
    migrator.run(pool).await.map_err(StoreError::Migration)
}
