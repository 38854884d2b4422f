//! Load bench: what a user of Signet would measure, on the real binary and over real connections. `cargo bench --bench
//! load -- --help` says how it is run. The sender and the receiver share the machine with the server, so they are kept
//! cheap, and what they cost is shown too.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time and passes the environment on")]

mod args;
mod client;
mod cluster;
mod column;
mod home;
mod latency;
mod ledger;
mod load;
mod measure;
mod pace;
mod plot;
mod receiver;
mod scenario;
mod server;
mod stage;
mod svg;
mod table;
mod usage;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::cluster::Cluster;
use crate::home::{Kind, Place};
use crate::scenario::{Scenario, Setup};
use crate::table::{Row, Table};

/// Nobody above tells failures apart; they are shown.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        print!("{}", args::HELP);
        return Ok(ExitCode::SUCCESS);
    };
    // A thousand webhooks may all be connected at once. With less, whoever needs more says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // One thread sends, another receives: more would take from the server what they add here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (table, versions) = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever comes first drops the rest, and with it servers and databases.
        tokio::select! {
            measured = measure_all(&args) => measured,
            _ = tokio::signal::ctrl_c() => Err(Failure::from("interrupted")),
            _ = terminate.recv() => Err(Failure::from("terminated")),
        }
    })?;
    for line in table.text().into_iter().chain(table.complaints()) {
        println!("{line}");
    }
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", with_conditions(&args, &versions, &table)))?;
    }
    if let Some(folder) = &args.svg {
        plot::draw(&table, folder)?;
    }
    Ok(if table.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Run by run and not scenario by scenario, so that a machine that slows down does so for all of them. With the versions
/// of the databases that have one of their own.
async fn measure_all(args: &Args) -> Result<(Table, Vec<String>), Failure> {
    let mut places = Vec::with_capacity(args.databases.len());
    let mut versions = Vec::new();
    for kind in &args.databases {
        let place = match kind {
            Kind::Sqlite => Place::Sqlite,
            Kind::Postgres => {
                let cluster = Cluster::start()?;
                versions.push(cluster.version.clone());
                Place::Postgres(Arc::new(cluster))
            }
        };
        places.push((*kind, place));
    }
    let mut table = Table::default();
    for run in 1..=args.runs {
        for scenario in &args.scenarios {
            for (_, place) in places.iter().filter(|(kind, _)| scenario.suits(*kind)) {
                eprintln!("{} on {}, run {run} of {}", scenario.name(), place.name(), args.runs);
                measure(*scenario, args, place).await.into_iter().for_each(|row| table.push(row));
            }
        }
    }
    Ok((table, versions))
}

async fn measure(scenario: Scenario, args: &Args, place: &Place) -> Vec<Row> {
    match scenario.run(args, place).await {
        Ok(rows) => rows,
        Err(error) => {
            let mut row = Row::new(Setup::new(args, place, scenario).subject());
            row.fail(error.to_string());
            vec![row]
        }
    }
}

fn with_conditions(args: &Args, versions: &[String], table: &Table) -> serde_json::Value {
    let conditions = json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "databases": versions,
        "nodes": args.nodes,
        "seconds": args.run_for.as_secs(),
        "runs": args.runs,
        "open_events_per_s": args.rate,
        "backlog_max": args.backlog,
        "queued": args.queued,
        "connections": load::CONNECTIONS,
    });
    json!({"conditions": conditions, "figures": table.json()})
}
