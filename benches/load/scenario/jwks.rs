//! What receivers ask for: the key set, over and over, from many connections at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;
use crate::client::{Api, Connection};
use crate::column::{Column, exact};
use crate::load::CONNECTIONS;
use crate::measure;
use crate::stage::Stage;
use crate::table::Row;
use crate::usage;

use super::{Setup, WARM_UP_FOR};

pub async fn run(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let stage = Stage::open(setup, 1, &[]).await?;
    let api = &stage.first()?.api;
    ask_all(api, WARM_UP_FOR).await?;
    let before = stage.cpu()?;
    let started_at = Instant::now();
    let took = ask_all(api, setup.args.run_for).await.map_err(|error| stage.explain(&error))?;
    let seconds = started_at.elapsed().as_secs_f64();
    let after = stage.cpu()?;
    let mut row = Row::new(setup.subject());
    row.set(Column::Requests, exact(took.len()) / seconds);
    measure::set_cost(&mut row, &before, &after, took.len());
    measure::set_latencies(&mut row, took);
    row.set(Column::ResidentPeakMib, stage.resident_mib(usage::resident_peak_mib)?);
    Ok(vec![row])
}

/// How long each request took.
async fn ask_all(api: &Api, run_for: Duration) -> Result<Vec<Duration>, Failure> {
    let request: Arc<[u8]> = api.key_set_request().into();
    let until = Instant::now() + run_for;
    let mut askers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        askers.spawn(ask(api.connect().await?, Arc::clone(&request), until));
    }
    let mut took = Vec::new();
    while let Some(part) = askers.join_next().await {
        took.extend(part??);
    }
    Ok(took)
}

async fn ask(mut connection: Connection, request: Arc<[u8]>, until: Instant) -> Result<Vec<Duration>, Failure> {
    let mut took = Vec::new();
    let mut asked_at = Instant::now();
    while asked_at < until {
        let answer = connection.exchange(&request).await?;
        if answer.status != 200 {
            return Err(format!("no key set: {answer}").into());
        }
        let answered_at = Instant::now();
        took.push(answered_at - asked_at);
        asked_at = answered_at;
    }
    Ok(took)
}
