//! The API as the bench uses it: requests are made once as bytes and written many times over kept-alive connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::Failure;
use crate::wire::Messages;

/// Where the server under test listens, and what it lets in.
#[derive(Clone)]
pub struct Api {
    pub address: SocketAddr,
    pub admin_key: &'static str,
    /// Whom requests are for; nothing means the first tenant.
    pub tenant: Option<Arc<str>>,
}

/// One kept-alive connection; one request at a time.
pub struct Connection(Messages);

pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Api {
    /// A whole request for publishing an event of this type, with a payload of `payload_bytes`.
    pub fn event_request(&self, event_type: &str, payload_bytes: usize) -> Vec<u8> {
        let body = json!({"type": event_type, "data": payload(payload_bytes)});
        self.request("POST", "/v1/events", &body.to_string())
    }

    /// A whole request for publishing so many events of this type at once, each with next to no payload.
    pub fn batch_request(&self, event_type: &str, events: u64) -> Vec<u8> {
        let event = |number: u64| json!({"type": event_type, "data": {"number": number}});
        let body = json!({"events": (0..events).map(event).collect::<Vec<Value>>()});
        self.request("POST", "/v1/events/batch", &body.to_string())
    }

    pub fn key_set_request(&self) -> Vec<u8> {
        self.request("GET", "/.well-known/jwks.json", "")
    }

    /// A webhook for each URL and what it subscribes to.
    pub async fn register(&self, webhooks: impl Iterator<Item = (String, &str)>) -> Result<(), Failure> {
        let mut connection = self.connect().await?;
        for (url, subscription) in webhooks {
            let body = json!({"url": url, "events": [subscription]});
            let request = self.request("POST", "/v1/webhooks", &body.to_string());
            let answer = connection.exchange(&request).await?;
            if answer.status != 201 {
                return Err(format!("webhook not registered: {answer}").into());
            }
        }
        Ok(())
    }

    /// The same server on behalf of a tenant that it did not have before.
    pub async fn with_tenant(&self, name: &str) -> Result<Self, Failure> {
        let request = self.request("POST", "/v1/admin/tenants", &json!({"name": name}).to_string());
        let mut connection = self.connect().await?;
        let answer = connection.exchange(&request).await?;
        let tenant: Option<Value> = serde_json::from_slice(answer.body).ok();
        match tenant.as_ref().and_then(|tenant| tenant.get("id")).and_then(Value::as_str) {
            Some(id) if answer.status == 201 => Ok(Self { tenant: Some(id.into()), ..self.clone() }),
            _ => Err(format!("tenant not made: {answer}").into()),
        }
    }

    pub async fn is_healthy(&self) -> bool {
        let request = self.request("GET", "/healthz", "");
        let Ok(mut connection) = self.connect().await else {
            return false;
        };
        let answer = connection.exchange(&request).await;
        answer.is_ok_and(|answer| answer.status == 200)
    }

    pub async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        Ok(Connection(Messages::new(stream)?))
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let Self { address, admin_key, tenant } = self;
        let length = body.len();
        let tenant = tenant.as_ref().map(|id| format!("x-tenant-id: {id}\r\n")).unwrap_or_default();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {admin_key}\r\n\
             {tenant}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Connection {
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.0.write(request).await?;
        let message = self.0.next().await?.ok_or(io::ErrorKind::ConnectionAborted)?;
        let status = message.word(1).and_then(|word| word.parse().ok());
        Ok(Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, body: message.body })
    }
}

impl std::fmt::Display for Answer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(self.body);
        write!(formatter, "{} {}", self.status, body.trim())
    }
}

/// A user as an identity provider would send one, filled up to exactly `bytes` of JSON.
fn payload(bytes: usize) -> Value {
    let user = |about: String| {
        json!({
            "id": "usr_01JZ8Q4W6M3T9V2K7R5X0Y1B8C",
            "email": "grace.hopper@example.com",
            "email_verified": true,
            "name": {"given": "Grace", "family": "Hopper"},
            "groups": ["engineering", "navy", "compilers"],
            "created_at": "2025-11-03T09:14:27.113Z",
            "sign_ins": 1906,
            "about": about,
        })
    };
    let bare = user(String::new()).to_string().len();
    let words = "It is easier to ask forgiveness than it is to get permission. ";
    let about = words.chars().cycle().take(bytes.saturating_sub(bare));
    user(about.collect())
}
