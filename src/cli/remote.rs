//! Commands that ask a running server, over HTTP.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::id::RequestId;
use crate::engine::clock::Clock;
use crate::engine::operator::{self, Remote};

#[derive(Debug, Args)]
pub struct Send {
    /// The type of the event, such as user.created
    r#type: String,
    /// Its data, one JSON value
    #[arg(allow_hyphen_values = true)]
    data: String,
    /// The server; the one these settings describe if none is named
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The tenant whose event it is
    #[arg(long, value_name = "TENANT_ID")]
    tenant: Option<String>,
    /// Say it again under the same name and it still happens once
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The token, or the whole body it came in; - reads it from standard input
    #[arg(allow_hyphen_values = true)]
    token: String,
    /// Where the issuer publishes its keys
    #[arg(long, value_name = "URL")]
    jwks: String,
    /// Who it must be from
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Who it must be for
    #[arg(long)]
    audience: Option<String>,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'a str,
    data: &'a RawValue,
}

/// Publishes an event with the key from SIGNET_API_KEY or SIGNET_ADMIN_KEY.
pub async fn send(clock: &Clock, command: Send, own_server: &str, admin_key: Option<&str>) -> Result<()> {
    let api_key = api_key().or_else(|| admin_key.map(str::to_owned));
    let api_key = api_key.context("put an API key in SIGNET_API_KEY; `signet api-key new` makes one")?;
    let data: &RawValue = serde_json::from_str(&command.data)
        .context("the data is not JSON; quote it for the shell, such as '{\"id\": 42}'")?;
    let json = serde_json::to_string(&Event { r#type: &command.r#type, data })?;
    let name = command.idempotency_key.unwrap_or_else(|| RequestId::from_bytes(clock.id()).to_string());
    let mut headers = vec![("idempotency-key", name.as_str())];
    headers.extend(command.tenant.as_deref().map(|tenant| ("x-tenant-id", tenant)));
    let server = command.server.as_deref().unwrap_or(own_server);
    let answer = Remote::new(server, &api_key)?.post("/v1/events", &headers, json).await?;
    say!("{answer}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a caller's key is no setting of the server")]
fn api_key() -> Option<String> {
    std::env::var("SIGNET_API_KEY").ok().filter(|key| !key.is_empty())
}

/// Prints a token's claims when it is to be trusted.
pub async fn verify(clock: &Clock, command: Verify) -> Result<()> {
    let mut token = command.token;
    if token == "-" {
        token.clear();
        std::io::stdin().read_to_string(&mut token)?;
    }
    let token = token_in(token.trim());
    let jwks = operator::fetch(&command.jwks).await?;
    let (issuer, audience) = (command.issuer.as_deref(), command.audience.as_deref());
    let verified = operator::verify_token(clock, &token, jwks.as_bytes(), issuer, audience)
        .context("the token must not be trusted")?;
    say!("{}", verified.claims);
    note!("verified with {} key {}", verified.algorithm.as_str(), verified.kid);
    Ok(())
}

/// A token as it is, or as a delivery's body holds it.
fn token_in(text: &str) -> String {
    let body: Option<Value> = serde_json::from_str(text).ok();
    body.as_ref().and_then(|body| body.get("token")?.as_str()).unwrap_or(text).to_owned()
}
