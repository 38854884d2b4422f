//! What a long queue for a dead receiver does to everybody else, and what it does to the receiver once that is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;
use crate::client::Api;
use crate::column::{Column, exact};
use crate::ledger::Ledger;
use crate::measure;
use crate::pace::Pace;
use crate::receiver::Receiver;
use crate::stage::{Stage, Webhook};
use crate::table::Row;
use crate::usage;

use super::{Setup, set_memory, warm_up};

const DEAD: &str = "dead.x";
/// As many as a request may hold.
const BATCH: u64 = 1_000;
const PUBLISHERS: usize = 8;
/// A server that is told to take more than it can asks for patience.
const REFUSED_FOR: Duration = Duration::from_millis(20);
const FILL_FOR_MAX: Duration = Duration::from_mins(15);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Longer than the first wait between two attempts. Whoever waits longer failed twice, and is not what is measured.
const QUIET_FOR_MAX: Duration = Duration::from_secs(7);
const DRAIN_FOR_MAX: Duration = Duration::from_mins(5);

pub async fn run(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let webhooks = [Webhook { subscription: "live.x", delay: Duration::ZERO }];
    let mut stage = Stage::open(setup, setup.nodes(), &webhooks).await?;
    let dead = Receiver::start_dead(vec![Duration::ZERO])?;
    stage.register([(dead.url(0), DEAD)].into_iter()).await?;
    let live = setup.load("live.x", Pace::Closed);
    warm_up(&mut stage, &live).await?;
    let without = measure::alone(&mut stage, setup.part("live without"), &live).await?;

    let started_at = Instant::now();
    let filled = tokio::time::timeout(FILL_FOR_MAX, fill(&stage.apis(), setup.args.queued)).await;
    filled.map_err(|_| "the backlog was not filled in time")?.map_err(|error| stage.explain(&error))?;
    let seconds = started_at.elapsed().as_secs_f64();
    let queued = f64::from(u32::try_from(setup.args.queued)?);
    let mut row = Row::new(setup.part("queued"));
    row.set(Column::Queued, queued);
    row.set(Column::QueuedPerSecond, queued / seconds);
    set_memory(&mut row, &stage)?;

    let mut with = measure::alone(&mut stage, setup.part("live with"), &live).await?;
    with.compare(&without);
    let drained = drain(setup, &stage, &dead).await?;
    Ok(vec![without, row, with, drained])
}

async fn fill(apis: &[Api], count: u64) -> Result<(), Failure> {
    let left = Arc::new(AtomicU64::new(count));
    let mut publishers = JoinSet::new();
    for api in apis.iter().cycle().take(PUBLISHERS) {
        publishers.spawn(publish(api.clone(), Arc::clone(&left)));
    }
    while let Some(published) = publishers.join_next().await {
        published??;
    }
    Ok(())
}

/// Publishes batches until none is left.
async fn publish(api: Api, left: Arc<AtomicU64>) -> Result<(), Failure> {
    let mut connection = api.connect().await?;
    let full = api.batch_request(DEAD, BATCH);
    let take = |left: u64| (left > 0).then(|| left.saturating_sub(BATCH));
    while let Ok(before) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
        let last = (before < BATCH).then(|| api.batch_request(DEAD, before));
        let request = last.as_ref().unwrap_or(&full);
        loop {
            let answer = connection.exchange(request).await?;
            match answer.status {
                202 => break,
                503 => tokio::time::sleep(REFUSED_FOR).await,
                _ => return Err(format!("a batch was not accepted: {answer}").into()),
            }
        }
    }
    Ok(())
}

/// Lets the receiver recover and counts what it gets, until it gets no more or has got enough of it.
async fn drain(setup: &Setup<'_>, stage: &Stage, dead: &Receiver) -> Result<Row, Failure> {
    let before = stage.cpu()?;
    let mut arrived_at = Vec::new();
    let mut ledger = Ledger::default();
    let queued = usize::try_from(setup.args.queued)?;
    dead.recover();
    let recovered_at = Instant::now();
    let mut last_at = recovered_at;
    while ledger.len() < queued && last_at.elapsed() < QUIET_FOR_MAX && recovered_at.elapsed() < DRAIN_FOR_MAX {
        tokio::time::sleep(POLL_EVERY).await;
        let arrivals = dead.take();
        last_at = arrivals.last().map_or(last_at, |arrival| arrival.arrived_at);
        arrived_at.extend(arrivals.iter().map(|arrival| arrival.arrived_at));
        ledger.record(arrivals);
    }
    let after = stage.cpu()?;
    let mut row = Row::new(setup.part("drain"));
    // Without the last tenth, in which are those that had failed before and wait for their next attempt.
    let most = arrived_at.len() - arrived_at.len() / 10;
    match arrived_at.get(most.saturating_sub(1)) {
        Some(at) => row.set(Column::Delivered, exact(most) / (*at - recovered_at).as_secs_f64()),
        None => row.fail("nothing was delivered to the receiver that recovered".into()),
    }
    measure::set_cost(&mut row, &before, &after, arrived_at.len());
    row.set(Column::ResidentPeakMib, stage.resident_mib(usage::resident_peak_mib)?);
    row.set(Column::Left, exact(queued.saturating_sub(ledger.len())));
    row.set(Column::Connections, exact(dead.connections_peak()));
    row.set(Column::Duplicates, exact(ledger.duplicates()));
    if let Some(complaint) = dead.complaint() {
        row.complain(format!("the receiver refused a request: {complaint}"));
    }
    Ok(row)
}
