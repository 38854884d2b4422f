//! Which of its two media types a key set is shown under. Some receivers refuse the registered one, so it is for those
//! alone who prefer it.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether `application/jwk-set+json` is wanted more than plain JSON (RFC 9110 12.5.1).
pub(super) fn prefers_jwk_set(asked: &HeaderMap) -> bool {
    asked.contains_key(ACCEPT) && quality(asked, "application/jwk-set+json") > quality(asked, "application/json")
}

/// How much a media type is wanted, from 0 to 1. Of the ranges that cover it, the narrowest decides.
fn quality(asked: &HeaderMap, media_type: &str) -> f32 {
    let lists = asked.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let covering = lists.flat_map(|list| list.split(',')).filter_map(|range| {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        let narrowness = match name.trim() {
            "*/*" => 1,
            name if name.eq_ignore_ascii_case("application/*") => 2,
            name if name.eq_ignore_ascii_case(media_type) => 3,
            _ => return None,
        };
        let weight = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok())?
        });
        Some((narrowness, weight.unwrap_or(1.0)))
    });
    covering.max_by_key(|(narrowness, _)| *narrowness).map_or(0.0, |(_, weight)| weight)
}
