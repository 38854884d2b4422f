//! What the operator's commands ask of a running server, over HTTP like everybody else.

use super::clock::Clock;
use crate::domain::secret::Secret;
use crate::egress::{EgressError, Fetched, OperatorClient};
use crate::signing::{Expected, Rejection, Verified, verify};

/// A command that asks a server did not get its answer.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error(transparent)]
    Client(#[from] EgressError),
    #[error("no answer from {url}; is a server running there?")]
    Unreachable { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{url} answered {status_code}: {body}")]
    Refused { url: String, status_code: u16, body: String },
}

/// A server that runs somewhere, and the key to it.
pub struct Remote {
    base: String,
    api_key: Secret<String>,
    client: OperatorClient,
}

impl Remote {
    pub fn new(base: &str, api_key: &str) -> Result<Self, OperatorError> {
        let api_key = Secret::new(api_key.to_owned());
        Ok(Self { base: base.trim_end_matches('/').to_owned(), api_key, client: OperatorClient::new()? })
    }

    /// Posts JSON to a path; answers the body of a 2xx.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        json: String,
    ) -> Result<String, OperatorError> {
        let url = format!("{}{path}", self.base);
        let answer = self.client.post_json(&url, self.api_key.reveal(), headers, json).await;
        body_of(url, answer)
    }
}

/// What is at a URL, such as a JWK Set.
pub async fn fetch(url: &str) -> Result<String, OperatorError> {
    let answer = OperatorClient::new()?.get(url).await;
    body_of(url.to_owned(), answer)
}

fn body_of<E>(url: String, answer: Result<Fetched, E>) -> Result<String, OperatorError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            match answer.status_code {
                200..=299 => Ok(body),
                status_code => Err(OperatorError::Refused { url, status_code, body }),
            }
        }
        Err(source) => Err(OperatorError::Unreachable { url, source: Box::new(source) }),
    }
}

/// Verifies a token as a receiver does, at the clock's now.
pub fn verify_token(
    clock: &Clock,
    token: &str,
    jwks: &[u8],
    issuer: Option<&str>,
    audience: Option<&str>,
) -> Result<Verified, Rejection> {
    verify(token, jwks, &Expected { issuer, audience, now: clock.now() })
}
