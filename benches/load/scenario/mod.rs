//! The scenarios: which webhooks there are and what is sent to them. Each run of each one has fresh servers on a fresh
//! database, so that none inherits the other's rows, caches or memory.

mod backlog;
mod black_holes;
mod jwks;
mod kill;
mod nodes;

use std::time::Duration;

use crate::Failure;
use crate::args::Args;
use crate::column::Column;
use crate::home::{Kind, Place};
use crate::load::Load;
use crate::measure;
use crate::pace::Pace;
use crate::stage::{Stage, Webhook};
use crate::table::{Row, Subject};
use crate::usage;

const PAYLOAD_BYTES: usize = 1024;
const FAN_OUT: usize = 10;
const FAN_OUT_WIDE: usize = 1000;
/// To each of the two webhooks, the fast one and the slow one.
const SLOW_PER_SECOND: u32 = 300;
/// Far below the 30 s a receiver may take: slow, yet within its rights.
const SLOW_DELAY: Duration = Duration::from_secs(2);
const IDLE_FOR: Duration = Duration::from_secs(3);
/// Connections, caches and statement plans exist before anything is measured.
const WARM_UP_FOR: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Closed,
    Open,
    Fanout,
    FanoutWide,
    Slow,
    BlackHoles,
    Backlog,
    Jwks,
    Kill,
    Nodes,
    Idle,
}

/// What a scenario is run with and on.
pub struct Setup<'a> {
    pub args: &'a Args,
    pub place: &'a Place,
    scenario: Scenario,
}

impl<'a> Setup<'a> {
    pub fn new(args: &'a Args, place: &'a Place, scenario: Scenario) -> Self {
        Self { args, place, scenario }
    }

    /// The scenario as a whole.
    pub fn subject(&self) -> Subject {
        self.part(self.scenario.name())
    }

    fn part(&self, part: &'static str) -> Subject {
        Subject { scenario: self.scenario.name(), part, database: self.place.name() }
    }

    /// Servers where the scenario does not say how many. SQLite lets in but one.
    fn nodes(&self) -> usize {
        match self.place {
            Place::Sqlite => 1,
            Place::Postgres(_) => self.args.nodes,
        }
    }

    fn load(&self, event_type: &'static str, pace: Pace) -> Load {
        Load { event_type, payload_bytes: PAYLOAD_BYTES, endpoints: 0..1, pace, run_for: self.args.run_for }
    }
}

impl Scenario {
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Open,
        Self::Fanout,
        Self::FanoutWide,
        Self::Slow,
        Self::BlackHoles,
        Self::Backlog,
        Self::Jwks,
        Self::Kill,
        Self::Nodes,
        Self::Idle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Fanout => "fanout",
            Self::FanoutWide => "fanout1000",
            Self::Slow => "slow",
            Self::BlackHoles => "blackholes",
            Self::Backlog => "backlog",
            Self::Jwks => "jwks",
            Self::Kill => "kill",
            Self::Nodes => "nodes",
            Self::Idle => "idle",
        }
    }

    pub fn suits(self, kind: Kind) -> bool {
        self != Self::Nodes || kind == Kind::Postgres
    }

    pub async fn run(self, args: &Args, place: &Place) -> Result<Vec<Row>, Failure> {
        let setup = Setup::new(args, place, self);
        let open = Pace::Open { per_second: args.rate };
        match self {
            Self::Closed => single(&setup, 1, Pace::Closed).await,
            Self::Open => single(&setup, 1, open).await,
            Self::Fanout => single(&setup, FAN_OUT, Pace::Closed).await,
            Self::FanoutWide => single(&setup, FAN_OUT_WIDE, Pace::Closed).await,
            Self::Slow => slow(&setup).await,
            Self::BlackHoles => black_holes::run(&setup).await,
            Self::Backlog => backlog::run(&setup).await,
            Self::Jwks => jwks::run(&setup).await,
            Self::Kill => kill::run(&setup).await,
            Self::Nodes => nodes::run(&setup).await,
            Self::Idle => idle(&setup).await,
        }
    }
}

/// Every event goes to each of `fan_out` webhooks that all answer at once.
async fn single(setup: &Setup<'_>, fan_out: usize, pace: Pace) -> Result<Vec<Row>, Failure> {
    let webhooks: Vec<Webhook> = (0..fan_out).map(|_| Webhook { subscription: "*", delay: Duration::ZERO }).collect();
    let mut stage = Stage::open(setup, setup.nodes(), &webhooks).await?;
    let load = Load { endpoints: 0..fan_out, ..setup.load("user.updated", pace) };
    warm_up(&mut stage, &load).await?;
    let row = measure::alone(&mut stage, setup.subject(), &load).await?;
    Ok(vec![row])
}

/// A fast webhook by itself, then the same one beside a slow webhook that has as much to receive.
async fn slow(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let webhooks = [
        Webhook { subscription: "fast.x", delay: Duration::ZERO },
        Webhook { subscription: "slow.x", delay: SLOW_DELAY },
    ];
    let mut stage = Stage::open(setup, setup.nodes(), &webhooks).await?;
    let fast = setup.load("fast.x", Pace::Open { per_second: SLOW_PER_SECOND });
    let slow = Load { event_type: "slow.x", endpoints: 1..2, ..fast.clone() };
    warm_up(&mut stage, &fast).await?;
    Ok(vec![
        measure::alone(&mut stage, setup.part("fast alone"), &fast).await?,
        measure::beside(&mut stage, setup.part("fast beside"), &fast, &slow).await?,
    ])
}

async fn idle(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let stage = Stage::open(setup, setup.nodes(), &[]).await?;
    tokio::time::sleep(IDLE_FOR).await;
    let mut row = Row::new(setup.subject());
    set_memory(&mut row, &stage)?;
    row.set(Column::ResidentPeakMib, stage.resident_mib(usage::resident_peak_mib)?);
    row.set(Column::StartMs, stage.first()?.started_for.as_secs_f64() * 1e3);
    Ok(vec![row])
}

/// What servers and database hold at this moment.
fn set_memory(row: &mut Row, stage: &Stage) -> Result<(), Failure> {
    row.set(Column::ResidentMib, stage.resident_mib(usage::resident_mib)?);
    if let Some(mib) = stage.database_mib()? {
        row.set(Column::DatabaseMib, mib);
    }
    Ok(())
}

/// A short load of the same kind. Its figures do not count, its losses do.
async fn warm_up(stage: &mut Stage, load: &Load) -> Result<(), Failure> {
    let short = Load { run_for: WARM_UP_FOR, ..load.clone() };
    let sent = stage.send(&short).await?;
    let missing = stage.drain(&sent, &short).await.len();
    match missing {
        0 => Ok(()),
        _ => Err(stage.explain(&format!("{missing} deliveries missing after warming up"))),
    }
}
