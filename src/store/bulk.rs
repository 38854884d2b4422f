//! Statements over sets: one per set, never one per row, which would cost four to five times as much.
//!
//! A set is padded to a power of two, so that a handful of prepared statements serves every size. Where rows are
//! inserted the padding is null rows, which the statement leaves out; where they are looked up it is the last row once
//! more, which finds nothing new.

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite};

/// The most rows in one statement: with nine columns still far below SQLite's 32,766 parameters.
const ROWS_MAX: usize = 256;

/// Rows being bound, column by column.
pub(super) type Row<'r> = Separated<'r, Sqlite, &'static str>;

/// Statements of the form `{insert} select column1, … from (values …) where column1 is not null {rest}`.
///
/// `bind` must bind `columns` values for a row, and as many nulls when there is none.
pub(super) fn inserts<T>(
    insert: &'static str,
    columns: usize,
    rows: &[T],
    mut bind: impl FnMut(&mut Row<'_>, Option<&T>),
) -> impl Iterator<Item = QueryBuilder<Sqlite>> {
    let names: Vec<String> = (1..=columns).map(|number| format!("column{number}")).collect();
    let names = names.join(", ");
    rows.chunks(ROWS_MAX).map(move |chunk| {
        let mut query = QueryBuilder::new(format!("{insert} select {names} from ("));
        let padding = chunk.len().next_power_of_two() - chunk.len();
        let padded = chunk.iter().map(Some).chain(std::iter::repeat_n(None, padding));
        query.push_values(padded, |mut row, value| bind(&mut row, value));
        query.push(") where column1 is not null");
        query
    })
}

/// Statements of the form `{before} values …`, for sets that are only looked up.
pub(super) fn lookups<T>(
    before: &'static str,
    rows: &[T],
    mut bind: impl FnMut(&mut Row<'_>, &T),
) -> impl Iterator<Item = QueryBuilder<Sqlite>> {
    rows.chunks(ROWS_MAX).map(move |chunk| {
        let mut query = QueryBuilder::new(before);
        let padding = chunk.len().next_power_of_two() - chunk.len();
        let padded = chunk.iter().chain(chunk.last().into_iter().cycle().take(padding));
        query.push_values(padded, |mut row, value| bind(&mut row, value));
        query
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rows: usize) -> Vec<String> {
        let rows: Vec<i64> = (0..i64::try_from(rows).unwrap()).collect();
        let bind = |row: &mut Row<'_>, value: &i64| {
            row.push_bind(*value);
        };
        lookups("select ", &rows, bind).map(QueryBuilder::into_string).collect()
    }

    #[test]
    fn sets_of_similar_sizes_share_a_statement() {
        assert_eq!(texts(5), texts(8));
        assert_ne!(texts(8), texts(9));
        assert_eq!(texts(300).len(), 2);
        assert_eq!(texts(0).len(), 0);
    }
}
