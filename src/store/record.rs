//! Reading columns as domain values. What cannot be one is reported with its table and column.

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

use super::{Result, StoreError};
use crate::domain::time::Timestamp;

/// A row of whichever database is open.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A row, and the table that is to blame when it makes no sense.
pub(super) struct Record<'r> {
    row: &'r Row,
    table: &'static str,
}

impl<'r> Record<'r> {
    pub(super) fn new(table: &'static str, row: &'r Row) -> Self {
        Self { row, table }
    }

    fn get<'v, T>(&'v self, column: &'static str) -> Result<T>
    where
        T: Decode<'v, Sqlite> + Type<Sqlite> + Decode<'v, Postgres> + Type<Postgres>,
    {
        Ok(match self.row {
            Row::Sqlite(row) => row.try_get(column)?,
            Row::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(super) fn corrupt(&self, column: &'static str, why: &'static str) -> StoreError {
        StoreError::Corrupt { table: self.table, column, why }
    }

    /// The sixteen bytes of an id.
    pub(super) fn id(&self, column: &'static str) -> Result<[u8; 16]> {
        self.id_or_null(column)?.ok_or_else(|| self.corrupt(column, "null"))
    }

    pub(super) fn id_or_null(&self, column: &'static str) -> Result<Option<[u8; 16]>> {
        let bytes = self.get::<Option<&[u8]>>(column)?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| self.corrupt(column, "not sixteen bytes"))).transpose()
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String> {
        self.get(column)
    }

    pub(super) fn text_or_null(&self, column: &'static str) -> Result<Option<String>> {
        self.get(column)
    }

    pub(super) fn bytes(&self, column: &'static str) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(self.get::<&[u8]>(column)?))
    }

    pub(super) fn bytes_or_null(&self, column: &'static str) -> Result<Option<Bytes>> {
        Ok(self.get::<Option<&[u8]>>(column)?.map(Bytes::copy_from_slice))
    }

    /// The thirty-two bytes of a SHA-256.
    pub(super) fn digest(&self, column: &'static str) -> Result<[u8; 32]> {
        self.get::<&[u8]>(column)?.try_into().map_err(|_| self.corrupt(column, "not thirty-two bytes"))
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64> {
        self.get(column)
    }

    pub(super) fn int_or_null(&self, column: &'static str) -> Result<Option<i64>> {
        self.get(column)
    }

    /// A number that cannot be negative or huge.
    pub(super) fn count(&self, column: &'static str) -> Result<u32> {
        u32::try_from(self.int(column)?).map_err(|_| self.corrupt(column, "out of range"))
    }

    pub(super) fn instant(&self, column: &'static str) -> Result<Timestamp> {
        Ok(Timestamp::from_micros(self.int(column)?))
    }

    pub(super) fn instant_or_null(&self, column: &'static str) -> Result<Option<Timestamp>> {
        Ok(self.int_or_null(column)?.map(Timestamp::from_micros))
    }

    /// A word that stands for a value of the domain.
    pub(super) fn word<T>(&self, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let word = self.get::<&str>(column)?;
        parse(word).ok_or_else(|| self.corrupt(column, "an unknown word"))
    }
}
