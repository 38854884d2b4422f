//! `Idempotency-Key`: what its caller calls a request, so that asking twice does once.
//!
//! Routes that publish events write the key in the transaction of the events. All others go through [`once`], which the
//! table of routes puts around them.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::Api;
use super::body::unread;
use super::caller::Asker;
use super::problem::Problem;
use crate::domain::access::Scope;
use crate::engine::idempotency::{Admission, Answer, Asked};
use crate::store::answers::Claim;

const NAME: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
pub(super) const KEY_CHARS_MAX: usize = 255;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// No answer is larger, and an answer is in memory already.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The caller's name for a request, bare or as a structured-field string.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid_one("Idempotency-Key", "stands there more than once"));
    }
    let text = value.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || key.len() > KEY_CHARS_MAX {
        let wanted = format!("is 1 to {KEY_CHARS_MAX} visible ASCII characters");
        return Err(Problem::invalid_one("Idempotency-Key", wanted));
    }
    Ok(Some(key))
}

/// Marks an answer that was given before.
pub(super) fn marked(replayed: bool, mut response: Response) -> Response {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Carries a request out, or answers what the same was answered before.
pub(super) async fn once(engine: Api, scope: Scope, request: Request, next: Next) -> Result<Response, Problem> {
    if !request.headers().contains_key(NAME) {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    // Whoever may not ask learns nothing of names.
    let asker = Asker::of(&parts, &engine, scope).await?;
    asker.keep(&mut parts);
    let key = key(&parts.headers)?.unwrap_or_default().to_owned();
    let route = format!("{} {}", parts.method, parts.uri.path());
    let asked = Asked { tenant_id: asker.tenant_id, route, key };
    let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &engine).await.map_err(unread)?;
    let asks_for = [parts.uri.query().unwrap_or_default().as_bytes(), b"\n", &body].concat();
    match engine.admit(&asked, &asks_for).await? {
        Admission::Answered(answer) => shown(answer),
        Admission::Claimed(claim) => {
            let request = Request::from_parts(parts, Body::from(body));
            // On its own, so that it ends and its answer is kept also when the caller has hung up: that caller will ask again.
            let work = tokio::spawn(answered(engine.clone(), claim, request, next));
            match work.await {
                Ok(response) => Ok(response),
                Err(panicked) => {
                    engine.release_claim(&claim).await;
                    tracing::error!(error = &panicked as &dyn std::error::Error, "a handler panicked");
                    Err(Problem::internal())
                }
            }
        }
    }
}

/// Carries a request out and keeps what it is answered. What was refused or failed has changed nothing, and is tried anew.
async fn answered(engine: Api, claim: Claim, request: Request, next: Next) -> Response {
    let response = engine.holding(&claim, next.run(request)).await;
    if !response.status().is_success() {
        engine.release_claim(&claim).await;
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return axum::response::IntoResponse::into_response(Problem::internal());
    };
    engine.keep_answer(&claim, parts.status.as_u16(), &body).await;
    Response::from_parts(parts, Body::from(body))
}

fn shown(answer: Answer) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(answer.status).map_err(|_| Problem::internal())?;
    let is_empty = answer.body.is_empty();
    let mut response = Response::new(Body::from(answer.body.to_vec()));
    *response.status_mut() = status;
    if !is_empty {
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    Ok(marked(true, response))
}
