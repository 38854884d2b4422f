//! The margins that a test may take away, one at a time, to see that somebody is hurt.

use std::time::Duration;

use signet::domain::key_ring::{KeyPolicy, Margins, Profile};

/// Something that keeps receivers from harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    /// A key is published for as long as receivers may keep a set.
    PublishAhead,
    /// So are the HTTP caches before receivers waited for.
    HttpCaches,
    /// A key stays published for as long as its tokens are of use.
    Grace,
    /// A key signs only when every node serves it.
    Barrier,
    /// What a lost node may still serve is waited out.
    LostNodes,
    /// Spans are measured by clocks that nobody can set.
    ServiceTime,
    /// Two nodes never count the same span.
    OneCount,
    /// What is counted from an instant began after it.
    Marks,
    /// A node that does not hear from the database stops signing.
    SigningLease,
    /// A node that does not hear from the database stops serving the JWKS.
    JwksEnd,
    /// Only a node that the others can see goes on serving the JWKS.
    Registration,
    /// A key is published when the last node says that it serves it.
    LastReport,
    /// Revocations are written down apart from the database.
    Revocations,
}

/// The world as it is, or without one margin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Without(pub Option<Margin>);

impl Without {
    pub const NOTHING: Self = Self(None);

    pub fn has(self, margin: Margin) -> bool {
        self.0 != Some(margin)
    }

    /// The policy that a ring is told in place of this one. Only the development profile, which promises nothing to
    /// receivers, allows margins that are too short.
    pub fn policy(self, policy: KeyPolicy) -> KeyPolicy {
        let margins = match self.0 {
            Some(Margin::PublishAhead) => Margins { publish_ahead: Duration::from_hours(1), ..policy.margins() },
            Some(Margin::HttpCaches) => Margins { publish_ahead: Duration::from_hours(25), ..policy.margins() },
            Some(Margin::Grace) => Margins { grace: Duration::from_mins(1), ..policy.margins() },
            _ => return policy,
        };
        KeyPolicy::new(Profile::Development, margins).unwrap()
    }
}
