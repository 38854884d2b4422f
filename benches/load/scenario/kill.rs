//! What `kill -9` under load costs. Nothing that was accepted may be missing; what is measured is how long it was on its
//! way and how much of it came twice.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::column::{Column, exact};
use crate::home::Place;
use crate::load::{self, Sent};
use crate::pace::{Backlog, Pace};
use crate::server::Server;
use crate::stage::{Stage, Webhook};
use crate::table::{Row, Subject};

use super::{Setup, warm_up};

/// What the dead node had in hand belongs to it until its leases end, where nobody knows that it is dead.
const DRAIN_FOR_MAX: Duration = Duration::from_secs(90);

/// What happened in the middle of the load.
struct Kill {
    killed_at: Instant,
    in_flight: u64,
    /// From the new start to the first healthy answer; nothing when another node took over.
    restarted_for: Option<Duration>,
}

pub async fn run(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let mut rows = vec![measure(setup, setup.part("kill restart"), 1).await?];
    if matches!(setup.place, Place::Postgres(_)) {
        rows.push(measure(setup, setup.part("kill 1 of 2"), 2).await?);
    }
    Ok(rows)
}

/// Kills the first of the nodes. The only one is started again.
async fn measure(setup: &Setup<'_>, subject: Subject, nodes: usize) -> Result<Row, Failure> {
    let webhooks = [Webhook { subscription: "*", delay: Duration::ZERO }];
    let mut stage = Stage::open(setup, nodes, &webhooks).await?;
    stage.drain_for_max = DRAIN_FOR_MAX;
    let load = setup.load("user.updated", Pace::Closed);
    warm_up(&mut stage, &load).await?;

    let apis = stage.apis();
    let backlog = stage.backlog();
    let (before, repeated_before) = (stage.ledger.len(), stage.ledger.duplicates());
    let (sent, kill) = tokio::try_join!(load::run(&apis, &load, backlog.clone()), async {
        tokio::time::sleep(load.run_for / 2).await;
        kill_first(setup, &mut stage, &backlog).await
    })
    .map_err(|error| stage.explain(&error))?;
    let missing = stage.drain(&sent, &load).await;

    let mut row = Row::new(subject);
    row.set(Column::InFlight, f64::from(u32::try_from(kill.in_flight)?));
    row.set(Column::Accepted, exact(sent.posts.len()) / load.run_for.as_secs_f64());
    if let Some(restarted_for) = kill.restarted_for {
        row.set(Column::StartMs, restarted_for.as_secs_f64() * 1e3);
    }
    set_waits(&mut row, &stage, &sent, kill.killed_at);
    row.set(Column::Refused, exact(sent.refused));
    row.set(Column::Missing, exact(missing.len()));
    row.set(Column::Duplicates, exact(stage.ledger.duplicates() - repeated_before));
    let came = sent.posts.len() - missing.len();
    row.set(Column::Unasked, exact((stage.ledger.len() - before).saturating_sub(came)));
    if let Some((_, event)) = missing.first() {
        let log_end = stage.log_end();
        row.fail(format!("{} of {} accepted missing, the first: {event}{log_end}", missing.len(), sent.posts.len()));
    }
    Ok(row)
}

async fn kill_first(setup: &Setup<'_>, stage: &mut Stage, backlog: &Backlog) -> Result<Kill, Failure> {
    let is_alone = stage.servers.len() == 1;
    let first = stage.servers.first_mut().ok_or("there is nobody to kill")?;
    let in_flight = backlog.in_flight();
    let killed_at = first.kill()?;
    if !is_alone {
        return Ok(Kill { killed_at, in_flight, restarted_for: None });
    }
    let restarted = Server::start(&setup.args.binary, &stage.home, first.api.address).await?;
    let restarted_for = Some(restarted.started_for);
    *first = restarted;
    Ok(Kill { killed_at, in_flight, restarted_for })
}

/// From the kill until somebody was accepted again, and until the last one that had been accepted before it arrived.
fn set_waits(row: &mut Row, stage: &Stage, sent: &Sent, killed_at: Instant) {
    let accepted_again = sent.posts.iter().map(|post| post.accepted_at).filter(|at| *at > killed_at).min();
    match accepted_again {
        Some(at) => row.set(Column::OutageMs, (at - killed_at).as_secs_f64() * 1e3),
        None => row.fail("nothing was accepted after the kill".into()),
    }
    let accepted_before = sent.posts.iter().filter(|post| post.accepted_at <= killed_at);
    let last_at = accepted_before.filter_map(|post| stage.ledger.arrived_at(0, post.event)).max();
    if let Some(last_at) = last_at {
        row.set(Column::LastMs, last_at.saturating_duration_since(killed_at).as_secs_f64() * 1e3);
    }
}
