//! A running server: a listener, the jobs, and their orderly end.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::listener::{self, Doors};
use super::opening;
use crate::cli::banner::{self, Banner, Warning};
use crate::config::{Config, Faults};
use crate::domain::access::{ApiKeySecret, Scope};
use crate::domain::key_ring::Profile;
use crate::engine::access::NewApiKey;
use crate::engine::clock::Clock;
use crate::engine::webhooks::DeclareError;
use crate::engine::{
    Engine, Inboxes, activation, dispatch, hooks, ingest, leftovers, mailbox, nodes, rotate, senders, settle, sweep,
};
use crate::store::queue;
use crate::{api, engine};

/// How long requests that were accepted may take to end.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(5);

/// A server that accepts, delivers and rotates until it is stopped.
pub struct Server {
    engine: Arc<Engine>,
    url: String,
    jobs: Jobs,
    made_master_key: Option<PathBuf>,
    made_api_key: Option<ApiKeySecret>,
    _lock: Option<File>,
}

/// The tasks of a server, and the words that end them.
struct Jobs {
    end_requests: CancellationToken,
    end_intake: CancellationToken,
    end_work: CancellationToken,
    end_sending: CancellationToken,
    abandon: CancellationToken,
    /// Cancelled when a job ends that was not told to.
    lost: CancellationToken,
    requests: JoinHandle<()>,
    intake: JoinHandle<()>,
    work: Vec<JoinHandle<()>>,
    sending: Vec<JoinHandle<()>>,
    /// Those that go on for as long as anything is under way: what writes outcomes, and what shows that this node lives.
    last: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens everything, makes what a first start lacks, and begins to serve.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self> {
        let lock = opening::lock_database(config)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("{} cannot be listened on; choose another with SIGNET_LISTEN", config.listen))?;
        let own = listener.local_addr()?;
        let url = format!("http://{own}");
        let public_url = config.public_url.clone().unwrap_or_else(|| url.clone());
        let opened = opening::open(config, clock, public_url, Some(own)).await?;
        let engine = opened.engine;
        engine.confirm_providers().await?;
        // What is loaded here is served from here on, and so it is what this node enters itself with.
        engine.refresh_keys().await?;
        if engine.store.is_shared() {
            engine.join().await?;
        } else {
            release_what_a_dead_server_held(&engine).await?;
        }
        if let Err(error) = engine.open_days().await {
            // Until the sweep has made them, the rest takes everything in.
            tracing::warn!(error = &error as &dyn std::error::Error, "days have no rooms of their own yet");
        }
        engine.refresh_keys().await?;
        engine.ensure_default_tenant().await?;
        engine.step_all_rings().await?;
        if engine.store.is_shared() {
            // The others wait for this node's word that it serves their keys.
            engine.join().await?;
        }
        declare_webhooks(&engine, config).await?;
        let made_api_key = if config.admin_key.is_some() { None } else { first_api_key(&engine).await? };
        let jobs = Jobs::start(&engine, opened.inboxes, listener)?;
        Ok(Self { engine, url, jobs, made_master_key: opened.made_master_key, made_api_key, _lock: lock })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it works with.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns when a job has ended that should run for as long as the server does.
    pub async fn job_lost(&self) {
        self.jobs.lost.cancelled().await;
    }

    /// The API key of a first start.
    pub fn made_api_key(&self) -> Option<&ApiKeySecret> {
        self.made_api_key.as_ref()
    }

    pub(super) fn print_banner(&self, config: &Config) {
        let jwks_uri = match self.engine.default_keys() {
            Some(keys) => format!("{}/.well-known/jwks.json", keys.issuer),
            None => String::new(),
        };
        let is_local = config.listen.ip().is_loopback() && config.public_url.is_none();
        let warnings = [
            (config.listen.ip().is_unspecified() && config.public_url.is_none(), Warning::Issuer),
            (config.key_policy.profile() == Profile::Development, Warning::Margins),
            (is_local && opening::example_url(config).starts_with("https"), Warning::Loopback),
        ];
        let warnings = warnings.into_iter().filter_map(|(holds, warning)| holds.then_some(warning)).collect();
        banner::print(&Banner {
            url: &self.url,
            jwks_uri: &jwks_uri,
            database_url: &config.shown_database(),
            made_master_key: self.made_master_key.as_ref().map(|path| path.display().to_string()),
            made_api_key: self.made_api_key.as_ref().map(ApiKeySecret::reveal),
            has_admin_key: config.admin_key.is_some(),
            warnings,
            example_url: opening::example_url(config),
        });
    }

    /// Stops accepting, finishes or gives back what is under way, and closes the database. Takes at most 35 s.
    pub async fn stop(self) {
        self.engine.send_pollers_home();
        self.jobs.end().await;
        if let Err(error) = self.engine.leave().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was claimed is not given back; it is due again when its lease ends"
            );
        }
        self.engine.store.close().await;
    }
}

