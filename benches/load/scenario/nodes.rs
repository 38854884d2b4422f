//! Whether a second and a third node add what the first one has. The receiver is what limits a node here: it takes its
//! time, and a node keeps so many deliveries under way to one webhook and no more. Neither the database nor the machine
//! is near its limit then, so that nodes which got in each other's way would show.

use std::time::Duration;

use crate::Failure;
use crate::measure;
use crate::pace::Pace;
use crate::stage::{Stage, Webhook};
use crate::table::Row;

use super::{Setup, warm_up};

const COUNTS: [(usize, &str); 3] = [(1, "1 node"), (2, "2 nodes"), (3, "3 nodes")];
/// Long enough that two cores are not what limits three nodes.
const DELAY: Duration = Duration::from_millis(50);
/// A second's worth for three nodes: enough to keep all of them busy, soon drained by one.
const BACKLOG_MAX: u64 = 4_000;

pub async fn run(setup: &Setup<'_>) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::with_capacity(COUNTS.len());
    for (count, part) in COUNTS {
        let webhooks = [Webhook { subscription: "*", delay: DELAY }];
        let mut stage = Stage::open(setup, count, &webhooks).await?;
        stage.backlog_max = setup.args.backlog.min(BACKLOG_MAX);
        let load = setup.load("user.updated", Pace::Closed);
        warm_up(&mut stage, &load).await?;
        let mut row = measure::alone(&mut stage, setup.part(part), &load).await?;
        if let Some(one) = rows.first() {
            row.compare(one);
        }
        rows.push(row);
    }
    Ok(rows)
}
