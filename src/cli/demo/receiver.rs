//! The demo's receiver: what a customer's developer would write, with a cached JWKS and nothing else.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::engine::clock::Clock;
use crate::engine::operator;

/// What the receiver did with a request.
#[derive(Debug)]
pub(super) enum Arrival {
    Verified { attempt: String, event: String, kid: String, data: String },
    Rejected { why: String },
    Failed { attempt: String },
}

/// A receiver that runs until the process ends.
pub(super) struct Receiver(Arc<Shop>);

struct Shop {
    url: String,
    issuer: String,
    clock: Arc<Clock>,
    fails_next: AtomicBool,
    jwks: Mutex<Option<String>>,
    jwks_fetches: AtomicUsize,
    arrivals: mpsc::Sender<Arrival>,
}

#[derive(Deserialize)]
struct Body {
    token: String,
}

#[derive(Deserialize)]
struct Claims {
    evt: String,
    data: Box<RawValue>,
}

impl Receiver {
    pub(super) async fn start(issuer: &str, clock: Arc<Clock>) -> Result<(Self, mpsc::Receiver<Arrival>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the receiver found no free port")?;
        let (arrivals, seen) = mpsc::channel(16);
        let shop = Arc::new(Shop {
            url: format!("http://{}/webhooks", listener.local_addr()?),
            issuer: issuer.to_owned(),
            clock,
            fails_next: AtomicBool::new(false),
            jwks: Mutex::new(None),
            jwks_fetches: AtomicUsize::new(0),
            arrivals,
        });
        let router = Router::new().route("/webhooks", post(receive)).with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((Self(shop), seen))
    }

    pub(super) fn url(&self) -> &str {
        &self.0.url
    }

    pub(super) fn fail_once(&self) {
        self.0.fails_next.store(true, Ordering::SeqCst);
    }

    pub(super) fn jwks_fetches(&self) -> usize {
        self.0.jwks_fetches.load(Ordering::SeqCst)
    }
}

async fn receive(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: String) -> StatusCode {
    let attempt = headers.get("webhook-attempt").and_then(|value| value.to_str().ok()).unwrap_or("?").to_owned();
    let (arrival, status) = if shop.fails_next.swap(false, Ordering::SeqCst) {
        (Arrival::Failed { attempt }, StatusCode::INTERNAL_SERVER_ERROR)
    } else {
        match shop.verify(&body).await {
            Ok((kid, claims)) => {
                let (event, data) = (claims.evt, claims.data.get().to_owned());
                (Arrival::Verified { attempt, event, kid, data }, StatusCode::NO_CONTENT)
            }
            Err(error) => (Arrival::Rejected { why: format!("{error:#}") }, StatusCode::UNAUTHORIZED),
        }
    };
    // The story is over when nobody listens any more.
    let _ = shop.arrivals.send(arrival).await;
    status
}

impl Shop {
    async fn verify(&self, body: &str) -> Result<(String, Claims)> {
        let Body { token } = serde_json::from_str(body).context("the body is not what was promised")?;
        let jwks = self.jwks().await?;
        let verified =
            operator::verify_token(&self.clock, &token, jwks.as_bytes(), Some(&self.issuer), Some(&self.url))?;
        let claims: Claims = serde_json::from_str(&verified.claims)?;
        let told: Value = serde_json::from_str(body)?;
        anyhow::ensure!(told.get("event").and_then(Value::as_str) == Some(&claims.evt), "event and evt differ");
        Ok((verified.kid, claims))
    }

    /// The JWKS, fetched once. A key that is not in it would be rejected: that is the point.
    async fn jwks(&self) -> Result<String> {
        let kept = self.jwks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(jwks) = kept {
            return Ok(jwks);
        }
        let jwks = operator::fetch(&format!("{}/.well-known/jwks.json", self.issuer)).await?;
        self.jwks_fetches.fetch_add(1, Ordering::SeqCst);
        *self.jwks.lock().unwrap_or_else(PoisonError::into_inner) = Some(jwks.clone());
        Ok(jwks)
    }
}
