//! What the tests speak with: a service with a clock that they move, and receivers that answer as they are told.

mod asking;
pub mod database;
pub mod installation;
pub mod ledger;
#[cfg(target_os = "linux")]
pub mod memory;
pub mod name_server;
mod receiver;
pub mod road;
pub mod search;
pub mod tls;
pub mod token;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use signet::app::Server;
use signet::config::{self, Flags};
use signet::domain::time::Timestamp;
use signet::engine::clock::Clock;
use tempfile::TempDir;
use tokio::task::{JoinSet, LocalSet};

pub use receiver::{Received, Receiver};

/// The key that every test's operator has chosen.
pub const ADMIN_KEY: &str = "an-operators-key-of-more-than-32-characters";

/// The bound on waiting for what happens by itself. It is never reached by a test that passes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A whole service in this process, on a database of its own, with a clock that stands still.
pub struct Service {
    server: Server,
    client: Client,
    variables: Variables,
    folder: Arc<TempDir>,
}

/// An environment, name by name.
type Variables = Vec<(String, String)>;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Service {
    /// A service whose clock stands at noon on a day in March.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with more in its environment.
    pub async fn start_with(environment: &[(&str, &str)]) -> Self {
        let (folder, variables) = environment_of_a_test(database::fresh, environment);
        Self::start_in(folder, variables).await
    }

    /// Another node on the database of this one, under the same public URL and the same master key.
    pub async fn beside(&self) -> Self {
        self.beside_with(&[]).await
    }

    /// The same, with more in its environment.
    pub async fn beside_with(&self, environment: &[(&str, &str)]) -> Self {
        let mut variables = self.variables.clone();
        set(&mut variables, &[("SIGNET_PUBLIC_URL", self.url())]);
        set(&mut variables, environment);
        Self::start_in(self.folder.clone(), variables).await
    }

    /// The same installation, stopped and started again with more in its environment. Its clock starts again too.
    pub async fn restarted_with(self, environment: &[(&str, &str)]) -> Self {
        let mut variables = self.variables;
        set(&mut variables, environment);
        self.server.stop().await;
        Self::start_in(self.folder, variables).await
    }

    /// Several nodes that start at the same time on one empty database, which is PostgreSQL.
    pub async fn start_together(count: usize, environment: &[(&str, &str)]) -> Vec<Self> {
        let (folder, variables) = environment_of_a_test(|_| database::fresh_postgres(), environment);
        let (local, mut starting) = (LocalSet::new(), JoinSet::new());
        for _ in 0..count {
            starting.spawn_local_on(Self::start_in(folder.clone(), variables.clone()), &local);
        }
        local.run_until(starting.join_all()).await
    }

    async fn start_in(folder: Arc<TempDir>, variables: Variables) -> Self {
        // Nodes that threw the same dice would give the same ids.
        static SEEDS: AtomicU64 = AtomicU64::new(1);
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let config = config::parse(&Flags::new(), of, "signet.toml", "").unwrap();
        let noon = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let clock = Clock::simulated(noon, SEEDS.fetch_add(1, Ordering::SeqCst));
        let server = Server::start(&config, clock).await.unwrap();
        Self { server, client: Client::builder().no_proxy().build().unwrap(), variables, folder }
    }

    pub fn url(&self) -> &str {
        self.server.url()
    }

    pub fn now(&self) -> Timestamp {
        self.server.engine().clock.now()
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Moves the clock on.
    pub fn after(&self, span: Duration) {
        self.server.engine().clock.advance(span);
    }

    /// Moves the clock on once the span that passes is measured from before it does: what nodes count together, they count
    /// from the moment at which they saw the count stand.
    pub async fn pass(&self, span: Duration) {
        let (engine, mut last) = (self.server.engine(), None);
        until(async || {
            engine.step_all_rings().await.ok()?;
            let count = engine.situation().await.ok()?.service_time;
            (last.replace(count) == Some(count)).then_some(())
        })
        .await;
        self.after(span);
    }

    /// A request as the operator.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url())).bearer_auth(ADMIN_KEY)
    }

    /// A request as nobody.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url()))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    pub async fn post_text(&self, path: &str, body: &str) -> Answer {
        send(with_json(self.request(Method::POST, path), body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(with_json(self.request(Method::PATCH, path), &body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Registers a webhook and answers its id.
    pub async fn webhook(&self, receiver: &Receiver, events: &[&str]) -> String {
        let answer = self.post("/v1/webhooks", &json!({"url": receiver.url(), "events": events})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Publishes an event and answers its id.
    pub async fn event(&self, event_type: &str) -> String {
        let answer = self.post("/v1/events", &json!({"type": event_type, "data": {"id": 42}})).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a delivery has this status, and answers it with its log.
    pub async fn delivery_when(&self, webhook: &str, event: &str, status: &str) -> Value {
        let path = format!("/v1/webhooks/{webhook}/deliveries/{event}");
        until(async || {
            let delivery = self.get(&path).await.json();
            (delivery["status"] == status).then_some(delivery)
        })
        .await
    }

    /// Every byte that the database holds.
    pub async fn database_bytes(&self) -> Vec<u8> {
        database::bytes(self.variable("SIGNET_DATABASE_URL")).await
    }

    /// Changes the database behind the server's back.
    pub async fn tamper(&self, statements: &str) {
        database::tamper(self.variable("SIGNET_DATABASE_URL"), statements).await;
    }

    /// The same with one statement; answers how many rows it changed.
    pub async fn tamper_rows(&self, statement: &str) -> u64 {
        database::execute(self.variable("SIGNET_DATABASE_URL"), statement).await
    }

    /// The file that it keeps its master keys in.
    pub fn master_key_file(&self) -> &Path {
        Path::new(self.variable("SIGNET_MASTER_KEY_FILE"))
    }

    fn variable(&self, name: &str) -> &str {
        &self.variables.iter().find(|(known, _)| known == name).unwrap().1
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// What a test's servers are told, and the folder where they keep their files.
fn environment_of_a_test(
    fresh: impl FnOnce(&Path) -> String,
    environment: &[(&str, &str)],
) -> (Arc<TempDir>, Variables) {
    let folder = tempfile::tempdir().unwrap();
    let mut variables = Variables::new();
    let usual = [
        ("SIGNET_LISTEN", "127.0.0.1:0"),
        ("SIGNET_DATABASE_URL", &fresh(folder.path())),
        ("SIGNET_MASTER_KEY_FILE", &folder.path().join("master.key").display().to_string()),
        ("SIGNET_ADMIN_KEY", ADMIN_KEY),
        ("SIGNET_EGRESS_ALLOW", "127.0.0.0/8"),
        ("SIGNET_ALLOW_HTTP", "true"),
    ];
    set(&mut variables, &usual);
    set(&mut variables, environment);
    (Arc::new(folder), variables)
}

/// Sets variables, instead of what they were before.
fn set(variables: &mut Variables, environment: &[(&str, &str)]) {
    for (name, value) in environment {
        variables.retain(|(known, _)| known != name);
        variables.push(((*name).to_owned(), (*value).to_owned()));
    }
}

/// Sends a request as it is.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// Gives a request a JSON body.
pub fn with_json(request: RequestBuilder, body: &str) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_owned())
}

/// Asks again and again until there is an answer. Only for what happens by itself.
pub async fn until<T>(ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, ask).await.expect("what was waited for has not happened")
}

/// The same for this long; `None` when there was no answer.
pub async fn within<T>(span: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(span, asking).await.ok()
}
