//! How it is wired: opens every ring once, then serves or runs one command. Knows everyone, decides nothing.

mod head_timer;
mod listener;
mod opening;
mod server;

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::{self, Command, Invocation};
use crate::config::{self, Config};
use crate::domain::secret::Secret;
use crate::domain::webhook::PlainHttp;
use crate::engine::clock::Clock;
use crate::store::Store;

pub use server::Server;

/// Runs what was commanded, to its end.
pub fn run(invocation: Invocation) -> ExitCode {
    let ran = runtime().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(execute(invocation)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if cli::complain(&error) {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}

/// The executor of requests and jobs. Deliveries have threads of their own, one for each core, so half as many do here:
/// more would only take turns and wake each other.
fn runtime() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    runtime::Builder::new_multi_thread().worker_threads(cores.div_ceil(2)).enable_all().build()
}

async fn execute(invocation: Invocation) -> Result<()> {
    let config = config::load(&invocation.flags, invocation.config_file.as_deref())?;
    // The demo tells its own story; a server's sentences would interrupt it.
    let quiet = matches!(invocation.command, Command::Demo);
    start_log(if quiet { "error" } else { &config.log })?;
    let clock = Clock::system();
    match invocation.command {
        Command::Serve => serve(config, clock).await,
        Command::Demo => demo(config).await,
        Command::Openapi => cli::say_description(&crate::api::DOCUMENT),
        Command::Migrate => {
            Store::open(config.database_url.reveal()).await?.close().await;
            cli::say_migrated(&config.shown_database())
        }
        Command::Keys { action, tenant } => {
            let opened = opening::for_command(&config, clock).await?;
            cli::admin::keys(&opened.engine, tenant, action).await
        }
        Command::ApiKey { action } => {
            let opened = opening::for_command(&config, clock).await?;
            cli::admin::api_key(&opened.engine, action).await
        }
        Command::Tenant { action } => {
            let opened = opening::for_command(&config, clock).await?;
            cli::tenants::tenant(&opened.engine, action).await
        }
        Command::EventTypes { action } => {
            let opened = opening::for_command(&config, clock).await?;
            cli::event_types::event_types(&opened.engine, action).await
        }
        Command::MasterKey { action } => {
            let opened = opening::for_command(&config, clock).await?;
            cli::master_key::run(&opened.engine, action).await
        }
        Command::Send(command) => {
            let admin_key = config.admin_key.as_ref().map(|key| key.reveal().as_str());
            cli::remote::send(&clock, command, &format!("http://{}", config.listen), admin_key).await
        }
        Command::Verify(command) => cli::remote::verify(&clock, command).await,
    }
}

fn start_log(filter: &str) -> Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("SIGNET_LOG: {filter:?} is not a tracing filter"))?;
    // A second start, in one test process, keeps the first.
    // It reports what a receiver's certificate lacks as an error of ours; the delivery log has it.
    let filter = filter.add_directive("rustls_platform_verifier=off".parse()?);
    // They would show parameters of the database's URL, and whole statements when the machine is slow.
    let filter =
        filter.add_directive("sqlx_postgres::options=error".parse()?).add_directive("sqlx::query=error".parse()?);
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let _ = log.try_init();
    Ok(())
}

async fn serve(config: Config, clock: Clock) -> Result<()> {
    // A socket per delivery under way and per caller: the usual soft limit of 1,024 is soon reached.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(error = &error as &dyn std::error::Error, "the limit on open files cannot be raised");
    }
    // A picture of this process after a crash would hold the keys that sign. Whoever wants one all the same can raise the
    // limit again while it runs.
    if let Err(error) = rlimit::Resource::CORE.get().and_then(|(_, hard)| rlimit::Resource::CORE.set(0, hard)) {
        tracing::warn!(error = &error as &dyn std::error::Error, "core dumps, which hold keys, cannot be turned off");
    }
    let server = Server::start(&config, clock).await?;
    server.print_banner(&config);
    tokio::select! {
        asked = ended() => asked?,
        () = server.job_lost() => anyhow::bail!("a part of the server ended unexpectedly; start it again, and report what the log says"),
    }
    tracing::info!("ending: finishing what is under way; once more to end at once");
    tokio::select! {
        () = server.stop() => Ok(()),
        impatient = ended() => impatient.and_then(|()| anyhow::bail!("ended at once")),
    }
}

/// Waits for somebody to ask for the end.
async fn ended() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// The demo's own settings: nothing of this installation is touched, and loopback is allowed for this process alone.
async fn demo(config: Config) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let api_key = opening::random_admin_key(&Clock::system())?;
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database_url: Secret::new(format!("sqlite://{}", folder.path().join("signet.db").display())),
        public_url: None,
        master_key_file: folder.path().join("master.key"),
        revocations_file: folder.path().join("revoked-keys"),
        master_key: None,
        key_provider: config::KeyProvider::Local,
        pkcs11: None,
        admin_key: Some(Secret::new(api_key.clone())),
        webhooks: Vec::new(),
        egress_allow: vec!["127.0.0.0/8".parse()?],
        plain_http: PlainHttp::Accepted,
        ..config
    };
    let server = Server::start(&config, Clock::system()).await?;
    let told = cli::demo::run(&cli::demo::Stage { server_url: server.url().to_owned(), api_key }).await;
    server.stop().await;
    told
}
