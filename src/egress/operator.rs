//! Requests that the operator makes with a command, to a server of the operator's choice. No address is refused.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};

use super::ways::{AGENT, EgressError};

/// A command does not hang longer than this.
const BUDGET: Duration = Duration::from_secs(30);

/// What the server answered.
pub struct Fetched {
    pub status_code: u16,
    pub body: Vec<u8>,
}

/// A plain HTTP client for commands.
pub struct OperatorClient(Client);

impl OperatorClient {
    pub fn new() -> Result<Self, EgressError> {
        Client::builder().timeout(BUDGET).user_agent(AGENT).build().map(Self).map_err(EgressError::Operator)
    }

    pub async fn get(&self, url: &str) -> Result<Fetched, reqwest::Error> {
        Self::fetched(self.0.get(url).send().await?).await
    }

    /// Posts JSON with an API key and further headers.
    pub async fn post_json(
        &self,
        url: &str,
        api_key: &str,
        headers: &[(&'static str, &str)],
        json: String,
    ) -> Result<Fetched, reqwest::Error> {
        let mut request = self.0.post(url).header(CONTENT_TYPE, "application/json");
        request = request.header(AUTHORIZATION, format!("Bearer {api_key}"));
        for (name, value) in headers {
            request = request.header(HeaderName::from_static(name), *value);
        }
        Self::fetched(request.body(json).send().await?).await
    }

    async fn fetched(response: reqwest::Response) -> Result<Fetched, reqwest::Error> {
        Ok(Fetched { status_code: response.status().as_u16(), body: response.bytes().await?.to_vec() })
    }
}
