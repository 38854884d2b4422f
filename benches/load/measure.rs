//! Plays one load on a stage and turns what was sent, what arrived and what the kernel counted into one row of figures.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::column::{Column, exact};
use crate::latency::{Latencies, P50, P99};
use crate::ledger::{Endpoint, EventId};
use crate::load::{Load, Sent};
use crate::stage::Stage;
use crate::table::{Row, Subject};
use crate::usage::{self, Cpu};

/// After the last arrival the server still writes down how it went; that is part of a delivery's cost.
const SETTLE_FOR: Duration = Duration::from_millis(200);
/// How long the load beside runs before the one that is watched, to take hold of whatever the two share.
const HEAD_START: Duration = Duration::from_secs(2);

/// What everybody had used before and how many deliveries had been seen.
struct Before {
    cpu: Cpu,
    arrived: usize,
    duplicates: usize,
}

impl Before {
    fn take(stage: &mut Stage) -> Result<Self, Failure> {
        stage.ledger.record(stage.receiver.take());
        Ok(Self { cpu: stage.cpu()?, arrived: stage.ledger.len(), duplicates: stage.ledger.duplicates() })
    }
}

/// A load that has run.
struct Played<'a> {
    load: &'a Load,
    sent: Sent,
    started_at: Instant,
    stopped_at: Instant,
    missing: Vec<(Endpoint, EventId)>,
}

impl Played<'_> {
    fn expected(&self) -> usize {
        self.sent.posts.len() * self.load.endpoints.len()
    }

    /// The instant of each delivery that came, with how long it took.
    fn deliveries(&self, stage: &Stage) -> Vec<(Instant, Duration)> {
        let posts = &self.sent.posts;
        let endpoints = self.load.endpoints.clone();
        endpoints
            .flat_map(|endpoint| posts.iter().map(move |post| (endpoint, post)))
            .filter_map(|(endpoint, post)| {
                let arrived_at = stage.ledger.arrived_at(endpoint, post.event)?;
                let took = arrived_at.saturating_duration_since(post.started_at);
                Some((arrived_at, took))
            })
            .collect()
    }
}

/// Figures of one load that has the server to itself.
pub async fn alone(stage: &mut Stage, subject: Subject, load: &Load) -> Result<Row, Failure> {
    let before = Before::take(stage)?;
    let played = play(stage, load).await?;
    row(stage, subject, &before, &[played]).await
}

/// Figures of `watched` while the server also has `beside` to do.
pub async fn beside(stage: &mut Stage, subject: Subject, watched: &Load, beside: &Load) -> Result<Row, Failure> {
    let before = Before::take(stage)?;
    let started_at = Instant::now();
    let whole = Load { run_for: beside.run_for + HEAD_START, ..beside.clone() };
    let (played, sent_beside) = tokio::try_join!(
        async {
            tokio::time::sleep(HEAD_START).await;
            let started_at = Instant::now();
            let sent = stage.send(watched).await?;
            Ok::<_, Failure>((sent, started_at, Instant::now()))
        },
        stage.send(&whole),
    )?;
    let stopped_beside_at = Instant::now();
    let (sent, started_watched_at, stopped_at) = played;
    let missing = stage.drain(&sent, watched).await;
    // Only now: what the watched load still waited for must not be hurried along by the other one's end.
    stage.receiver.release();
    let missing_beside = stage.drain(&sent_beside, &whole).await;
    let both = [
        Played { load: watched, sent, started_at: started_watched_at, stopped_at, missing },
        Played { load: &whole, sent: sent_beside, started_at, stopped_at: stopped_beside_at, missing: missing_beside },
    ];
    row(stage, subject, &before, &both).await
}

async fn play<'a>(stage: &mut Stage, load: &'a Load) -> Result<Played<'a>, Failure> {
    let started_at = Instant::now();
    let sent = stage.send(load).await?;
    let stopped_at = Instant::now();
    let missing = stage.drain(&sent, load).await;
    Ok(Played { load, sent, started_at, stopped_at, missing })
}

