//! The whole story in a few seconds: deliver, fail, rotate the key, retry, verify.
//!
//! Nothing is pretended: a real server on a throw-away database, a real receiver that knows nothing but the JWKS URL,
//! and HTTP between them.

mod receiver;

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::engine::clock::Clock;
use crate::engine::operator::{OperatorError, Remote};
use receiver::{Arrival, Receiver};

const BOLD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// The first retry comes 5 to 6 s after the failure; anything later has gone wrong.
const ARRIVES_WITHIN: Duration = Duration::from_secs(15);

/// Where the story takes place.
pub struct Stage {
    pub server_url: String,
    pub api_key: String,
}

/// What is counted for the last line.
#[derive(Default)]
struct Score {
    verified: usize,
    kids: Vec<String>,
}

/// Tells the story. An error means that something was not verified.
pub async fn run(stage: &Stage) -> Result<()> {
    let clock = std::sync::Arc::new(Clock::system());
    let remote = Remote::new(&stage.server_url, &stage.api_key)?;
    let (receiver, mut arrivals) = Receiver::start(&stage.server_url, clock.clone()).await?;
    say!("{BOLD}A server{BOLD:#} is running at {}", stage.server_url);
    say!("{BOLD}A receiver{BOLD:#} is running at {}; all it knows is the JWKS URL", receiver.url());

    let webhook = post(&remote, "/v1/webhooks", &json!({"url": receiver.url(), "events": ["user"]})).await?;
    say!("\nRegistered {} for \"user\" and everything beneath it.", text(&webhook, "id")?);
    let mut score = Score::default();
    for (name, data) in [
        ("user.created", json!({"id": 42, "email": "ada@example.com"})),
        ("user.update.email", json!({"id": 42, "email": "ada@example.org"})),
    ] {
        publish(&remote, name, &data).await?;
        expect_verified(&mut arrivals, &mut score).await?;
    }

    receiver.fail_once();
    say!("\nThe receiver has a bad moment: it will answer 500 once.");
    publish(&remote, "user.deleted", &json!({"id": 42})).await?;
    expect_failure(&mut arrivals).await?;
    let rotated = post(&remote, "/v1/admin/keys/rotate", &json!({})).await?;
    say!("The signing key rotates meanwhile; {BOLD}{}{BOLD:#} signs from now on.", text(&rotated, "active_kid")?);
    say!("Waiting for the retry …");
    expect_verified(&mut arrivals, &mut score).await?;
    finish(&score, receiver.jwks_fetches())
}

async fn post(remote: &Remote, path: &str, body: &Value) -> Result<Value, anyhow::Error> {
    let answer: Result<String, OperatorError> = remote.post(path, &[], body.to_string()).await;
    Ok(serde_json::from_str(&answer?)?)
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str> {
    value.get(member).and_then(Value::as_str).with_context(|| format!("the answer has no {member}"))
}

async fn publish(remote: &Remote, name: &str, data: &Value) -> Result<()> {
    let receipt = post(remote, "/v1/events", &json!({"type": name, "data": data})).await?;
    say!("\nPublished {BOLD}{name}{BOLD:#} as {}.", text(&receipt, "id")?);
    Ok(())
}

async fn next(arrivals: &mut mpsc::Receiver<Arrival>) -> Result<Arrival> {
    let arrival = tokio::time::timeout(ARRIVES_WITHIN, arrivals.recv()).await.ok().flatten();
    arrival.context("no delivery arrived in time")
}

async fn expect_failure(arrivals: &mut mpsc::Receiver<Arrival>) -> Result<()> {
    match next(arrivals).await? {
        Arrival::Failed { attempt } => {
            say!("  {BAD}✗{BAD:#} attempt {attempt} was answered with 500");
            Ok(())
        }
        other => bail!("expected an attempt that fails, got {other:?}"),
    }
}

async fn expect_verified(arrivals: &mut mpsc::Receiver<Arrival>, score: &mut Score) -> Result<()> {
    match next(arrivals).await? {
        Arrival::Verified { attempt, event, kid, data } => {
            say!("  {GOOD}✓{GOOD:#} attempt {attempt} verified: {event} {data}");
            say!("    with key {kid}");
            score.verified += 1;
            if !score.kids.contains(&kid) {
                score.kids.push(kid);
            }
            Ok(())
        }
        Arrival::Rejected { why } => bail!("the receiver rejected a delivery: {why}"),
        other @ Arrival::Failed { .. } => bail!("expected a delivery that verifies, got {other:?}"),
    }
}

fn finish(score: &Score, jwks_fetches: usize) -> Result<()> {
    let (verified, keys) = (score.verified, score.kids.len());
    if verified != 3 || keys != 2 {
        bail!("{verified} of 3 events were verified, with {keys} of 2 keys");
    }
    say!("\n{GOOD}{BOLD}All 3 events were verified, with 2 keys.{BOLD:#}{GOOD:#}");
    say!("The receiver fetched the JWKS {jwks_fetches} time: the second key stood in it before it signed.");
    Ok(())
}
