//! What the dead receivers of one tenant do to another tenant: to a webhook that is known to answer, to one of which
//! nothing is known yet, and to all of them after a restart, when nothing is known of anybody. Two servers are asked in
//! turns, one with dead receivers and one without, so that what the machine does besides meets both.

use std::time::Duration;

use crate::Failure;
use crate::client::Api;
use crate::load::Load;
use crate::measure;
use crate::pace::Pace;
use crate::receiver::Receiver;
use crate::server::Server;
use crate::stage::{Stage, Webhook};
use crate::table::Row;

use super::{Setup, warm_up};

/// As many webhooks as a tenant may have.
const BLACK_HOLES: usize = 10_000;
const DEAD: &str = "dead.x";
const PER_SECOND: u32 = 300;
/// They take the connection and the request, and never answer: every attempt lasts as long as it may.
const NEVER: Duration = Duration::from_hours(1);
/// After that, all of the room that they may have is theirs.
const TAKEN_AFTER: Duration = Duration::from_secs(5);
/// How often each server is asked; the medians are shown.
const ROUNDS: u32 = 10;

pub async fn run(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let fast = setup.load("fast.x", Pace::Open { per_second: PER_SECOND });
    let new = Load { event_type: "new.x", endpoints: 1..2, ..fast.clone() };
    let mut free = open(setup, &fast).await?;
    let mut beset = open(setup, &fast).await?;
    let holes = Receiver::start(vec![NEVER; BLACK_HOLES])?;
    let other = beset.first()?.api.with_tenant("Black holes").await?;
    let urls = (0..BLACK_HOLES).map(|hole| (holes.url(hole), DEAD));
    other.register(urls).await.map_err(|error| beset.explain(&error))?;
    publish(&other).await?;
    tokio::time::sleep(TAKEN_AFTER).await;

    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.extend(pair(setup, (&mut free, &mut beset), &fast, ["fast alone", "fast beside"]).await?);
    }
    rows.extend(pair(setup, (&mut free, &mut beset), &new, ["new alone", "new beside"]).await?);
    for stage in [&mut free, &mut beset] {
        restart_first(setup, stage).await?;
    }
    tokio::time::sleep(TAKEN_AFTER).await;
    rows.extend(pair(setup, (&mut free, &mut beset), &fast, ["started alone", "started beside"]).await?);
    Ok(rows)
}

/// A server with a webhook that is known to answer, and one of which nothing is known.
async fn open(setup: &Setup<'_>, fast: &Load) -> Result<Stage, Failure> {
    let webhook = |subscription| Webhook { subscription, delay: Duration::ZERO };
    let mut stage = Stage::open(setup, setup.nodes(), &["fast.x", "new.x"].map(webhook)).await?;
    warm_up(&mut stage, fast).await?;
    Ok(stage)
}

/// The same load on the server without dead receivers, and on the one with them.
async fn pair(
    setup: &Setup<'_>,
    (free, beset): (&mut Stage, &mut Stage),
    load: &Load,
    [alone, beside]: [&'static str; 2],
) -> Result<[Row; 2], Failure> {
    let alone = measure::alone(free, setup.part(alone), load).await?;
    let mut beside = measure::alone(beset, setup.part(beside), load).await?;
    beside.compare_p99(&alone);
    Ok([alone, beside])
}

/// An event for every hole.
async fn publish(api: &Api) -> Result<(), Failure> {
    let mut connection = api.connect().await?;
    let answer = connection.exchange(&api.event_request(DEAD, super::PAYLOAD_BYTES)).await?;
    match answer.status {
        202 => Ok(()),
        _ => Err(format!("the event for the holes was not accepted: {answer}").into()),
    }
}

async fn restart_first(setup: &Setup<'_>, stage: &mut Stage) -> Result<(), Failure> {
    let first = stage.servers.first_mut().ok_or("there is nobody to restart")?;
    first.kill()?;
    *first = Server::start(&setup.args.binary, &stage.home, first.api.address).await?;
    Ok(())
}