/// Rates and latencies are the first load's; costs and losses are everybody's.
async fn row(stage: &mut Stage, subject: Subject, before: &Before, played: &[Played<'_>]) -> Result<Row, Failure> {
    tokio::time::sleep(SETTLE_FOR).await;
    let after = Before::take(stage)?;
    let mut row = Row::new(subject);
    let mut came = 0;
    for (place, load) in played.iter().enumerate() {
        let deliveries = load.deliveries(stage);
        came += deliveries.len();
        if place == 0 {
            watch(&mut row, load, &deliveries);
        }
        complain(&mut row, stage, load);
    }
    set_cost(&mut row, &before.cpu, &after.cpu, came);
    let sum = |count: fn(&Played<'_>) -> usize| exact(played.iter().map(count).sum());
    row.set(Column::Refused, sum(|load| load.sent.refused));
    row.set(Column::Missing, sum(|load| load.missing.len()));
    row.set(Column::Duplicates, exact(after.duplicates - before.duplicates));
    let unasked = (after.arrived - before.arrived).saturating_sub(came);
    row.set(Column::Unasked, exact(unasked));
    row.set(Column::ResidentPeakMib, stage.resident_mib(usage::resident_peak_mib)?);
    row.set(Column::StartMs, stage.first()?.started_for.as_secs_f64() * 1e3);
    Ok(row)
}

/// What each of so many deliveries or requests cost.
pub fn set_cost(row: &mut Row, before: &Cpu, after: &Cpu, count: usize) {
    if count == 0 {
        return;
    }
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / exact(count);
    let servers = each(after.servers.saturating_sub(before.servers));
    row.set(Column::BenchCpuUs, each(after.bench.saturating_sub(before.bench)));
    let (Some(database_before), Some(database_after)) = (before.database, after.database) else {
        row.set(Column::CpuUs, servers);
        return;
    };
    let database = each(database_after.saturating_sub(database_before));
    row.set(Column::ServerCpuUs, servers);
    row.set(Column::DatabaseCpuUs, database);
    row.set(Column::CpuUs, servers + database);
}

pub fn set_latencies(row: &mut Row, took: Vec<Duration>) {
    let latencies = Latencies::new(took);
    for (column, share) in [(Column::P50Ms, P50), (Column::P99Ms, P99)] {
        if let Some(ms) = latencies.at_ms(share) {
            row.set(column, ms);
        }
    }
    row.set_curve(latencies.curve_ms());
}

fn watch(row: &mut Row, played: &Played<'_>, deliveries: &[(Instant, Duration)]) {
    let seconds = (played.stopped_at - played.started_at).as_secs_f64();
    row.set(Column::Accepted, exact(played.sent.posts.len()) / seconds);
    let in_time = deliveries.iter().filter(|(at, _)| *at <= played.stopped_at);
    row.set(Column::Delivered, exact(in_time.count()) / seconds);
    row.set(Column::HeldPercent, played.sent.held_share * 100.0);
    let last_at = deliveries.iter().map(|(at, _)| *at).max();
    if let Some(last_at) = last_at {
        let drained_for = last_at.saturating_duration_since(played.stopped_at);
        row.set(Column::DrainMs, drained_for.as_secs_f64() * 1e3);
    }
    set_latencies(row, deliveries.iter().map(|(_, took)| *took).collect());
}

fn complain(row: &mut Row, stage: &Stage, played: &Played<'_>) {
    let event_type = played.load.event_type;
    if let Some(refusal) = &played.sent.refusal {
        let refused = played.sent.refused;
        row.complain(format!("{refused} {event_type} refused, the first: {refusal}"));
    }
    if played.sent.posts.is_empty() {
        row.fail(format!("no {event_type} was accepted"));
    }
    if let Some((endpoint, event)) = played.missing.first() {
        let (missing, expected) = (played.missing.len(), played.expected());
        let log_end = stage.log_end();
        row.fail(format!(
            "{missing} of {expected} deliveries of {event_type} missing, \
             the first: {event} at endpoint {endpoint}{log_end}"
        ));
    }
    if let Some(complaint) = stage.receiver.complaint() {
        row.complain(format!("the receiver refused a request: {complaint}"));
    }
}
