//! `/openapi.json` and the pages of `/docs`, which show it. All of it is in the program: nothing is fetched from elsewhere, and
//! the pages are told not to.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use utoipa_swagger_ui::Config;

use super::DOCUMENT;
use crate::api::Api;
use crate::api::page::Path;
use crate::api::problem::Problem;

/// The pages style their elements in place, and draw with pictures that they carry in their style sheets.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Caches ask again after an update.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["/openapi.json"]).validator_url("none").deep_linking(true).try_it_out_enabled(false);
    Arc::new(config)
});

pub(in crate::api) fn routes() -> Router<Api> {
    Router::new()
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(|| async { page("index.html") }))
        .route("/docs/{file}", get(|Path(file): Path<String>| async move { page(&file) }))
}

/// The description itself.
pub(in crate::api) async fn description() -> Response {
    shown(Bytes::from_static(DOCUMENT.as_bytes()), "application/json")
}

fn page(file: &str) -> Result<Response, Problem> {
    let found = utoipa_swagger_ui::serve(file, CONFIG.clone()).map_err(|_| Problem::internal())?;
    let file = found.ok_or_else(Problem::no_route)?;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(shown(bytes, &file.content_type))
}

fn shown(bytes: Bytes, content_type: &str) -> Response {
    let mut response = (StatusCode::OK, Body::from(bytes)).into_response();
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.insert(CACHE_CONTROL, CACHED);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
