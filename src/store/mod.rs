//! What is remembered. The only ring that speaks SQL.
//!
//! A function here is one question or one change, on a connection that its caller holds: callers decide what belongs in
//! one transaction. The ring decides nothing and reads no clock; every instant and every id comes in as an argument.
//!
//! What is still to be done and what is done live apart: `queue` holds unfinished deliveries only, settling deletes the
//! row and appends to `deliveries` and `attempts`. SQLite has one writer, so there is one writing connection, in
//! `begin immediate` transactions, beside several that only read.

pub mod api_keys;
mod bulk;
pub mod deliveries;
pub mod events;
pub mod idempotency;
mod migrations;
pub mod queue;
mod record;
pub mod settings;
pub mod signing_keys;
pub mod tenants;
pub mod webhooks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

/// A connection on which questions are asked.
pub type Conn = SqliteConnection;

/// Connections that only read. More would only take turns on two cores.
const READERS: u32 = 4;
/// How long a writer waits for another process (an administrator's command) to finish its transaction.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection before it is told that the database is not available.
const ACQUIRE_FOR: Duration = Duration::from_secs(5);
/// Pages after which the write-ahead log is folded back; the default of 1,000 does so every few hundred events.
const CHECKPOINT_PAGES: &str = "4000";

/// Why a question had no answer. That something is not there is no error: it is `None`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    #[error("the change contradicts what is already there: {0}")]
    Conflict(String),
    #[error("the database holds something impossible in {table}.{column}: {why}")]
    Corrupt { table: &'static str, column: &'static str, why: &'static str },
    #[error("the database cannot be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    #[error(
        "{0:?} databases are not among those this build knows; set SIGNET_DATABASE_URL to sqlite:// and a path, such as sqlite://data/signet.db or sqlite:///var/lib/signet/signet.db"
    )]
    UnknownDatabase(String),
    #[error("the file {path} cannot be written")]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot create the folder {folder} for the database")]
    Folder { folder: PathBuf, source: std::io::Error },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refused)
                if refused.is_unique_violation()
                    || refused.is_foreign_key_violation()
                    || refused.is_check_violation() =>
            {
                Self::Conflict(refused.message().to_owned())
            }
            _ => Self::Unavailable(error),
        }
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// The open database.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// A transaction that writes. Dropped without [`Tx::commit`], it leaves no trace.
pub struct Tx(Transaction<'static, Sqlite>);

impl Tx {
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.0
    }

    /// Makes everything durable: when this returns, a power cut loses none of it.
    pub async fn commit(self) -> Result<()> {
        Ok(self.0.commit().await?)
    }
}

/// A connection that only reads, and for as long as it is held sees one moment: what two questions answer fits together.
pub struct Reader(Transaction<'static, Sqlite>);

impl Reader {
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.0
    }
}

/// The file of a `sqlite://` URL.
pub fn sqlite_path(url: &str) -> Result<PathBuf> {
    match url.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() && !path.contains(['?', '#']) => Ok(PathBuf::from(path)),
        // The rest of the URL may hold a password.
        _ => Err(StoreError::UnknownDatabase(url.split_once("://").map_or("", |(scheme, _)| scheme).to_owned())),
    }
}

impl Store {
    /// Opens the database, creates it when it is missing, and brings its tables up to date.
    pub async fn open(url: &str) -> Result<Self> {
        let path = sqlite_path(url)?;
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
        migrations::run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .acquire_timeout(ACQUIRE_FOR)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Begins a transaction that may write. One at a time.
    pub async fn write(&self) -> Result<Tx> {
        Ok(Tx(self.writer.begin_with("begin immediate").await?))
    }

    /// Lends a connection that sees what is committed by the time of its first question.
    pub async fn read(&self) -> Result<Reader> {
        Ok(Reader(self.readers.begin().await?))
    }

    /// Whether the database can be read and written at this moment. A full disk shows only when something is written.
    pub async fn check(&self) -> Result<()> {
        sqlx::query("select 1").execute(self.read().await?.conn()).await?;
        let mut tx = self.write().await?;
        settings::put(tx.conn(), settings::READINESS, "written").await?;
        tx.commit().await
    }

    /// Folds the write-ahead log back and closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
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
