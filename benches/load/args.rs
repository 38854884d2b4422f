//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;
use crate::home::Kind;
use crate::scenario::Scenario;

pub const HELP: &str = "\
Measures Signet from outside: real servers, a receiver, events over HTTP.

cargo bench --bench load -- [SCENARIO...] [OPTIONS]

Scenarios (default: all of them)
  closed      64 events in flight to one webhook
  open        events at a fixed rate to one webhook
  fanout      64 events in flight, each to 10 webhooks
  slow        a fast webhook alone, then beside one whose receiver takes 20 s; 100 events/s to each
  idle        memory 3 s after the start

Options
  --database D   sqlite, postgres or both; may be repeated (sqlite)
  --nodes N      servers on one PostgreSQL database (1)
  --seconds N    how long each load lasts (10)
  --runs N       runs of each scenario; the median is shown, faults are added up (1)
  --rate N       events per second of `open` (200)
  --backlog N    undelivered deliveries at which closed loops pause (20000)
  --signet PATH  another binary than the one just built
  --json FILE    also writes the figures there, of each run and over all

CPU is per delivery: of servers and database together (`CPU us`), of each where they are apart, and of this bench (`bench
us`). Memory is of all servers together; `db MiB` is PostgreSQL's, what its processes share counted once. `held %` is
the share of time for which the backlog limit held closed loops back. `twice` counts repeated arrivals, `unasked`
deliveries of events whose acceptance was not seen.

Databases are made in TMPDIR: set it to choose the disk. For PostgreSQL a cluster of the bench's own is started, durable
and on loopback; root runs it as the user `postgres`. Ends with 1 when a delivery is missing 30 s after the load's end.
";

pub struct Args {
    pub scenarios: Vec<Scenario>,
    pub databases: Vec<Kind>,
    pub nodes: usize,
    pub run_for: Duration,
    pub runs: u32,
    pub rate: u32,
    pub backlog: u64,
    pub binary: PathBuf,
    pub json: Option<PathBuf>,
}

impl Args {
    /// Nothing when only help was asked for.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, Failure> {
        let mut args = Self {
            scenarios: Vec::new(),
            databases: Vec::new(),
            nodes: 1,
            run_for: Duration::from_secs(10),
            runs: 1,
            rate: 200,
            backlog: 20_000,
            binary: env!("CARGO_BIN_EXE_signet").into(),
            json: None,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                // Cargo adds it by itself.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--database" => {
                    let mut named = databases(&text(&word, words.next())?)?;
                    named.retain(|kind| !args.databases.contains(kind));
                    args.databases.append(&mut named);
                }
                "--nodes" => args.nodes = usize::try_from(positive(&word, words.next())?)?,
                "--seconds" => {
                    args.run_for = Duration::from_secs(positive(&word, words.next())?.into());
                }
                "--runs" => args.runs = positive(&word, words.next())?,
                "--rate" => args.rate = positive(&word, words.next())?,
                "--backlog" => args.backlog = positive(&word, words.next())?.into(),
                "--signet" => args.binary = text(&word, words.next())?.into(),
                "--json" => args.json = Some(text(&word, words.next())?.into()),
                name => args.scenarios.push(scenario(name)?),
            }
        }
        if args.databases.is_empty() {
            args.databases.push(Kind::Sqlite);
        }
        if args.scenarios.is_empty() {
            args.scenarios = Scenario::ALL.to_vec();
        }
        if args.nodes > 1 && !args.databases.contains(&Kind::Postgres) {
            return Err("--nodes needs --database postgres".into());
        }
        // Absolute, because the server runs in a folder of its own.
        args.binary = std::path::absolute(&args.binary)?;
        Ok(Some(args))
    }
}

fn databases(word: &str) -> Result<Vec<Kind>, Failure> {
    match word {
        "sqlite" => Ok(vec![Kind::Sqlite]),
        "postgres" => Ok(vec![Kind::Postgres]),
        "both" => Ok(vec![Kind::Sqlite, Kind::Postgres]),
        _ => Err(format!("--database is sqlite, postgres or both, not `{word}`").into()),
    }
}

fn scenario(name: &str) -> Result<Scenario, Failure> {
    let found = Scenario::ALL.into_iter().find(|scenario| scenario.name() == name);
    found.ok_or_else(|| format!("`{name}` is neither a scenario nor an option; see --help").into())
}

fn text(option: &str, word: Option<String>) -> Result<String, Failure> {
    word.ok_or_else(|| format!("{option} needs a value").into())
}

fn positive(option: &str, word: Option<String>) -> Result<u32, Failure> {
    let word = text(option, word)?;
    match word.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{option} needs a whole number above 0, not `{word}`").into()),
    }
}
