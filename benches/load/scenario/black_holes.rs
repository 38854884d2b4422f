//! What the dead receivers of one tenant do to another tenant: to a webhook that is known to answer, to one of which
//! nothing is known yet, and to all of them after a restart, when nothing is known of anybody.

use std::time::Duration;

use crate::Failure;
use crate::client::Api;
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

pub async fn run(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let webhook = |subscription| Webhook { subscription, delay: Duration::ZERO };
    let webhooks = ["fast.x", "new.x"].map(webhook);
    let mut stage = Stage::open(setup, setup.nodes(), &webhooks).await?;
    let fast = setup.load("fast.x", Pace::Open { per_second: PER_SECOND });
    let new = super::Load { event_type: "new.x", endpoints: 1..2, ..fast.clone() };
    warm_up(&mut stage, &fast).await?;
    let alone = measure::alone(&mut stage, setup.part("fast alone"), &fast).await?;

    let holes = Receiver::start(vec![NEVER; BLACK_HOLES])?;
    let other = stage.first()?.api.with_tenant("Black holes").await?;
    let urls = (0..BLACK_HOLES).map(|hole| (holes.url(hole), DEAD));
    other.register(urls).await.map_err(|error| stage.explain(&error))?;
    publish(&other).await?;
    tokio::time::sleep(TAKEN_AFTER).await;

    let mut beside = vec![
        measure::alone(&mut stage, setup.part("fast beside"), &fast).await?,
        measure::alone(&mut stage, setup.part("new beside"), &new).await?,
    ];
    restart_first(setup, &mut stage).await?;
    tokio::time::sleep(TAKEN_AFTER).await;
    beside.push(measure::alone(&mut stage, setup.part("restarted"), &fast).await?);
    for row in &mut beside {
        row.compare_p99(&alone);
    }
    beside.insert(0, alone);
    Ok(beside)
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
