//! Opening SQLite: one connection that writes, in `begin immediate` transactions, beside several that only read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Pools, Result, StoreError, migrations};

/// Connections that only read. More would only take turns on two cores.
const READERS: u32 = 4;
/// How long a writer waits for another process (an administrator's command) to finish its transaction.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection before it is told that the database is not available.
const ACQUIRE_FOR: Duration = Duration::from_secs(5);
/// Pages after which the write-ahead log is folded back; the default of 1,000 does so every few hundred events.
const CHECKPOINT_PAGES: &str = "4000";

/// The file of a `sqlite://` URL.
pub fn path_of(url: &str) -> Result<PathBuf> {
    match url.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() && !path.contains(['?', '#']) => Ok(PathBuf::from(path)),
        _ => Err(StoreError::MalformedUrl),
    }
}

pub(super) async fn open(url: &str) -> Result<Pools> {
    let path = path_of(url)?;
    create_folder_of(&path)?;
    create_private(&path)?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_FOR)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .statement_cache_capacity(200);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // After a full disk SQLite ends the transaction by itself and the driver still counts it. Such a connection
        // would refuse every later transaction, so it is exchanged for a new one.
        .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
        .acquire_timeout(ACQUIRE_FOR)
        .connect_with(options.clone().create_if_missing(true))
        .await?;
    migrations::run_on_sqlite(&writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_FOR)
        .connect_with(options.read_only(true))
        .await?;
    Ok(Pools::Sqlite { writer, readers })
}

/// Makes the database file for its owner alone, unless it is there. SQLite gives its other files the same permissions.
fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|source| StoreError::File { path: path.to_owned(), source })
}

/// Makes the folder that a database file lies in, unless it is there.
pub fn create_folder_of(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true);
            // Payloads are personal data: a folder of our making is for its owner alone.
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder).map_err(|source| StoreError::Folder { folder: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}
