//! A server on which a receiver publishes its keys, and which answers as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What it answers.
#[derive(Clone, Default)]
struct Told {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

#[derive(Default)]
struct Shop {
    told: Mutex<Told>,
    asked: AtomicUsize,
    is_holding: watch::Sender<bool>,
}

/// Lives as long as its test.
pub(super) struct Publisher {
    url: String,
    shop: Arc<Shop>,
}

impl Publisher {
    /// One that has nothing to say yet.
    pub(super) async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    pub(super) async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
        let shop = Arc::<Shop>::default();
        let publisher = Self { url, shop: shop.clone() };
        publisher.answering(404, "");
        let router = Router::new().route("/keys.json", get(answer)).with_state(shop);
        tokio::spawn(async move { axum::serve(listener, router).await });
        publisher
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Publishes these keys from now on.
    pub(super) fn publishing(&self, keys: &[Value]) {
        self.answering(200, &json!({"keys": keys}).to_string());
    }

    pub(super) fn answering(&self, status: u16, body: &str) {
        self.answering_with(status, &[], body);
    }

    pub(super) fn answering_with(&self, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        *self.shop.told.lock().unwrap() = Told { status, headers, body: body.to_owned() };
    }

    /// Answers nobody from now on, until it lets go.
    pub(super) fn holding(&self) {
        self.shop.is_holding.send_replace(true);
    }

    pub(super) fn letting_go(&self) {
        self.shop.is_holding.send_replace(false);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.shop.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(shop): State<Arc<Shop>>) -> Response {
    shop.asked.fetch_add(1, Ordering::SeqCst);
    // An error would mean that the publisher is gone, and this is the publisher.
    let _ = shop.is_holding.subscribe().wait_for(|is_holding| !is_holding).await;
    let Told { status, headers, body } = shop.told.lock().unwrap().clone();
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
