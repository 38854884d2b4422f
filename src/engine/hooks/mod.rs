//! Authentication hooks: putting a question to a tenant's server, once and within seconds, and answering what counts as said.
//!
//! ```text
//!  POST /v1/hooks/{kind} ─▶ known ─▶ places ─▶ question ─▶ wire ─▶ signing ─▶ egress ─▶ receiver
//!                                                  │ decided by the domain
//!                                                  └────▶ the platform;  log, written by a job of its own
//! ```
//! Somebody waits while a question is under way, so nothing of it waits for a disk: what is configured is kept for a second,
//! and what came of it is written down afterwards.

mod config;
mod known;
mod log;
mod places;
mod question;

use std::sync::Arc;

use tokio::sync::mpsc;

use super::clock::NoRandomness;
use super::keys::KeysError;
use crate::domain::hook::Execution;
use crate::domain::webhook::MalformedSecret;
use crate::egress::{Egress, EgressError};
use crate::signing::{SigningError, TooManySecrets};
use crate::store::StoreError;

pub use config::{ChangedHooks, HookChange, RotatedHookSecret, answer_keys};
pub use log::run;
pub use question::Answered;

use known::Known;
use places::Places;

/// What hooks work with.
pub(super) struct Hooks {
    known: Known,
    places: Arc<Places>,
    log: mpsc::Sender<Execution>,
    egress: Egress,
}

/// Executions that wait to be written down.
pub type LogInbox = mpsc::Receiver<Execution>;

impl Hooks {
    pub(super) fn new(egress: &Egress) -> Result<(Self, LogInbox), EgressError> {
        let (log, inbox) = mpsc::channel(log::WAITING_MAX);
        let hooks = Self { known: Known::default(), places: Arc::default(), log, egress: egress.asking_once()? };
        Ok((hooks, inbox))
    }
}

/// A question was not put.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error("as many questions are under way as may be")]
    Overloaded,
    #[error("a question to a hook panicked")]
    Panicked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Hooks were not changed.
#[derive(Debug, thiserror::Error)]
pub enum HookConfigError {
    /// A hook that is not there yet needs a URL.
    #[error("the hook has no URL yet")]
    NoUrl(crate::domain::hook::HookKind),
    /// One answer for every address that may not be reached, so that nobody can map a network by asking.
    #[error("the URL's host may not be reached")]
    Blocked(crate::domain::hook::HookKind),
    #[error(transparent)]
    MalformedSecret(#[from] MalformedSecret),
    #[error(transparent)]
    TooManySecrets(#[from] TooManySecrets),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}