impl Jobs {
    fn start(engine: &Arc<Engine>, inboxes: Inboxes, listener: TcpListener) -> Result<Self> {
        let [end_requests, end_intake, end_work, end_sending, abandon, lost] =
            std::array::from_fn(|_| CancellationToken::new());
        let doors = Doors { engine: engine.clone(), router: api::router(engine.clone()) };
        let work = vec![
            watched(&lost, &end_work, dispatch::run(engine.clone(), end_work.clone())),
            watched(&lost, &end_work, rotate::run(engine.clone(), end_work.clone())),
            watched(&lost, &end_work, leftovers::run(engine.clone(), end_work.clone())),
            watched(&lost, &end_work, sweep::run(engine.clone(), end_work.clone())),
            watched(&lost, &end_work, activation::run(engine.clone(), end_work.clone())),
            watched(&lost, &end_work, mailbox::run(engine.clone(), end_work.clone())),
        ];
        let mut last = vec![
            watched(&lost, &abandon, settle::run(engine.clone(), inboxes.settle, abandon.clone())),
            watched(&lost, &abandon, hooks::run(engine.clone(), inboxes.hook_log, abandon.clone())),
        ];
        if engine.store.is_shared() {
            last.push(watched(&lost, &abandon, nodes::run(engine.clone(), abandon.clone())));
        }
        let sender = |outbox| {
            let job = senders::run(engine.clone(), outbox, end_sending.clone());
            watched_thread(&lost, &end_sending, job)
        };
        Ok(Self {
            requests: watched(&lost, &end_requests, listener::serve(listener, doors, end_requests.clone())),
            intake: watched(&lost, &end_intake, ingest::run(engine.clone(), inboxes.ingest, end_intake.clone())),
            work,
            sending: inboxes.senders.into_iter().map(sender).collect::<Result<_>>()?,
            last,
            lost,
            end_requests,
            end_intake,
            end_work,
            end_sending,
            abandon,
        })
    }

    /// Ends the jobs in the order in which they feed each other.
    async fn end(mut self) {
        self.end_requests.cancel();
        if tokio::time::timeout(REQUESTS_END_WITHIN, &mut self.requests).await.is_err() {
            self.requests.abort();
        }
        self.end_intake.cancel();
        let _ = self.intake.await;
        self.end_work.cancel();
        for job in self.work {
            let _ = job.await;
        }
        self.end_sending.cancel();
        for thread in self.sending {
            let _ = thread.await;
        }
        self.abandon.cancel();
        for job in self.last {
            let _ = job.await;
        }
    }
}

/// Starts a job, and raises the alarm when it ends, or panics, before it is told to.
fn watched(
    lost: &CancellationToken,
    end: &CancellationToken,
    job: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let alarm = Alarm { lost: lost.clone(), end: end.clone() };
    tokio::spawn(async move {
        let _alarm = alarm;
        job.await;
    })
}

/// Starts a job on a thread with an executor of its own, watched likewise.
fn watched_thread(
    lost: &CancellationToken,
    end: &CancellationToken,
    job: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>> {
    let executor = runtime::Builder::new_current_thread().enable_all().build()?;
    let alarm = Alarm { lost: lost.clone(), end: end.clone() };
    let (ended, has_ended) = oneshot::channel::<()>();
    let body = move || {
        let _alarm = alarm;
        let _ended = ended;
        executor.block_on(job);
    };
    thread::Builder::new().name("sender".to_owned()).spawn(body)?;
    Ok(tokio::spawn(async move {
        // Nothing is ever sent: the other end is dropped when the thread ends, however it ends.
        let _ = has_ended.await;
    }))
}

struct Alarm {
    lost: CancellationToken,
    end: CancellationToken,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if !self.end.is_cancelled() {
            self.lost.cancel();
        }
    }
}

/// Makes declared webhooks what the configuration says. A node that cannot is gone before anybody counts on it.
async fn declare_webhooks(engine: &Engine, config: &Config) -> Result<()> {
    let declared = engine.declare_webhooks(&config.webhooks).await;
    if declared.is_err()
        && engine.store.is_shared()
        && let Err(error) = engine.leave().await
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the other nodes wait for this one until they miss it"
        );
    }
    declared.map_err(|error| match error {
        DeclareError::Faulty(faults) => Faults(faults).into(),
        error => anyhow::Error::from(error).context("webhooks cannot be made what the configuration declares"),
    })
}

async fn release_what_a_dead_server_held(engine: &Engine) -> Result<()> {
    let mut tx = engine.store.write().await?;
    let released = queue::release_all(tx.conn(), engine.clock.now()).await?;
    tx.commit().await?;
    if released > 0 {
        tracing::info!(deliveries.count = released, "deliveries that an earlier server had in hand are due at once");
    }
    Ok(())
}

/// The API key of a newcomer: made when there never was one.
async fn first_api_key(engine: &engine::Engine) -> Result<Option<ApiKeySecret>> {
    let wish = NewApiKey { tenant_id: None, label: "made at the first start".to_owned(), scopes: vec![Scope::Admin] };
    Ok(engine.create_first_api_key(wish).await?)
}
