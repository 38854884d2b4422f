//! Servers, a receiver and the ledger between them: what every scenario plays on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Api;
use crate::home::Home;
use crate::ledger::{Endpoint, EventId, Ledger};
use crate::load::{self, Load, Sent};
use crate::pace::Backlog;
use crate::receiver::Receiver;
use crate::scenario::Setup;
use crate::server::Server;
use crate::usage::{self, Cpu};

/// What has not arrived so long after the load's end counts as missing.
const DRAIN_FOR_MAX: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);

pub struct Stage {
    /// They share one database and are otherwise equal.
    pub servers: Vec<Server>,
    pub receiver: Receiver,
    pub ledger: Ledger,
    pub backlog_max: u64,
    pub drain_for_max: Duration,
    /// After the servers, so that they end before what they stand on.
    pub home: Home,
}

/// One webhook: what it subscribes to, and how long its receiver takes to answer.
pub struct Webhook {
    pub subscription: &'static str,
    pub delay: Duration,
}

impl Stage {
    /// The webhook at place n of the list is the receiver's endpoint n.
    pub async fn open(setup: &Setup<'_>, nodes: usize, webhooks: &[Webhook]) -> Result<Self, Failure> {
        let receiver = Receiver::start(webhooks.iter().map(|webhook| webhook.delay).collect())?;
        let home = Home::make(setup.place, nodes)?;
        let mut servers = Vec::with_capacity(nodes);
        // One after the other, as the first one makes the schema and the keys.
        for address in &home.addresses {
            servers.push(Server::start(&setup.args.binary, &home, *address).await?);
        }
        let (backlog_max, drain_for_max) = (setup.args.backlog, DRAIN_FOR_MAX);
        let stage = Self { servers, receiver, ledger: Ledger::default(), backlog_max, drain_for_max, home };
        let urls = (0..).map(|endpoint| stage.receiver.url(endpoint));
        stage.register(urls.zip(webhooks.iter().map(|webhook| webhook.subscription))).await?;
        Ok(stage)
    }

    /// A webhook for each URL and what it subscribes to.
    pub async fn register(&self, webhooks: impl Iterator<Item = (String, &str)>) -> Result<(), Failure> {
        let registered = self.first()?.api.register(webhooks).await;
        registered.map_err(|error| self.explain(&error))
    }

    /// The server for whatever needs but one.
    pub fn first(&self) -> Result<&Server, Failure> {
        self.servers.first().ok_or_else(|| "the stage has no server".into())
    }

    pub fn apis(&self) -> Vec<Api> {
        self.servers.iter().map(|server| server.api.clone()).collect()
    }

    pub fn backlog(&self) -> Arc<Backlog> {
        Arc::new(Backlog::new(self.receiver.arrived(), self.backlog_max))
    }

    pub async fn send(&self, load: &Load) -> Result<Sent, Failure> {
        let sent = load::run(&self.apis(), load, self.backlog()).await;
        sent.map_err(|error| self.explain(&error))
    }

    /// Waits until everything sent has arrived everywhere it must; returns what has not.
    pub async fn drain(&mut self, sent: &Sent, load: &Load) -> Vec<(Endpoint, EventId)> {
        let waited_from = Instant::now();
        let mut missing: Vec<(Endpoint, EventId)> = load
            .endpoints
            .clone()
            .flat_map(|endpoint| sent.posts.iter().map(move |post| (endpoint, post.event)))
            .collect();
        loop {
            self.ledger.record(self.receiver.take());
            let ledger = &self.ledger;
            missing.retain(|&(endpoint, event)| ledger.arrived_at(endpoint, event).is_none());
            if missing.is_empty() || waited_from.elapsed() > self.drain_for_max {
                return missing;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    pub fn cpu(&self) -> Result<Cpu, Failure> {
        let mut servers = Duration::ZERO;
        for server in &self.servers {
            servers += usage::cpu_time(server.pid()).map_err(|error| self.explain(&error))?;
        }
        let database = self.home.database_pid().map(usage::family_cpu_time).transpose()?;
        Ok(Cpu { servers, database, bench: usage::cpu_time(std::process::id())? })
    }

    /// Memory of all servers together, by what is asked of each.
    pub fn resident_mib(&self, of_each: fn(u32) -> Result<f64, Failure>) -> Result<f64, Failure> {
        let each = self.servers.iter().map(|server| of_each(server.pid()));
        each.sum::<Result<f64, Failure>>().map_err(|error| self.explain(&error))
    }

    /// Nothing when the database is part of the server.
    pub fn database_mib(&self) -> Result<Option<f64>, Failure> {
        self.home.database_pid().map(usage::family_mib).transpose()
    }

    /// What went wrong, with the servers' last words.
    pub fn explain(&self, error: &dyn std::fmt::Display) -> Failure {
        format!("{error}{}", self.log_end()).into()
    }

    pub fn log_end(&self) -> String {
        self.servers.iter().map(Server::log_end).collect()
    }
}
