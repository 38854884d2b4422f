//! Statements over sets: one per set, never one per row, which would cost four to five times as much.
//!
//! A statement says `{rows}` where its set stands, and finds it there as `given` with `column1`, `column2`, …. On
//! PostgreSQL the columns travel as arrays. SQLite has none, so its rows stand in the statement one by one; they are
//! padded to a power of two with null rows, which are left out again, so that a handful of prepared statements serves
//! every size.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use super::query::{Value, in_time};
use super::record::Row;
use super::{Conn, Result, sqlite};

/// The most rows in one statement of SQLite: with nine columns still far below its 32,766 parameters.
const SQLITE_ROWS_MAX: usize = 256;
/// The most rows in one statement of PostgreSQL: a few megabytes of ids.
const POSTGRES_ROWS_MAX: usize = 16_384;
/// Where the set stands in a statement.
const ROWS: &str = "{rows}";

type OnPostgres = sqlx::query::Query<'static, Postgres, PgArguments>;

/// What is asked about a set, in the words of each database.
///
/// PostgreSQL's planner believes that the queue is empty whenever it was when somebody last counted, and an empty table may
/// as well be read whole for each row of a set. So its words fix the order: for each row, `lateral` and `offset 0` look
/// into the table by its index, and nothing else is possible.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl Words {
    pub(super) fn of(self, conn: &Conn) -> &'static str {
        match conn {
            Conn::Sqlite(_) => self.sqlite,
            Conn::Postgres(_) => self.postgres,
        }
    }
}

impl From<&'static str> for Words {
    fn from(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// Rows, column by column.
#[derive(Default)]
pub(super) struct Set<'v> {
    columns: Vec<Column<'v>>,
}

enum Column<'v> {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<&'v str>>),
    Blobs(Vec<Option<&'v [u8]>>),
}

impl<'v> Set<'v> {
    pub(super) fn ints<T: Into<Option<i64>>>(self, values: impl Iterator<Item = T>) -> Self {
        self.with(Column::Ints(values.map(Into::into).collect()))
    }

    pub(super) fn texts<T: Into<Option<&'v str>>>(self, values: impl Iterator<Item = T>) -> Self {
        self.with(Column::Texts(values.map(Into::into).collect()))
    }

    pub(super) fn blobs<T: Into<Option<&'v [u8]>>>(self, values: impl Iterator<Item = T>) -> Self {
        self.with(Column::Blobs(values.map(Into::into).collect()))
    }

    /// The same rows with the columns of another set behind their own.
    pub(super) fn beside(mut self, other: Self) -> Self {
        self.columns.extend(other.columns);
        self
    }

    fn with(mut self, column: Column<'v>) -> Self {
        self.columns.push(column);
        self
    }

    fn len(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// Has a statement of SQLite run over the set with the next question or the commit. A set that takes several
    /// statements is run at once: each of them is kept for the next time, and all of them together would be new each time.
    pub(super) async fn defer(&self, hold: &mut sqlite::Hold, statement: &'static str) -> Result<()> {
        for rows in self.on_sqlite(statement) {
            if self.len() > SQLITE_ROWS_MAX {
                hold.execute(&rows.text, rows.values(self)).await?;
            } else {
                hold.defer(&rows.text, rows.values(self))?;
            }
        }
        Ok(())
    }

    /// Runs a statement over the set.
    pub(super) async fn execute(&self, conn: &mut Conn, statement: impl Into<Words>) -> Result<()> {
        let words = statement.into();
        match conn {
            Conn::Sqlite(hold) => {
                for rows in self.on_sqlite(words.sqlite) {
                    hold.execute(&rows.text, rows.values(self)).await?;
                }
            }
            Conn::Postgres(tx) => {
                for query in self.on_postgres(words.postgres) {
                    in_time(query.execute(&mut **tx)).await?;
                }
            }
        }
        Ok(())
    }

    /// Runs a statement over the set, and answers its rows.
    pub(super) async fn fetch_all(&self, conn: &mut Conn, statement: impl Into<Words>) -> Result<Vec<Row>> {
        let words = statement.into();
        let mut found = Vec::with_capacity(self.len());
        match conn {
            Conn::Sqlite(hold) => {
                for rows in self.on_sqlite(words.sqlite) {
                    let rows = hold.fetch_all(&rows.text, rows.values(self)).await?;
                    found.extend(rows.into_iter().map(Row::Sqlite));
                }
            }
            Conn::Postgres(tx) => {
                for query in self.on_postgres(words.postgres) {
                    found.extend(in_time(query.fetch_all(&mut **tx)).await?.into_iter().map(Row::Postgres));
                }
            }
        }
        Ok(found)
    }

    /// Runs one statement of PostgreSQL over several sets, which stand at `{0}`, `{1}`, …, and answers its rows. Only for
    /// sets whose size the caller bounds.
    pub(super) async fn together(sets: &[Self], tx: &mut PgConnection, statement: &'static str) -> Result<Vec<Row>> {
        let whole = || {
            let mut bound = 0;
            sets.iter().enumerate().fold(statement.to_owned(), |text, (at, set)| {
                let rows = postgres_rows(&set.columns, bound);
                bound += set.columns.len();
                text.replace(&format!("{{{at}}}"), &rows)
            })
        };
        let query = sqlx::query(AssertSqlSafe(text(statement, 0, whole)));
        let columns = sets.iter().flat_map(|set| &set.columns);
        let query = columns.fold(query, |query, column| column.bind(query, 0..column.len()));
        Ok(in_time(query.fetch_all(tx)).await?.into_iter().map(Row::Postgres).collect())
    }

    fn on_sqlite(&self, statement: &'static str) -> impl Iterator<Item = Rows> {
        (0..self.len()).step_by(SQLITE_ROWS_MAX).map(move |from| {
            let to = self.len().min(from + SQLITE_ROWS_MAX);
            let padded = (to - from).next_power_of_two();
            let text = text(statement, padded, || statement.replace(ROWS, &sqlite_rows(self.columns.len(), padded)));
            Rows { text, from, to, padded }
        })
    }

    fn on_postgres(&self, statement: &'static str) -> impl Iterator<Item = OnPostgres> {
        (0..self.len()).step_by(POSTGRES_ROWS_MAX).map(move |from| {
            let to = self.len().min(from + POSTGRES_ROWS_MAX);
            let text = text(statement, 0, || statement.replace(ROWS, &postgres_rows(&self.columns, 0)));
            self.columns.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, column| column.bind(query, from..to))
        })
    }
}

