//! Statements over sets: one per set, never one per row, which would cost four to five times as much.

/// The most rows in one statement: with nine columns still far below SQLite's 32,766 parameters.
const ROWS_MAX: usize = 128;

/// Cuts rows into runs whose lengths are powers of two, longest first, so that a handful of prepared statements serves
/// every size of set.
pub(super) fn runs<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = ROWS_MAX.min(1 << rest.len().ilog2());
        let (run, after) = rest.split_at(length);
        rest = after;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_cut_into_powers_of_two_that_hold_all_of_it() {
        let rows: Vec<u32> = (0..300).collect();

        let lengths: Vec<usize> = runs(&rows).map(<[u32]>::len).collect();
        let whole: Vec<u32> = runs(&rows).flatten().copied().collect();

        assert_eq!(lengths, [128, 128, 32, 8, 4]);
        assert_eq!(whole, rows);
        assert_eq!(runs::<u32>(&[]).count(), 0);
    }
}
