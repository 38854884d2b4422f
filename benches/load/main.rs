//! Load bench: what a user of Signet would measure, on the real binary and over real connections. `cargo bench --bench
//! load -- --help` says how it is run. The sender and the receiver share the machine with the server, so they are kept
//! cheap, and what they cost is shown too.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time and passes the environment on")]

mod args;
mod client;
mod ledger;
mod load;
mod measure;
mod pace;
mod receiver;
mod scenario;
mod server;
mod stage;
mod table;
mod usage;
mod wire;

use std::process::ExitCode;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
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
    // One thread sends, another receives: more would take from the server what they add here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let table = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever comes first drops the rest, and with it the server.
        tokio::select! {
            table = measure_all(&args) => Ok(table),
            _ = tokio::signal::ctrl_c() => Err(Failure::from("interrupted")),
            _ = terminate.recv() => Err(Failure::from("terminated")),
        }
    })?;
    for line in table.text().into_iter().chain(table.complaints()) {
        println!("{line}");
    }
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", with_conditions(&args, &table)))?;
    }
    Ok(if table.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Run by run and not scenario by scenario, so that a machine that slows down does so for all of them.
async fn measure_all(args: &Args) -> Table {
    let mut table = Table::default();
    for run in 1..=args.runs {
        for scenario in &args.scenarios {
            let name = scenario.name();
            eprintln!("{name}, run {run} of {}", args.runs);
            match scenario.run(args).await {
                Ok(rows) => rows.into_iter().for_each(|row| table.push(row)),
                Err(error) => {
                    let mut row = Row::new(name);
                    row.fail(error.to_string());
                    table.push(row);
                }
            }
        }
    }
    table
}

fn with_conditions(args: &Args, table: &Table) -> serde_json::Value {
    let conditions = json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "seconds": args.run_for.as_secs(),
        "runs": args.runs,
        "open_events_per_s": args.rate,
        "backlog_max": args.backlog,
        "connections": load::CONNECTIONS,
    });
    json!({"conditions": conditions, "figures": table.json()})
}
