//! What is forgotten of compiled schemas, and that nothing else is.

use super::*;

#[test]
fn the_schema_that_was_needed_longest_ago_is_forgotten_first() {
    let lazies: Vec<Arc<Lazy>> = (0..3).map(|_| Lazy::of(Bytes::from_static(b"{}"))).collect();
    let mut compiled = Compiled { recent: LruCache::unbounded(), bytes: 0 };
    for lazy in &lazies {
        *lazy.compiled() = Schema::compile(&lazy.text).ok().map(Arc::new);
    }

    // The first is needed again before there is too much.
    for at in [0, 1, 0, 2] {
        compiled.note(&lazies[at], COMPILED_BYTES_MAX / 2);
    }

    let is_kept: Vec<bool> = lazies.iter().map(|lazy| lazy.compiled().is_some()).collect();
    assert_eq!(is_kept, [true, false, true]);
    assert_eq!(compiled.bytes, COMPILED_BYTES_MAX);
}
