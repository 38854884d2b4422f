//! Filling a catalogue from the command line.

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::domain::audit::Actor;
use crate::domain::catalogue::Preset;
use crate::domain::id::TenantId;
use crate::engine::Engine;
use crate::engine::catalogue::Put;

#[derive(Debug, Subcommand)]
pub enum EventTypesAction {
    /// Describe the event types of a catalogue that comes with Signet
    Import {
        /// hanko or hellojohn
        #[arg(long)]
        preset: String,
        /// The tenant; the default one if none is named
        #[arg(long, value_name = "TENANT_ID")]
        tenant: Option<String>,
    },
}

pub async fn event_types(engine: &Engine, action: EventTypesAction) -> Result<()> {
    let EventTypesAction::Import { preset, tenant } = action;
    let known = Preset::ALL.map(Preset::as_str).join(" or ");
    let preset = Preset::parse(&preset).with_context(|| format!("--preset is {known}"))?;
    let keys = match tenant {
        Some(id) => engine.keys_of(id.parse::<TenantId>()?).context("there is no such tenant")?,
        None => engine.default_keys().context("there is no tenant yet; start the server once")?,
    };
    for (put, described) in engine.load_preset(Actor::CommandLine, keys.tenant.id, preset).await? {
        let words = if put == Put::Made { "made" } else { "replaced" };
        say!("{words:<8}  {}", described.name);
    }
    Ok(())
}
