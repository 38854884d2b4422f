//! Opening PostgreSQL: one pool, and how each of its connections is told to plan and to keep its word.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, Postgres, Transaction};

use super::{Pools, Result, StoreError, migrations};

/// Connections of one node. The two that write in batches do most of the work; the others are for those who ask.
const CONNECTIONS: u32 = 16;
/// How long a caller waits for a connection before it is told that the database is not available.
const ACQUIRE_FOR: Duration = Duration::from_secs(3);
/// A connection that lay idle for longer is greeted before it is lent: the database may have been restarted meanwhile.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long a connection may take to say that it is there, before and after it is lent. One that was cut without a word
/// says nothing for as long as the kernel tries again; it is replaced by another instead.
const READY_WITHIN: Duration = Duration::from_secs(1);
/// The oldest version that the tests run on.
const VERSION_MIN: u32 = 150_000;

/// What a connection is told when it is made.
///
/// Every statement that runs often goes by an index, which the plan tests hold. On a young or freshly grown table the
/// planner would rather read it whole, remember that plan, and stay with it when the table is large: five to ten times
/// as dear. So it is told to go by index, to plan each statement once, and not to compile plans that it thinks are dear.
/// An answered event survives a power cut, whatever the server's own default is. A node that stands still in the middle of
/// a transaction, as in a snapshot of its machine, loses it before long, so that it holds up no other; and a statement that
/// nobody waits for any more ends.
const SETTINGS: &str = "
    set enable_seqscan = off;
    set enable_hashjoin = off;
    set enable_mergejoin = off;
    set enable_material = off;
    set plan_cache_mode = force_generic_plan;
    set jit = off;
    set client_min_messages = warning;
    set idle_in_transaction_session_timeout = '10s';
    set statement_timeout = '9s';
    select set_config('synchronous_commit', 'on', false)
    where current_setting('synchronous_commit') in ('off', 'local')";

/// A connection, and how what happens on it hangs together.
pub enum Hold {
    Transaction(Transaction<'static, Postgres>),
    /// Each statement is a transaction.
    Statements(PoolConnection<Postgres>),
}

impl Deref for Hold {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Transaction(tx) => tx,
            Self::Statements(conn) => conn,
        }
    }
}

impl DerefMut for Hold {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Transaction(tx) => tx,
            Self::Statements(conn) => conn,
        }
    }
}

pub(super) async fn open(url: &str) -> Result<Pools> {
    // What the parser says may quote the URL, and the URL may hold a password.
    let options: PgConnectOptions = url.parse().map_err(|_| StoreError::MalformedUrl)?;
    let options = options.application_name("signet").statement_cache_capacity(200);
    // The pool would try again until its time is up, and not say what is wrong.
    let first = PgConnection::connect_with(&options).await?;
    check_version(&first)?;
    first.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_FOR)
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_FOR {
                    ready(conn.ping()).await?;
                }
                Ok(true)
            })
        })
        // The pool would wait without a bound, in the place of a connection, for what its last borrower did not wait for.
        // Where nothing is outstanding, this waits for nothing.
        .after_release(|conn, _| Box::pin(async move { ready(conn.flush()).await.map(|()| true) }))
        .after_connect(|conn, _| Box::pin(prepare(conn)))
        .connect_with(options)
        .await?;
    migrations::run_on_postgres(&pool).await?;
    Ok(Pools::Postgres(pool))
}

/// Waits for a connection, but not for long.
async fn ready(answer: impl Future<Output = sqlx::Result<()>>) -> sqlx::Result<()> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(READY_WITHIN, answer).await.map_err(late)?
}

async fn prepare(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(SETTINGS)).await.map(drop)
}

fn check_version(conn: &PgConnection) -> Result<()> {
    match conn.server_version_num() {
        Some(version) if version < VERSION_MIN => Err(StoreError::TooOld((version / 10_000).to_string())),
        _ => Ok(()),
    }
}
