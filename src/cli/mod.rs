//! What is commanded. Parses words, calls the engine, prints; decides nothing.

/// Prints a line of an answer. Whoever asked is told when it cannot be written.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        writeln!(anstream::stdout(), $($text)*)?;
    }};
}

/// Prints a remark beside the answer. Nobody depends on it.
macro_rules! note {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(anstream::stderr(), $($text)*);
    }};
}

pub mod admin;
pub mod audit;
pub mod banner;
pub mod demo;
pub mod event_types;
pub mod master_key;
pub mod remote;
pub mod tenants;

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{Flags, SETTINGS};

/// What was commanded, and how to be configured meanwhile.
pub struct Invocation {
    pub command: Command,
    pub flags: Flags,
    pub config_file: Option<PathBuf>,
}

/// Webhooks that a receiver verifies with public keys instead of a shared secret.
#[derive(Debug, Parser)]
#[command(name = "signet", version, about, subcommand_required = false)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Read this file instead of signet.toml
    #[arg(long = "config", global = true, value_name = "FILE")]
    config_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API and the JWKS and deliver events; also what happens without a command
    Serve,
    /// Tell the whole story on a throw-away database: deliver, fail, retry, rotate, verify
    Demo,
    /// Print the description of the API (OpenAPI 3.1)
    Openapi,
    /// Bring the database up to date and do nothing else
    Migrate,
    /// Look at and change a tenant's signing keys
    Keys {
        #[command(subcommand)]
        action: admin::KeysAction,
        /// The tenant; the default one if none is named
        #[arg(long, global = true, value_name = "TENANT_ID")]
        tenant: Option<String>,
    },
    /// Make, list and revoke API keys
    ApiKey {
        #[command(subcommand)]
        action: admin::ApiKeyAction,
    },
    /// Make, change and list tenants
    Tenant {
        #[command(subcommand)]
        action: tenants::TenantAction,
    },
    /// Fill a tenant's catalogue of event types
    EventTypes {
        #[command(subcommand)]
        action: event_types::EventTypesAction,
    },
    /// Make, use and drop the master keys that seal all others
    MasterKey {
        #[command(subcommand)]
        action: master_key::Action,
    },
    /// Publish an event to a running server
    Send(remote::Send),
    /// Verify one token and print it, or say precisely why it must not be trusted
    Verify(remote::Verify),
}

/// Reads the command line. Prints and exits when it is not understood.
pub fn parse() -> Invocation {
    let command = SETTINGS.iter().filter(|setting| setting.is_flag).fold(Cli::command(), |command, setting| {
        let default =
            if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
        let flag = Arg::new(setting.name)
            .long(setting.name.replace('_', "-"))
            .value_name(setting.variable)
            .help(format!("{}{default}", setting.help))
            .global(true)
            .hide_short_help(true);
        command.arg(flag)
    });
    let matches = command.get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    Invocation { flags: flags(&matches), command: cli.command.unwrap_or(Command::Serve), config_file: cli.config_file }
}

/// Says that the database is up to date.
pub fn say_description(document: &str) -> anyhow::Result<()> {
    say!("{}", document.trim_end());
    Ok(())
}

pub fn say_migrated(database: &str) -> anyhow::Result<()> {
    say!("{database} is up to date");
    Ok(())
}

/// Says why a command failed; answers whether it did. Who closes the pipe has read enough: that is no failure.
pub fn complain(error: &anyhow::Error) -> bool {
    let has_read_enough = |cause: &std::io::Error| cause.kind() == ErrorKind::BrokenPipe;
    if error.downcast_ref::<std::io::Error>().is_some_and(has_read_enough) {
        return false;
    }
    note!("signet: {error:#}");
    true
}

fn flags(matches: &ArgMatches) -> Flags {
    let given = SETTINGS.iter().filter(|setting| setting.is_flag).filter_map(|setting| {
        let value = matches.get_one::<String>(setting.name)?;
        Some((setting.name, value.clone()))
    });
    given.collect()
}
