//! A receiver that keeps what it gets and answers as it is told.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::until;

/// One request that came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn event(&self) -> String {
        self.member("event")
    }

    pub fn token(&self) -> String {
        self.member("token")
    }

    fn member(&self, name: &str) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body[name].as_str().unwrap().to_owned()
    }

    /// The token's claims, byte for byte; not verified.
    pub fn claims_text(&self) -> String {
        let payload = URL_SAFE_NO_PAD.decode(self.token().split('.').nth(1).unwrap()).unwrap();
        String::from_utf8(payload).unwrap()
    }

    pub fn claims(&self) -> Value {
        serde_json::from_str(&self.claims_text()).unwrap()
    }

    pub fn kid(&self) -> String {
        let header = URL_SAFE_NO_PAD.decode(self.token().split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        header["kid"].as_str().unwrap().to_owned()
    }
}

#[derive(Default)]
struct Shop {
    received: Mutex<Vec<Received>>,
    status: AtomicU16,
    retry_after_seconds: AtomicU64,
    answers_after_ms: AtomicU64,
    json: Mutex<Option<String>>,
    is_holding: watch::Sender<bool>,
    voice: Mutex<Option<Voice>>,
}

/// What a receiver makes of a request.
type Voice = Arc<dyn Fn(&Received) -> (u16, String) + Send + Sync>;

/// A receiver on a port of its own, for as long as its test runs.
pub struct Receiver {
    url: String,
    shop: Arc<Shop>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let shop = Arc::new(Shop { status: AtomicU16::new(200), ..Shop::default() });
        let router = Router::new().route("/hooks", post(receive)).with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shop }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers with this status from now on.
    pub fn answering(&self, status: u16) {
        self.shop.status.store(status, Ordering::SeqCst);
    }

    /// Answers each request with a status and a body of its own from now on.
    pub fn answering_by(&self, voice: impl Fn(&Received) -> (u16, String) + Send + Sync + 'static) {
        *self.shop.voice.lock().unwrap() = Some(Arc::new(voice));
    }

    /// Asks to be left alone for a while, with every answer from now on.
    pub fn asking_to_wait(&self, seconds: u64) {
        self.shop.retry_after_seconds.store(seconds, Ordering::SeqCst);
    }

    /// Takes this long to answer from now on.
    pub fn answering_after(&self, span: Duration) {
        self.shop.answers_after_ms.store(u64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Answers with this JSON from now on.
    pub fn saying(&self, json: &str) {
        *self.shop.voice.lock().unwrap() = None;
        *self.shop.json.lock().unwrap() = Some(json.to_owned());
    }

    /// Answers nobody from now on, until it lets go.
    pub fn holding(&self) {
        self.shop.is_holding.send_replace(true);
    }

    /// Answers, and all that it has held back too.
    pub fn letting_go(&self) {
        self.shop.is_holding.send_replace(false);
    }

    pub fn received(&self) -> Vec<Received> {
        self.shop.received.lock().unwrap().clone()
    }

    /// Waits until this many requests came in, and answers them.
    pub async fn received_when(&self, count: usize) -> Vec<Received> {
        until(async || Some(self.received()).filter(|received| received.len() >= count)).await
    }
}

async fn receive(
    State(shop): State<Arc<Shop>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received { query: query.unwrap_or_default(), headers, body };
    shop.received.lock().unwrap().push(received.clone());
    let wait = shop.answers_after_ms.load(Ordering::SeqCst);
    if wait > 0 {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    // An error would mean that the receiver is gone, and this is the receiver.
    let _ = shop.is_holding.subscribe().wait_for(|is_holding| !is_holding).await;
    let voice = shop.voice.lock().unwrap().clone();
    if let Some(voice) = voice {
        let (status, body) = voice(&received);
        let location = [("location", "/elsewhere")];
        return (StatusCode::from_u16(status).unwrap(), location, body).into_response();
    }
    let status = StatusCode::from_u16(shop.status.load(Ordering::SeqCst)).unwrap();
    let json = shop.json.lock().unwrap().clone();
    match (shop.retry_after_seconds.load(Ordering::SeqCst), json) {
        (0, None) => (status, "as told").into_response(),
        (0, Some(json)) => (status, [("content-type", "application/json")], json).into_response(),
        (seconds, json) => {
            let words = json.unwrap_or_else(|| "later".to_owned());
            (status, [("retry-after", seconds.to_string())], words).into_response()
        }
    }
}
