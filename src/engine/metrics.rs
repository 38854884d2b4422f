//! Counts for operators, as Prometheus reads them (OpenMetrics 1.0).
//!
//! Whoever reaches this server may read them, as they may ask whether it is healthy. So no tenant, no address and no words of
//! anybody's are among the labels: only what the code itself has words for, which also bounds how many there are.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Engine;
use crate::domain::hook::{HookKind, HookOutcome};

/// Where the durations of questions are cut, in seconds: from what Signet itself takes to what a receiver is given.
const QUESTION_SECONDS: [f64; 12] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    hook: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    hook: &'static str,
}

pub(super) struct Metrics {
    registry: Registry,
    executions: Family<Ended, Counter>,
    refused: Family<Asked, Counter>,
    durations: Family<Asked, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("signet");
        let executions = Family::<Ended, Counter>::default();
        let durations: Family<Asked, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(QUESTION_SECONDS));
        let words = "Questions to authentication hooks, by how they ended";
        registry.register("hook_executions", words, executions.clone());
        let words = "Questions to authentication hooks that were answered 503, because too many were under way";
        let refused = Family::<Asked, Counter>::default();
        registry.register("hook_refused", words, refused.clone());
        let words = "What questions to authentication hooks took, those that nobody was asked left out";
        registry.register_with_unit("hook_duration", words, Unit::Seconds, durations.clone());
        Self { registry, executions, refused, durations }
    }
}

impl Metrics {
    /// Counts a question; `took_for` is for those that somebody was asked.
    pub(super) fn count(&self, kind: HookKind, outcome: HookOutcome, took_for: Option<Duration>) {
        let hook = kind.as_str();
        self.executions.get_or_create(&Ended { hook, outcome: outcome.as_str() }).inc();
        if let Some(took_for) = took_for {
            self.durations.get_or_create(&Asked { hook }).observe(took_for.as_secs_f64());
        }
    }
}

impl Metrics {
    /// Counts a question that was not put.
    pub(super) fn count_refused(&self, kind: HookKind) {
        self.refused.get_or_create(&Asked { hook: kind.as_str() }).inc();
    }
}

impl Engine {
    /// All counts of this node since it was started.
    pub fn metrics(&self) -> String {
        let mut written = String::new();
        // Writing into memory does not fail.
        let _ = text::encode(&mut written, &self.metrics.registry);
        written
    }
}
