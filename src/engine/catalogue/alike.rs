//! Names that somebody may have meant who wrote another.

/// Names that are suggested instead of an unknown one.
const NEAREST_MAX: usize = 3;
/// How alike they must be, of 1.
const ALIKE_MIN: f64 = 0.75;

/// The names that are like this one, the most alike first.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut alike: Vec<(f64, &str)> =
        names.into_iter().map(|known| (strsim::jaro_winkler(name, known), known)).collect();
    alike.retain(|(likeness, _)| *likeness >= ALIKE_MIN);
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    alike.into_iter().take(NEAREST_MAX).map(|(_, known)| known.to_owned()).collect()
}
