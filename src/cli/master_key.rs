//! Master keys from the command line: one more, everything under the next one, one less.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::domain::audit::Actor;
use crate::engine::Engine;
use crate::engine::master_keys::Records;

/// How many records are sealed again between two lines of progress.
const TOLD_EVERY: u64 = 1_000;
/// How many records that could not be opened are named.
const STUCK_SHOWN: usize = 10;

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Every master key here, which one seals, and how many records each has sealed
    List,
    /// Make a master key and add it to the file; it seals nothing yet
    New,
    /// Have a master key seal from now on, and seal every record again under it
    Rewrap {
        /// The master key; the newest one in the file if none is named
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        to: Option<String>,
    },
    /// Take a master key that seals nothing any more out of the file
    Drop {
        /// An id may begin with a dash
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

pub async fn run(engine: &Engine, action: Action) -> Result<()> {
    match action {
        Action::List => list(engine).await,
        Action::New => add(engine).await,
        Action::Rewrap { to } => rewrap(engine, to).await,
        Action::Drop { id } => {
            engine.drop_master_key(Actor::CommandLine, &id).await?;
            say!("{id} is no longer in the file");
            note!("do the same on every other node, and keep {id} with the backups that were made while it sealed");
            Ok(())
        }
    }
}

async fn add(engine: &Engine) -> Result<()> {
    let id = engine.add_master_key(Actor::CommandLine).await?;
    say!("{id}");
    note!(
        "{id} is in the file and seals nothing yet. Back the file up and copy it to every other node; servers read it \
         within seconds. Then: signet master-key rewrap"
    );
    Ok(())
}

async fn rewrap(engine: &Engine, to: Option<String>) -> Result<()> {
    let id = match to {
        Some(id) => id,
        None => engine.master_key_ids().pop().context("there is no master key here")?,
    };
    if engine.switch_master_key(Actor::CommandLine, &id).await? {
        note!("{id} seals from now on; sealing every record again");
    } else {
        note!("{id} seals already; sealing again what is not sealed under it yet");
    }
    let mut told = 0;
    let done = engine.rewrap(Actor::CommandLine, &id, |records| {
        let sum = records.keys + records.secrets;
        if sum >= told + TOLD_EVERY {
            told = sum;
            note!("{sum} records sealed again");
        }
    });
    let done = done.await?;
    let Records { keys, secrets } = done.records;
    note!("{keys} private halves of signing keys and {secrets} secrets and answers were sealed again");
    list(engine).await?;
    for (record, error) in done.stuck.iter().take(STUCK_SHOWN) {
        note!("{record} stays as it is: {error}");
    }
    if !done.stuck.is_empty() {
        bail!("{} records could not be sealed again; everything else was", done.stuck.len());
    }
    Ok(())
}

async fn list(engine: &Engine) -> Result<()> {
    let current = engine.current_master_key().await?;
    let mut records: BTreeMap<String, Records> = engine.records_by_master_key().await?;
    say!("{:<12}  {:<7}  {:>12}  {:>15}", "master key", "state", "signing keys", "secrets");
    for id in engine.master_key_ids() {
        let Records { keys, secrets } = records.remove(&id).unwrap_or_default();
        let state = if id == current { "current" } else { "held" };
        say!("{id:<12}  {state:<7}  {keys:>12}  {secrets:>15}");
    }
    for (id, Records { keys, secrets }) in records {
        say!("{id:<12}  {:<7}  {keys:>12}  {secrets:>15}", "missing");
    }
    Ok(())
}
