//! What receivers read to verify tokens and to set themselves up: the JWK Set and the documents of each tenant's issuer. From memory, for
//! everybody, as often as they like.

mod issuer;
mod key_sets;
mod media_type;

use std::collections::HashSet;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::openapi::{Answer, Described, shapes};
use super::page::Path;
use super::problem::Problem;
use super::{Api, Public};
use crate::domain::id::TenantId;
use crate::domain::key_ring::Profile;
use crate::engine::keys::TenantKeys;

pub use key_sets::KeySets;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What key sets and discovery documents are served with.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The documents, for the default tenant and below each issuer.
pub(super) fn public() -> Vec<Public> {
    type Handlers = [MethodRouter<Api>; 2];
    let both = |paths: [&'static str; 2], handlers: Handlers, described: [Described; 2]| {
        let [default, named] = described;
        let named = named.path::<shapes::TenantId>("tenant_id", "Whose.").refuses([Problem::no_route()]);
        let all = paths.into_iter().zip(handlers).zip([default, named]);
        all.map(|((path, handler), described)| Public { path, handler: handler.options(preflight), described })
    };
    let jwks = ["/.well-known/jwks.json", "/{tenant_id}/.well-known/jwks.json"];
    let discovery = ["/.well-known/openid-configuration", "/{tenant_id}/.well-known/openid-configuration"];
    let issuer = ["/.well-known/webhook-issuer", "/{tenant_id}/.well-known/webhook-issuer"];
    both(jwks, [get(default_jwks), get(tenant_jwks)], ["jwks", "jwksOfTenant"].map(describe_jwks))
        .chain(both(
            discovery,
            [get(default_discovery), get(tenant_discovery)],
            ["openidConfiguration", "openidConfigurationOfTenant"].map(describe_discovery),
        ))
        .chain(both(
            issuer,
            [get(default_issuer), get(tenant_issuer)],
            ["webhookIssuer", "webhookIssuerOfTenant"].map(issuer::described),
        ))
        .collect()
}

fn describe_jwks(id: &str) -> Described {
    let example = json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }]});
    Described::new(
        id,
        "The public keys (RFC 7517)",
        "What tokens are verified against. Keys stand here long before they sign. May be cached for as long as `Cache-Control` says.",
    )
    .answers::<shapes::KeySet>(Answer::ok("The key set."), example, &[])
    .answers_nothing(StatusCode::NOT_MODIFIED, "The caller has it: `If-None-Match` named its `ETag`.")
    .refuses([Problem::unavailable()])
}

fn describe_discovery(id: &str) -> Described {
    let example = json!({
        "issuer": "https://signet.example.com", "jwks_uri": "https://signet.example.com/.well-known/jwks.json",
        "id_token_signing_alg_values_supported": ["ES256"], "subject_types_supported": ["public"], "response_types_supported": ["id_token"],
    });
    let words = "The part of OpenID Connect Discovery 1.0 by which libraries find the keys by themselves.";
    Described::new(id, "Where the keys are, as OpenID Connect says it", words)
        .answers::<Discovery>(Answer::ok("The document."), example, &[])
        .refuses([Problem::unavailable()])
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

#[derive(Serialize, ToSchema)]
struct Discovery<'a> {
    #[schema(value_type = shapes::Url)]
    issuer: &'a str,
    #[schema(value_type = shapes::Url)]
    jwks_uri: String,
    /// What is published, the algorithm in use first: receivers that configure themselves are ready for a cut-over.
    #[schema(value_type = Vec<shapes::Algorithm>)]
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