/// Some rows of a set, and the statement that holds as many.
struct Rows {
    text: Arc<str>,
    from: usize,
    to: usize,
    padded: usize,
}

impl Rows {
    /// Their values row by row, and nulls for the padding.
    fn values<'v>(&self, set: &Set<'v>) -> impl Iterator<Item = Value<'v>> {
        let rows = (self.from..self.to).flat_map(|row| set.columns.iter().map(move |column| column.value(row)));
        let padding = (self.padded - (self.to - self.from)) * set.columns.len();
        rows.chain(std::iter::repeat_n(Value::Int(None), padding))
    }
}

impl<'v> Column<'v> {
    fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Texts(values) => values.len(),
            Self::Blobs(values) => values.len(),
        }
    }

    fn bind(&self, query: OnPostgres, rows: Range<usize>) -> OnPostgres {
        match self {
            Self::Ints(values) => query.bind(&values[rows]),
            Self::Texts(values) => query.bind(&values[rows]),
            Self::Blobs(values) => query.bind(&values[rows]),
        }
    }

    fn value(&self, row: usize) -> Value<'v> {
        match self {
            Self::Ints(values) => Value::Int(values[row]),
            Self::Texts(values) => Value::Text(values[row]),
            Self::Blobs(values) => Value::Blob(values[row]),
        }
    }
}

/// Whole statements, by what they are made of.
type Texts = HashMap<(&'static str, usize), Arc<str>>;

/// The whole statement for a number of rows, written once.
fn text(statement: &'static str, rows: usize, write: impl FnOnce() -> String) -> Arc<str> {
    static TEXTS: LazyLock<RwLock<Texts>> = LazyLock::new(RwLock::default);
    if let Some(text) = TEXTS.read().unwrap_or_else(PoisonError::into_inner).get(&(statement, rows)) {
        return text.clone();
    }
    let text: Arc<str> = write().into();
    TEXTS.write().unwrap_or_else(PoisonError::into_inner).insert((statement, rows), text.clone());
    text
}

fn sqlite_rows(columns: usize, rows: usize) -> String {
    let names = names(columns);
    let row = format!("({})", vec!["?"; columns].join(", "));
    let rows = vec![row; rows].join(", ");
    format!("(select {names} from (values {rows}) where column1 is not null) as given")
}

fn postgres_rows(columns: &[Column<'_>], bound: usize) -> String {
    let arrays: Vec<String> =
        (bound + 1..).zip(columns).map(|(at, column)| format!("${at}::{}[]", column.kind())).collect();
    format!("unnest({}) as given ({})", arrays.join(", "), names(columns.len()))
}

fn names(columns: usize) -> String {
    let names: Vec<String> = (1..=columns).map(|at| format!("column{at}")).collect();
    names.join(", ")
}

impl Column<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Ints(_) => "bigint",
            Self::Texts(_) => "text",
            Self::Blobs(_) => "bytea",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: i64) -> Vec<String> {
        let set = Set::default().ints(0..rows).ints(0..rows);
        set.on_sqlite("select column1, column2 from {rows}").map(|rows| rows.text.to_string()).collect()
    }

    #[test]
    fn sets_of_similar_sizes_share_a_statement() {
        assert_eq!(texts(5), texts(8));
        assert_ne!(texts(8), texts(9));
        assert_eq!(texts(300).len(), 2);
        assert_eq!(texts(0).len(), 0);
    }
}
