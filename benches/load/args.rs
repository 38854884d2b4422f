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
  fanout1000  the same, each to 1000 webhooks
  slow        a fast webhook alone, then beside one whose receiver takes 2 s; 300 events/s to each
  blackholes  a fast webhook alone and beside another tenant's 10,000 whose receivers never answer, ten times in turns; then
              a new webhook, and the fast one after a restart; 300 events/s to each
  backlog     a webhook without and with a backlog for a dead one, which then recovers
  jwks        64 connections that fetch the key set
  kill        kill -9 under load: of the only server, which is restarted, and (PostgreSQL) of one of two
  nodes       1, 2 and 3 servers, one receiver that takes 50 ms (PostgreSQL)
  idle        memory 3 s after the start

Options
  --database D   sqlite, postgres or both; may be repeated (sqlite)
  --nodes N      servers on one PostgreSQL database, where the scenario does not say (1)
  --seconds N    how long each load lasts (10)
  --runs N       runs of each scenario; the median is shown, faults are added up (1)
  --rate N       events per second of `open` (200)
  --backlog N    undelivered deliveries at which closed loops pause (20000)
  --queued N     deliveries that `backlog` queues for the dead webhook (1000000)
  --signet PATH  another binary than the one just built
  --json FILE    also writes the figures there, of each run and over all
  --svg FOLDER   also draws latencies and throughput there

CPU is per delivery, of `jwks` per request: of servers and database together (`CPU us`), of each where they are apart,
and of this bench (`bench us`). Memory is of all servers together; `db MiB` is PostgreSQL's, what its processes share
counted once. `held %` is the share of time for which the backlog limit held closed loops back. `ratio` compares
deliveries/s with the first row of the scenario, `p99 ratio` that time. `conns` is the most connections that the recovered receiver saw at
once, `left` what it had not got when it had got no more for 7 s, or after 5 min. `in flight` was posted and had not
arrived at the kill; until somebody was accepted again it took `outage ms`, until the last one accepted before had
arrived `last ms`. `twice` counts repeated arrivals, `unasked` deliveries of events whose acceptance was not seen.

Databases are made in TMPDIR: set it to choose the disk. For PostgreSQL a cluster of the bench's own is started, durable
and on loopback; root runs it as the user `postgres`. Ends with 1 when a delivery is missing 30 s after the load's end
(`kill`: 90 s).
";

pub struct Args {
    pub scenarios: Vec<Scenario>,
    pub databases: Vec<Kind>,
    pub nodes: usize,
    pub run_for: Duration,
    pub runs: u32,
    pub rate: u32,
    pub backlog: u64,
    pub queued: u64,
    pub binary: PathBuf,
    pub json: Option<PathBuf>,
    pub svg: Option<PathBuf>,
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
            queued: 1_000_000,
            binary: env!("CARGO_BIN_EXE_signet").into(),
            json: None,
            svg: None,
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
                "--queued" => args.queued = positive(&word, words.next())?.into(),
                "--signet" => args.binary = text(&word, words.next())?.into(),
                "--json" => args.json = Some(text(&word, words.next())?.into()),
                "--svg" => args.svg = Some(text(&word, words.next())?.into()),
                name => args.scenarios.push(scenario(name)?),
            }
        }
        if args.databases.is_empty() {
            args.databases.push(Kind::Sqlite);
        }
        args.check_scenarios()?;
        // Absolute, because the server runs in a folder of its own.
        args.binary = std::path::absolute(&args.binary)?;
        Ok(Some(args))
    }

    /// What nobody named is left out when no database suits it; what somebody did is not.
    fn check_scenarios(&mut self) -> Result<(), Failure> {
        let suits = |scenario: &Scenario| self.databases.iter().any(|kind| scenario.suits(*kind));
        if self.scenarios.is_empty() {
            self.scenarios = Scenario::ALL.into_iter().filter(suits).collect();
        }
        match self.scenarios.iter().find(|scenario| !suits(scenario)) {
            Some(scenario) => Err(format!("`{}` needs --database postgres", scenario.name()).into()),
            None if self.nodes > 1 && !self.databases.contains(&Kind::Postgres) => {
                Err("--nodes needs --database postgres".into())
            }
            None => Ok(()),
        }
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
