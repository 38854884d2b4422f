//! What is remembered. The only ring that speaks SQL.
//!
//! A function here is one question or one change, on a connection that its caller holds: callers decide what belongs in
//! one transaction. The ring decides nothing and reads no clock; every instant and every id comes in as an argument.
//!
//! What is still to be done and what is done live apart: `queue` holds unfinished deliveries only, settling deletes the
//! row and appends to `deliveries` and `attempts`. SQLite has one writer, so there is one writing connection, in
//! `begin immediate` transactions, beside several that only read.

pub mod answers;
pub mod api_keys;
pub mod audit;
pub mod batch;
mod bulk;
pub mod catalogue;
pub mod deliveries;
pub mod events;
pub mod history;
pub mod hook_log;
pub mod hooks;
pub mod idempotency;
pub mod mailbox;
mod migrations;
pub mod nodes;
mod postgres;
pub mod pull_keys;
mod query;
pub mod queue;
mod record;
pub mod replay;
pub mod revocations;
pub mod sealed;
pub mod service_time;
pub mod settings;
pub mod signing_keys;
mod sqlite;
pub mod tenants;
pub mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::PgPool;

pub use sqlite::{create_folder_of, path_of as sqlite_path};

/// A connection on which questions are asked.
pub enum Conn {
    Sqlite(sqlite::Hold),
    Postgres(postgres::Hold),
}

impl Conn {
    fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

/// Why a question had no answer. That something is not there is no error: it is `None`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Nothing was changed; the same again may succeed.
    #[error("another transaction was in the way")]
    Contended(#[source] sqlx::Error),
    #[error("the change contradicts what is already there: {0}")]
    Conflict(String),
    #[error("the database holds something impossible in {table}.{column}: {why}")]
    Corrupt { table: &'static str, column: &'static str, why: &'static str },
    #[error("the database cannot be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    #[error("{0:?} databases are not among those that Signet knows; {KNOWN_DATABASES}")]
    UnknownDatabase(String),
    #[error("the URL of the database cannot be read; {KNOWN_DATABASES}")]
    MalformedUrl,
    #[error("PostgreSQL {0} is too old; Signet needs 15 or newer")]
    TooOld(String),
    #[error("the file {path} cannot be written")]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot create the folder {folder} for the database")]
    Folder { folder: PathBuf, source: std::io::Error },
}

/// What PostgreSQL calls a transaction that lost against another one: a failed serialization, a deadlock, and a lock that
/// was not to be had in time.
const RACES: [&str; 3] = ["40001", "40P01", "55P03"];

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
            sqlx::Error::Database(refused) if refused.code().is_some_and(|code| RACES.contains(&&*code)) => {
                Self::Contended(error)
            }
            // What cannot be written as it is: values that no column takes (22), and too much of something (54).
            sqlx::Error::Database(refused)
                if refused.code().is_some_and(|code| code.starts_with("22") || code.starts_with("54")) =>
            {
                Self::Conflict(refused.message().to_owned())
            }
            _ => Self::Unavailable(error),
        }
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// What may stand in a database's URL, for those who wrote something else.
pub const KNOWN_DATABASES: &str = "write sqlite:// and a path, such as sqlite://data/signet.db or \
     sqlite:///var/lib/signet/signet.db, or postgres://user:password@host/database";

/// The open database.
#[derive(Clone)]
pub struct Store(Pools);

#[derive(Clone)]
enum Pools {
    Sqlite(Arc<sqlite::Connections>),
    Postgres(PgPool),
}

/// A transaction that writes. Dropped without [`Tx::commit`], it leaves no trace.
pub struct Tx(Conn);

impl Tx {
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.0
    }

    /// Makes everything durable: when this returns, a power cut loses none of it.
    pub async fn commit(self) -> Result<()> {
        match self.0 {
            Conn::Sqlite(sqlite::Hold::Writer(writer)) => writer.commit().await,
            Conn::Postgres(postgres::Hold::Transaction(tx)) => query::in_time(tx.commit()).await,
            // Nothing was begun.
            Conn::Sqlite(sqlite::Hold::Reader(_)) | Conn::Postgres(postgres::Hold::Statements(_)) => Ok(()),
        }
    }

    /// Undoes everything. Dropping does so too, but on PostgreSQL at some time later: until then its rows are held.
    pub async fn undo(self) -> Result<()> {
        match self.0 {
            Conn::Postgres(postgres::Hold::Transaction(tx)) => query::in_time(tx.rollback()).await,
            // The next who writes finds it undone.
            Conn::Sqlite(_) | Conn::Postgres(postgres::Hold::Statements(_)) => Ok(()),
        }
    }
}

/// A connection that only reads, and for as long as it is held sees one moment: what two questions answer fits together.
pub struct Reader(Conn);

impl Reader {
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.0
    }
}

impl Store {
    /// Opens the database and brings its tables up to date. An SQLite database that is missing is created.
    pub async fn open(url: &str) -> Result<Self> {
        let pools = match url.split_once("://") {
            Some(("sqlite", _)) => sqlite::open(url).await?,
            Some(("postgres" | "postgresql", _)) => postgres::open(url).await?,
            // The rest of the URL may hold a password.
            Some((scheme, _)) => return Err(StoreError::UnknownDatabase(scheme.to_owned())),
            None => return Err(StoreError::MalformedUrl),
        };
        Ok(Self(pools))
    }

    /// Whether other servers may work on this database at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Pools::Postgres(_))
    }

    /// Begins a transaction that may write. On SQLite, one at a time.
    pub async fn write(&self) -> Result<Tx> {
        Ok(Tx(match &self.0 {
            Pools::Sqlite(connections) => Conn::Sqlite(connections.write().await?),
            Pools::Postgres(pool) => Conn::Postgres(postgres::Hold::Transaction(query::in_time(pool.begin()).await?)),
        }))
    }

    /// The same for changes that PostgreSQL makes in one statement, which is a transaction of its own there: beginning and
    /// committing one would be two more journeys. What is written before an error may stay.
    pub async fn write_at_once(&self) -> Result<Tx> {
        match &self.0 {
            Pools::Sqlite(_) => self.write().await,
            Pools::Postgres(pool) => Ok(Tx(Conn::Postgres(postgres::Hold::Statements(pool.acquire().await?)))),
        }
    }

    /// Lends a connection that sees what is committed by the time of its first question.
    pub async fn read(&self) -> Result<Reader> {
        Ok(Reader(match &self.0 {
            Pools::Sqlite(connections) => Conn::Sqlite(connections.read().await?),
            Pools::Postgres(pool) => {
                let begin = "begin isolation level repeatable read, read only";
                Conn::Postgres(postgres::Hold::Transaction(query::in_time(pool.begin_with(begin)).await?))
            }
        }))
    }

    /// Whether the database can be read and written at this moment. A full disk shows only when something is written.
    pub async fn check(&self) -> Result<()> {
        settings::get(self.read().await?.conn(), settings::READINESS).await?;
        let mut tx = self.write().await?;
        settings::put(tx.conn(), settings::READINESS, "written").await?;
        tx.commit().await
    }

    /// Closes every connection; on SQLite, folds the write-ahead log back.
    pub async fn close(&self) {
        match &self.0 {
            Pools::Sqlite(connections) => connections.close().await,
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}
