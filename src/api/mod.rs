//! What is asked: JSON over HTTP, inward.
//!
//! A handler is parse, act, show. Extractors refuse what cannot be parsed before a handler runs: who is asking
//! ([`caller`]), what they say ([`body`]), which page they want ([`page`]). Everything that goes wrong becomes one
//! [`problem::Problem`], and one table there chooses its status and words.

mod allowance;
mod body;
mod caller;
mod idempotency;
mod openapi;
mod page;
mod problem;
mod v1;
mod well_known;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutBody;

use crate::domain::id::RequestId;
use crate::engine::Engine;
use allowance::Told;
use openapi::{Answer, Described};
use problem::Problem;

pub use openapi::DOCUMENT;
pub use v1::{ROUTES, Route};
pub use well_known::KeySets;

/// What counts are written in.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const METRICS_EXAMPLE: &str =
    "# TYPE signet_hook_executions counter\nsignet_hook_executions_total{hook=\"jwt\",outcome=\"amended\"} 1\n# EOF\n";

/// What every handler works with.
pub type Api = Arc<Engine>;

/// How long a request's body may pause.
const BODY_PAUSES_FOR: Duration = Duration::from_secs(15);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What everybody may read.
struct Public {
    path: &'static str,
    handler: MethodRouter<Api>,
    described: Described,
}

/// Every route there is.
pub fn router(engine: Arc<Engine>) -> Router {
    let public = public().into_iter().fold(Router::new(), |router, public| router.route(public.path, public.handler));
    whole(public.merge(openapi::routes()).merge(v1::routes(&engine)), engine)
}

fn public() -> Vec<Public> {
    let health = Described::new("health", "Whether the process answers", "Says nothing of the database or the keys.")
        .answers_text(Answer::ok("It does.").of_type("text/plain; charset=utf-8"), "ok\n");
    let readiness = Described::new(
        "readiness",
        "Whether events would be accepted and delivered",
        "The database can be written, and there is a key with which this node may sign.",
    )
    .answers_text(Answer::ok("They would.").of_type("text/plain; charset=utf-8"), "ready\n")
    .refuses([Problem::unavailable()]);
    let counts = Described::new(
        "metrics",
        "Counts, as Prometheus reads them",
        "Those of this node since it was started: of questions to hooks by kind and outcome, and how long they took. They name no tenant.",
    )
    .answers_text(Answer::ok("OpenMetrics 1.0.").of_type(OPEN_METRICS), METRICS_EXAMPLE);
    let description =
        Described::new("description", "This description", "`/docs/` shows it to people.")
            .answers::<openapi::shapes::Description>(Answer::ok("OpenAPI 3.1."), json!({"openapi": "3.1.0"}), &[]);
    let mut public = vec![
        Public { path: "/healthz", handler: get(healthz), described: health },
        Public { path: "/readyz", handler: get(readyz), described: readiness },
        Public { path: "/metrics", handler: get(metrics), described: counts },
        Public { path: "/openapi.json", handler: get(openapi::description), described: description },
    ];
    public.extend(well_known::public());
    public
}

/// Routes with all that is around them: whatever goes wrong there, is not there or panics is answered by a problem.
pub fn whole(routes: Router<Arc<Engine>>, engine: Arc<Engine>) -> Router {
    routes
        .fallback(|| async { Problem::no_route() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(engine.clone(), finish))
        .with_state(engine)
}

/// Names the request, bounds how long its body pauses, and writes down a problem with that name.
async fn finish(State(engine): State<Api>, request: Request, next: Next) -> Response {
    let mut request = request.map(|body| Body::new(TimeoutBody::new(BODY_PAUSES_FOR, body)));
    let id = RequestId::from_bytes(engine.clock.id());
    // For who tells others by which name they are asked.
    request.extensions_mut().insert(id);
    let id = id.to_string();
    let told = engine.terms.quota.map(|_| Told::default());
    if let Some(told) = &told {
        request.extensions_mut().insert(told.clone());
    }
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.written(&id);
    }
    if let Some(told) = told {
        told.show(response.headers_mut());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}

/// What operators count.
async fn metrics(State(engine): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, OPEN_METRICS)], engine.metrics())
}

/// Whether the process answers at all.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether events would be accepted and delivered now: the database can be written, and there is a key with which this node
/// may sign.
async fn readyz(State(engine): State<Api>) -> Result<&'static str, Problem> {
    engine.store.check().await?;
    match engine.default_keys() {
        Some(keys) if keys.ring.active().is_some() && engine.regain_leave_to_sign().await => Ok("ready\n"),
        _ => Err(Problem::unavailable()),
    }
}
