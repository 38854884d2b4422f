//! A receiver that keeps accounts of a long run: for every event that was told, under which ids it came, whether its
//! tokens verify, and when it was acknowledged. It keeps no bodies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use signet::engine::clock::{Clock, Stopwatch};
use signet::signing::{Expected, verify};
use tokio::net::TcpListener;

/// One in so many first attempts is answered with a failure, so that retries are under way at any instant.
const REFUSED_ONE_IN: u64 = 100;

/// What is known of one event at one of the receiver's doors.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Every `webhook-id` under which it came.
    pub event_ids: BTreeSet<String>,
    pub refused: u32,
    pub acknowledged: u32,
    /// When it was acknowledged first, counted from the start of the ledger.
    pub acknowledged_at: Duration,
}

/// A door and the id that the publisher wrote into the event's data.
pub type Name = (String, String);

#[derive(Default)]
struct Book {
    accounts: BTreeMap<Name, Account>,
    first_attempts: u64,
    faults: Vec<String>,
}

struct Desk {
    book: Mutex<Book>,
    url: String,
    jwks: OnceLock<Vec<u8>>,
    clock: Clock,
    started: Stopwatch,
}

pub struct Ledger(Arc<Desk>);

impl Ledger {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = Clock::system();
        let started = clock.stopwatch();
        let desk = Arc::new(Desk { book: Mutex::default(), url, jwks: OnceLock::new(), clock, started });
        let router = Router::new().route("/{door}", post(receive)).with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self(desk)
    }

    /// The callback URL of one of its doors.
    pub fn url(&self, door: &str) -> String {
        format!("{}/{door}", self.0.url)
    }

    /// Tells which keys tokens must verify with. Nothing may arrive before.
    pub fn trust(&self, jwks: &str) {
        self.0.jwks.set(jwks.as_bytes().to_vec()).unwrap();
    }

    /// How long it has been open.
    pub fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Everything that arrived.
    pub fn accounts(&self) -> BTreeMap<Name, Account> {
        self.0.book.lock().unwrap().accounts.clone()
    }

    /// Which of these have not been acknowledged.
    pub fn missing(&self, names: impl Iterator<Item = Name>) -> Vec<Name> {
        let book = self.0.book.lock().unwrap();
        let is_missing = |name: &Name| book.accounts.get(name).is_none_or(|account| account.acknowledged == 0);
        names.filter(is_missing).collect()
    }

    /// What was wrong with single requests.
    pub fn faults(&self) -> Vec<String> {
        self.0.book.lock().unwrap().faults.clone()
    }
}

async fn receive(
    State(desk): State<Arc<Desk>>,
    Path(door): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap_or_default());
    let read = desk.read(&door, header("webhook-id"), &body);
    let mut book = desk.book.lock().unwrap();
    let name = match read {
        Ok(name) => name,
        Err(fault) => {
            book.faults.push(fault);
            return StatusCode::BAD_REQUEST;
        }
    };
    let is_first_attempt = header("webhook-attempt") == "1";
    book.first_attempts += u64::from(is_first_attempt);
    let is_refused = is_first_attempt && book.first_attempts.is_multiple_of(REFUSED_ONE_IN);
    let account = book.accounts.entry((door, name)).or_default();
    account.event_ids.insert(header("webhook-id").to_owned());
    if is_refused {
        account.refused += 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    if account.acknowledged == 0 {
        account.acknowledged_at = desk.started.elapsed();
    }
    account.acknowledged += 1;
    StatusCode::OK
}

impl Desk {
    /// The name that the publisher gave to the event, if the request is what it should be.
    fn read(&self, door: &str, event_id: &str, body: &[u8]) -> Result<String, String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let token = body["token"].as_str().ok_or("there is no token")?;
        let jwks = self.jwks.get().ok_or("nobody is trusted yet")?;
        let audience = format!("{}/{door}", self.url);
        let expected = Expected { issuer: None, audience: Some(&audience), now: self.clock.now() };
        let verified = verify(token, jwks, &expected).map_err(|rejection| rejection.to_string())?;
        let claims: Value = serde_json::from_str(&verified.claims).map_err(|error| error.to_string())?;
        if claims["jti"] != event_id {
            return Err(format!("jti {} came with webhook-id {event_id}", claims["jti"]));
        }
        claims["data"]["id"].as_str().map(str::to_owned).ok_or_else(|| format!("no name in {claims}"))
    }
}
