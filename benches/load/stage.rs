//! A server, a receiver and the ledger between them: what every scenario plays on.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::ledger::{Endpoint, EventId, Ledger};
use crate::load::{self, Load, Sent};
use crate::pace::Backlog;
use crate::receiver::Receiver;
use crate::server::Server;

/// What has not arrived so long after the load's end counts as missing.
const DRAIN_FOR_MAX: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);

pub struct Stage {
    pub server: Server,
    pub receiver: Receiver,
    pub ledger: Ledger,
    backlog_max: u64,
}

/// One webhook: what it subscribes to, and how long its receiver takes to answer.
pub struct Webhook {
    pub subscription: &'static str,
    pub delay: Duration,
}

impl Stage {
    /// The webhook at place n of the list is the receiver's endpoint n.
    pub async fn open(binary: &Path, webhooks: &[Webhook], backlog_max: u64) -> Result<Self, Failure> {
        let receiver = Receiver::start(webhooks.iter().map(|webhook| webhook.delay).collect())?;
        let server = Server::start(binary).await?;
        let stage = Self { server, receiver, ledger: Ledger::default(), backlog_max };
        for (endpoint, webhook) in webhooks.iter().enumerate() {
            let url = stage.receiver.url(endpoint);
            let registered = stage.server.api.register(&url, webhook.subscription).await;
            registered.map_err(|error| stage.explain(&error))?;
        }
        Ok(stage)
    }

    pub async fn send(&self, load: &Load) -> Result<Sent, Failure> {
        let backlog = Backlog::new(self.receiver.arrived(), self.backlog_max);
        let sent = load::run(&self.server.api, load, backlog).await;
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
            if missing.is_empty() || waited_from.elapsed() > DRAIN_FOR_MAX {
                return missing;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// What went wrong, with the server's last words.
    pub fn explain(&self, error: &dyn std::fmt::Display) -> Failure {
        format!("{error}{}", self.server.log_end()).into()
    }
}
