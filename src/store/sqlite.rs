//! SQLite: one connection that writes, in `begin immediate` transactions, beside several that only read.
//!
//! The driver runs each connection on a thread of its own, and every journey there and back costs more than most
//! statements do. So what is only to be done, and answers nothing, waits in [`Writer`] and goes with the next question or
//! with the commit: a batch of events makes two journeys, and so does a batch of outcomes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteQueryResult, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Executor as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::query::Value;
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

/// The connections of an open file.
pub(super) struct Connections {
    readers: SqlitePool,
    /// The one that writes; nothing after it broke, until it is made again.
    writer: Arc<Mutex<Option<SqliteConnection>>>,
    options: SqliteConnectOptions,
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
        // A private half that was destroyed is overwritten in its page; the default would leave it there.
        .pragma("secure_delete", "fast")
        .statement_cache_capacity(200);
    let mut writer = SqliteConnection::connect_with(&options).await?;
    migrations::run_on_sqlite(&mut writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_FOR)
        .connect_with(options.clone().read_only(true))
        .await?;
    let writer = Arc::new(Mutex::new(Some(writer)));
    Ok(Pools::Sqlite(Arc::new(Connections { readers, writer, options })))
}

impl Connections {
    pub(super) async fn read(&self) -> Result<Hold> {
        Ok(Hold::Reader(self.readers.begin().await?))
    }

    /// The connection that writes, as soon as everybody before has given it back.
    pub(super) async fn write(&self) -> Result<Hold> {
        let waited = tokio::time::timeout(ACQUIRE_FOR, self.writer.clone().lock_owned()).await;
        let mut slot = waited.map_err(|_| StoreError::Unavailable(sqlx::Error::PoolTimedOut))?;
        if slot.is_none() {
            *slot = Some(SqliteConnection::connect_with(&self.options).await?);
        }
        let mut writer = Writer { slot: Some(slot), waiting: Statements::default(), has_begun: false };
        writer.waiting.add("begin immediate", std::iter::empty())?;
        Ok(Hold::Writer(writer))
    }

    /// Folds the write-ahead log back and closes every connection.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        if let Some(writer) = self.writer.lock().await.take() {
            // What is committed is safe whether or not the log was folded back.
            let _ = writer.close().await;
        }
    }
}

/// A connection for a transaction.
pub enum Hold {
    Reader(Transaction<'static, Sqlite>),
    Writer(Writer),
}

/// The connection that writes, in a transaction that ends with [`Writer::commit`] or leaves no trace.
pub struct Writer {
    slot: Option<OwnedMutexGuard<Option<SqliteConnection>>>,
    /// What goes with the next question.
    waiting: Statements,
    has_begun: bool,
}

/// Statements in a row, and their values in the same order.
#[derive(Default)]
struct Statements {
    text: String,
    values: SqliteArguments,
}

impl Statements {
    fn add<'v>(&mut self, text: &str, values: impl Iterator<Item = Value<'v>>) -> Result<()> {
        if !self.text.is_empty() {
            self.text.push_str(";\n");
        }
        self.text.push_str(text);
        for value in values {
            let added = match value {
                Value::Int(value) => self.values.add(value),
                Value::Text(value) => self.values.add(value),
                Value::Blob(value) => self.values.add(value),
            };
            added.map_err(|error| StoreError::Unavailable(sqlx::Error::Encode(error)))?;
        }
        Ok(())
    }

    fn into_query(self) -> Query<'static, Sqlite, SqliteArguments> {
        sqlx::query_with(AssertSqlSafe(self.text), self.values)
    }
}

impl Hold {
    /// Runs a statement and answers its rows. What waited goes with it, unless there are values in both: the driver counts
    /// `$1` from the first statement's values on.
    pub(super) async fn fetch_all<'v>(
        &mut self,
        text: &str,
        values: impl Iterator<Item = Value<'v>>,
    ) -> Result<Vec<SqliteRow>> {
        let (conn, mut statements) = self.ready()?;
        if statements.values.len() > 0 {
            std::mem::take(&mut statements).into_query().execute(&mut *conn).await?;
        }
        statements.add(text, values)?;
        Ok(statements.into_query().fetch_all(conn).await?)
    }

    /// Runs a statement and answers how many rows it changed. It goes alone, because what the driver counts is the sum.
    pub(super) async fn execute<'v>(
        &mut self,
        text: &str,
        values: impl Iterator<Item = Value<'v>>,
    ) -> Result<SqliteQueryResult> {
        let conn = self.driver().await?;
        let mut statement = Statements::default();
        statement.add(text, values)?;
        Ok(statement.into_query().execute(conn).await?)
    }

    /// Has a statement with values for `?` wait for the next question or the commit, where it fails if it fails.
    pub(super) fn defer<'v>(&mut self, text: &str, values: impl Iterator<Item = Value<'v>>) -> Result<()> {
        match self {
            Self::Writer(writer) => writer.waiting.add(text, values),
            Self::Reader(_) => {
                Err(StoreError::Unavailable(sqlx::Error::Protocol("a reader does not write".to_owned())))
            }
        }
    }

    /// The driver's own connection, for questions that no function of the store asks. What waited goes first.
    pub async fn driver(&mut self) -> Result<&mut SqliteConnection> {
        let (conn, waiting) = self.ready()?;
        if !waiting.text.is_empty() {
            waiting.into_query().execute(&mut *conn).await?;
        }
        Ok(conn)
    }

    fn ready(&mut self) -> Result<(&mut SqliteConnection, Statements)> {
        match self {
            Self::Reader(tx) => Ok((&mut **tx, Statements::default())),
            Self::Writer(writer) => {
                writer.has_begun = true;
                let waiting = std::mem::take(&mut writer.waiting);
                Ok((writer.conn()?, waiting))
            }
        }
    }
}

impl Writer {
    fn conn(&mut self) -> Result<&mut SqliteConnection> {
        let conn = self.slot.as_mut().and_then(|slot| slot.as_mut());
        conn.ok_or(StoreError::Unavailable(sqlx::Error::PoolClosed))
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        if !self.has_begun && waiting.values.len() == 0 {
            // Nothing was asked and nothing is to be done.
            return Ok(());
        }
        self.has_begun = true;
        waiting.add("commit", std::iter::empty())?;
        waiting.into_query().execute(self.conn()?).await?;
        self.has_begun = false;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.has_begun {
            return;
        }
        let Some(mut slot) = self.slot.take() else { return };
        match tokio::runtime::Handle::try_current() {
            // Whoever writes next waits until it is undone.
            Ok(runtime) => drop(runtime.spawn(async move {
                if let Some(conn) = slot.as_mut()
                    && !undone(conn).await
                {
                    *slot = None;
                }
            })),
            // A connection that ends undoes what it has not committed.
            Err(_) => *slot = None,
        }
    }
}

/// Undoes what was not committed; answers whether the connection can go on. SQLite may have done it by itself, as it does
/// when the disk is full.
async fn undone(conn: &mut SqliteConnection) -> bool {
    let _ = conn.execute("rollback").await;
    let begins = conn.execute("begin").await.is_ok();
    begins && conn.execute("rollback").await.is_ok()
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
