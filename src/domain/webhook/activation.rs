//! How a receiver shows that it wants the deliveries of a webhook, so that nobody's server is sent what it never asked for.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// How often it may be asked to.
pub const EVERY: (Duration, Duration) = (Duration::from_hours(1), Duration::from_hours(365 * 24));

/// How it shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationMethod {
    /// It verifies a signed challenge and answers with what was in it.
    Challenge,
    /// It names us as a welcome origin when it is asked with `OPTIONS` (CloudEvents 1.0, HTTP webhooks 4).
    Options,
}

impl ActivationMethod {
    pub const ALL: [Self; 2] = [Self::Challenge, Self::Options];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Options => "options",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// What a webhook's receiver must show before it is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    pub method: ActivationMethod,
    /// How often it must show it again; once is enough by default.
    pub every: Option<Duration>,
    /// When it must the next time.
    pub due_at: Option<Timestamp>,
}

/// No receiver is asked that often, or that seldom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is a number of seconds from 3600 (an hour) to 31536000 (a year)")]
pub struct MalformedInterval;

impl Activation {
    pub fn new(method: ActivationMethod, every: Option<Duration>) -> Result<Self, MalformedInterval> {
        if every.is_some_and(|every| every < EVERY.0 || every > EVERY.1) {
            return Err(MalformedInterval);
        }
        Ok(Self { method, every, due_at: None })
    }

    /// The same after it was shown.
    #[must_use]
    pub fn shown_at(self, now: Timestamp) -> Self {
        Self { due_at: self.every.map(|every| now.plus(every)), ..self }
    }

    /// The same after a change: what was due before stays due, and no later than the interval says. Writing down what is there
    /// already puts nothing off.
    #[must_use]
    pub fn still_due(self, before: Option<Timestamp>, now: Timestamp) -> Self {
        let latest = self.shown_at(now).due_at;
        Self { due_at: latest.map(|latest| before.map_or(latest, |before| before.min(latest))), ..self }
    }
}
