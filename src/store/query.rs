//! One text for two databases: a statement and its values, put to whichever database is open.
//!
//! Everything that the databases agree on is written once, in the functions of the store, as a [`Query`]. Where they
//! differ in power and not in words, a function asks [`Conn::is_sqlite`] and has two texts side by side.

use std::time::Duration;

use sqlx::postgres::PgArguments;
use sqlx::{Postgres, SqlSafeStr, SqlStr};

use super::record::Row;
use super::{Conn, Result, StoreError};

/// How long the network may keep an answer of PostgreSQL back. A connection that was cut without a word would otherwise
/// hold its caller for as long as the kernel tries again: a quarter of an hour.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Below every id.
pub(super) const FIRST: &[u8] = &[];
/// Above every id.
pub(super) const LAST: &[u8] = &[0xff; 17];

/// A value of a statement.
#[derive(Clone, Copy)]
pub(super) enum Value<'q> {
    Int(Option<i64>),
    Text(Option<&'q str>),
    Blob(Option<&'q [u8]>),
}

macro_rules! value {
    ($variant:ident, $from:ty) => {
        impl<'q> From<$from> for Value<'q> {
            fn from(value: $from) -> Self {
                Self::$variant(Some(value))
            }
        }

        impl<'q> From<Option<$from>> for Value<'q> {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value)
            }
        }
    };
}

value!(Int, i64);
value!(Text, &'q str);
value!(Blob, &'q [u8]);

impl<'q> From<&'q String> for Value<'q> {
    fn from(value: &'q String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'q> From<&'q Option<String>> for Value<'q> {
    fn from(value: &'q Option<String>) -> Self {
        Self::Text(value.as_deref())
    }
}

impl<'q, const N: usize> From<&'q [u8; N]> for Value<'q> {
    fn from(value: &'q [u8; N]) -> Self {
        Self::Blob(Some(value))
    }
}

impl<'q, const N: usize> From<Option<&'q [u8; N]>> for Value<'q> {
    fn from(value: Option<&'q [u8; N]>) -> Self {
        Self::Blob(value.map(|bytes| &bytes[..]))
    }
}

/// A statement and its values, in the order of `$1`, `$2`, ….
pub(super) struct Query<'q> {
    text: SqlStr,
    values: Vec<Value<'q>>,
}

pub(super) fn query<'q>(text: impl SqlSafeStr) -> Query<'q> {
    Query { text: text.into_sql_str(), values: Vec::new() }
}

impl<'q> Query<'q> {
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; answers how many rows it changed.
    pub(super) async fn execute(self, conn: &mut Conn) -> Result<u64> {
        match conn {
            Conn::Sqlite(hold) => Ok(hold.execute(self.text.as_str(), self.values.into_iter()).await?.rows_affected()),
            Conn::Postgres(tx) => Ok(in_time(on_postgres(self).execute(&mut **tx)).await?.rows_affected()),
        }
    }

    pub(super) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<Row>> {
        Ok(match conn {
            Conn::Sqlite(hold) => {
                let rows = hold.fetch_all(self.text.as_str(), self.values.into_iter()).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Conn::Postgres(tx) => {
                let rows = in_time(on_postgres(self).fetch_all(&mut **tx)).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(super) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<Row>> {
        Ok(self.fetch_all(conn).await?.into_iter().next())
    }
}

/// Waits for PostgreSQL, but not for ever.
pub(super) async fn in_time<T>(answer: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

fn on_postgres(query: Query<'_>) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    query.values.into_iter().fold(sqlx::query(query.text), |bound, value| match value {
        Value::Int(value) => bound.bind(value),
        Value::Text(value) => bound.bind(value),
        Value::Blob(value) => bound.bind(value),
    })
}
