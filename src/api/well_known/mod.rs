//! What receivers read to verify tokens and to set themselves up: the JWK Set and the documents of each tenant's issuer. From memory, for
//! everybody, as often as they like.

mod issuer;
mod key_sets;
mod media_type;

use std::collections::HashSet;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::Api;
use super::page::Path;
use super::problem::Problem;
use crate::domain::id::TenantId;
use crate::domain::key_ring::Profile;
use crate::engine::keys::TenantKeys;

pub use key_sets::KeySets;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What key sets and discovery documents are served with.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/.well-known/jwks.json", get(default_jwks).options(preflight))
        .route("/{tenant_id}/.well-known/jwks.json", get(tenant_jwks).options(preflight))
        .route("/.well-known/openid-configuration", get(default_discovery).options(preflight))
        .route("/{tenant_id}/.well-known/openid-configuration", get(tenant_discovery).options(preflight))
        .route("/.well-known/webhook-issuer", get(default_issuer).options(preflight))
        .route("/{tenant_id}/.well-known/webhook-issuer", get(tenant_issuer).options(preflight))
}

async fn default_jwks(State(engine): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let keys = engine.published(engine.default_keys()).ok_or_else(Problem::unavailable)?;
    Ok(key_sets::answered(&keys, &headers))
}

async fn tenant_jwks(
    State(engine): State<Api>,
    Path(tenant_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let keys = engine.published(Some(named(&engine, &tenant_id)?)).ok_or_else(Problem::unavailable)?;
    Ok(key_sets::answered(&keys, &headers))
}

async fn default_discovery(State(engine): State<Api>) -> Result<Response, Problem> {
    let keys = engine.default_keys().ok_or_else(Problem::unavailable)?;
    Ok(discovery(&keys))
}

async fn tenant_discovery(State(engine): State<Api>, Path(tenant_id): Path<String>) -> Result<Response, Problem> {
    Ok(discovery(&*named(&engine, &tenant_id)?))
}

async fn default_issuer(State(engine): State<Api>) -> Result<Response, Problem> {
    let keys = engine.default_keys().ok_or_else(Problem::unavailable)?;
    Ok(issuer::shown(&keys, &engine.terms))
}

async fn tenant_issuer(State(engine): State<Api>, Path(tenant_id): Path<String>) -> Result<Response, Problem> {
    Ok(issuer::shown(&*named(&engine, &tenant_id)?, &engine.terms))
}

fn named(engine: &Api, tenant_id: &str) -> Result<std::sync::Arc<TenantKeys>, Problem> {
    let id = tenant_id.parse::<TenantId>().ok();
    id.and_then(|id| engine.keys_of(id)).ok_or_else(Problem::no_route)
}

#[derive(Serialize)]
struct Discovery<'a> {
    issuer: &'a str,
    jwks_uri: String,
    /// What is published, the algorithm in use first: receivers that configure themselves are ready for a cut-over.
    id_token_signing_alg_values_supported: Vec<&'static str>,
    subject_types_supported: [&'a str; 1],
    response_types_supported: [&'a str; 1],
}

/// The algorithms of what is published, the one in use first.
fn algorithms(keys: &TenantKeys) -> Vec<&'static str> {
    let mut algorithms: Vec<&str> = keys.ring.published().iter().map(|key| key.algorithm.as_str()).collect();
    let mut seen = HashSet::new();
    algorithms.retain(|algorithm| seen.insert(*algorithm));
    algorithms
}

fn discovery(keys: &TenantKeys) -> Response {
    let document = Discovery {
        issuer: &keys.issuer,
        jwks_uri: format!("{}/.well-known/jwks.json", keys.issuer),
        id_token_signing_alg_values_supported: algorithms(keys),
        subject_types_supported: ["public"],
        response_types_supported: ["id_token"],
    };
    published(&document, keys)
}

/// A document about an issuer: its caches may keep it for as long as they keep the keys.
fn published(document: &impl Serialize, keys: &TenantKeys) -> Response {
    let mut response = Response::new(Body::from(serde_json::to_vec(document).unwrap_or_default()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    open_to_all(response.headers_mut(), keys.policy.profile());
    response
}

async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("accept, if-none-match"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Browsers may read it from anywhere, caches may keep it.
fn open_to_all(headers: &mut HeaderMap, profile: Profile) {
    let cache = format!(
        "public, max-age={}, stale-while-revalidate={}, stale-if-error={}",
        profile.jwks_max_age().as_secs(),
        profile.jwks_stale_while_revalidate().as_secs(),
        profile.jwks_stale_if_error().as_secs(),
    );
    if let Ok(cache) = HeaderValue::from_str(&cache) {
        headers.insert(CACHE_CONTROL, cache);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
}
