//! The scenarios: which webhooks there are and what is sent to them. Each run of each one has a fresh server, so that
//! none inherits the other's database, caches or memory.

use std::time::Duration;

use crate::Failure;
use crate::args::Args;
use crate::load::Load;
use crate::measure;
use crate::pace::Pace;
use crate::stage::{Stage, Webhook};
use crate::table::{Column, Row};
use crate::usage;

const PAYLOAD_BYTES: usize = 1024;
const FAN_OUT: usize = 10;
/// To each of the two webhooks, the fast one and the slow one.
const SLOW_PER_SECOND: u32 = 100;
/// Below the 30 s a receiver may take: slow, yet within its rights.
const SLOW_DELAY: Duration = Duration::from_secs(20);
const IDLE_FOR: Duration = Duration::from_secs(3);
/// Connections, caches and statement plans exist before anything is measured.
const WARM_UP_FOR: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Closed,
    Open,
    Fanout,
    Slow,
    Idle,
}

impl Scenario {
    pub const ALL: [Self; 5] = [Self::Closed, Self::Open, Self::Fanout, Self::Slow, Self::Idle];

    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Fanout => "fanout",
            Self::Slow => "slow",
            Self::Idle => "idle",
        }
    }

    pub async fn run(self, args: &Args) -> Result<Vec<Row>, Failure> {
        let open = Pace::Open { per_second: args.rate };
        match self {
            Self::Closed => single(self.name(), args, 1, Pace::Closed).await,
            Self::Open => single(self.name(), args, 1, open).await,
            Self::Fanout => single(self.name(), args, FAN_OUT, Pace::Closed).await,
            Self::Slow => slow(args).await,
            Self::Idle => idle(args).await,
        }
    }
}

/// Every event goes to each of `fan_out` webhooks that all answer at once.
async fn single(scenario: &'static str, args: &Args, fan_out: usize, pace: Pace) -> Result<Vec<Row>, Failure> {
    let webhooks: Vec<Webhook> = (0..fan_out).map(|_| Webhook { subscription: "*", delay: Duration::ZERO }).collect();
    let mut stage = Stage::open(&args.binary, &webhooks, args.backlog).await?;
    let load = Load {
        event_type: "user.updated",
        payload_bytes: PAYLOAD_BYTES,
        endpoints: 0..fan_out,
        pace,
        run_for: args.run_for,
    };
    warm_up(&mut stage, &load).await?;
    let row = measure::alone(&mut stage, scenario, &load).await?;
    Ok(vec![row])
}

/// A fast webhook by itself, then the same one beside a slow webhook that has as much to receive.
async fn slow(args: &Args) -> Result<Vec<Row>, Failure> {
    let webhooks = [
        Webhook { subscription: "fast.x", delay: Duration::ZERO },
        Webhook { subscription: "slow.x", delay: SLOW_DELAY },
    ];
    let mut stage = Stage::open(&args.binary, &webhooks, args.backlog).await?;
    let fast = Load {
        event_type: "fast.x",
        payload_bytes: PAYLOAD_BYTES,
        endpoints: 0..1,
        pace: Pace::Open { per_second: SLOW_PER_SECOND },
        run_for: args.run_for,
    };
    let slow = Load { event_type: "slow.x", endpoints: 1..2, ..fast.clone() };
    warm_up(&mut stage, &fast).await?;
    Ok(vec![
        measure::alone(&mut stage, "fast alone", &fast).await?,
        measure::beside(&mut stage, "fast beside", &fast, &slow).await?,
    ])
}

async fn idle(args: &Args) -> Result<Vec<Row>, Failure> {
    let stage = Stage::open(&args.binary, &[], args.backlog).await?;
    tokio::time::sleep(IDLE_FOR).await;
    let pid = stage.server.pid();
    let resident_mib = usage::resident_mib(pid).map_err(|error| stage.explain(&error))?;
    let mut row = Row::new("idle");
    row.set(Column::ResidentMib, resident_mib);
    row.set(Column::ResidentPeakMib, usage::resident_peak_mib(pid)?);
    row.set(Column::StartMs, stage.server.started_for.as_secs_f64() * 1e3);
    Ok(vec![row])
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
