//! Names of events and who wants to hear of them.
//!
//! Matching walks whole segments: a subscription to `user` covers `user` and everything beneath it, `user.update` never
//! covers `user.updated`. A reader of the queue never sees this: it is decided once, when an event is accepted.

use std::fmt;
use std::str::FromStr;

/// The longest name of an event, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// The most segments a name has. It bounds the lineages that are looked up for an event.
pub const SEGMENTS_MAX: usize = 8;

/// What a receiver is asked by whether it wants deliveries: it answers with the `challenge` of the data.
pub const CHALLENGE: &str = "signet.challenge";

/// How a subscription to everything is written.
const EVERYTHING: &str = "*";

/// Segments `[a-z0-9_]+` joined by dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(String);

/// The text names no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEventType {
    #[error("is empty; an event type is segments of a-z, 0-9 and _ joined by dots, such as user.created")]
    Empty,
    #[error("is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("has more than {SEGMENTS_MAX} segments")]
    TooDeep,
    #[error("has an empty segment; write single dots between segments and none at the ends")]
    EmptySegment,
    #[error("contains {0:?}; only a-z, 0-9 and _ may stand between the dots")]
    ForbiddenCharacter(char),
    #[error(
        "contains '*' beside other characters; a name covers all beneath it already, and \"*\" alone covers everything"
    )]
    Star,
}

impl EventType {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of Signet's own: nobody else may publish these.
    pub fn is_reserved(&self) -> bool {
        self.0.split('.').next() == Some("signet")
    }

    /// The names that cover this one, widest first and itself last: `user`, `user.update`, `user.update.email`.
    pub fn lineage(&self) -> impl Iterator<Item = &str> {
        let dots = self.0.match_indices('.').map(|(at, _)| at);
        dots.chain([self.0.len()]).map(|end| &self.0[..end])
    }

    /// The subscriptions that cover an event of this type, as they are written: whoever has one of these is concerned.
    /// Everything is everything that the platform publishes; Signet's own events are asked for by name.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.lineage().chain((!self.is_reserved()).then_some(EVERYTHING))
    }
}

impl FromStr for EventType {
    type Err = MalformedEventType;

    fn from_str(text: &str) -> Result<Self, MalformedEventType> {
        if text.is_empty() {
            return Err(MalformedEventType::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(MalformedEventType::TooLong);
        }
        let forbidden = |c: &char| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '.');
        if let Some(c) = text.chars().find(forbidden) {
            return Err(MalformedEventType::ForbiddenCharacter(c));
        }
        if text.split('.').any(str::is_empty) {
            return Err(MalformedEventType::EmptySegment);
        }
        if text.split('.').count() > SEGMENTS_MAX {
            return Err(MalformedEventType::TooDeep);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a webhook asks to hear of: everything, or a name and all that lies beneath it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subscription {
    Everything,
    Beneath(EventType),
}

impl Subscription {
    /// How it is written: `*` or the name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Everything => EVERYTHING,
            Self::Beneath(name) => name.as_str(),
        }
    }
}

impl FromStr for Subscription {
    type Err = MalformedEventType;

    fn from_str(text: &str) -> Result<Self, MalformedEventType> {
        match text {
            EVERYTHING => Ok(Self::Everything),
            name if name.contains('*') => Err(MalformedEventType::Star),
            name => name.parse().map(Self::Beneath),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(subscription: &str, event_type: &str, covers: bool) {
        let subscription = subscription.parse::<Subscription>().unwrap();
        let event_type = event_type.parse::<EventType>().unwrap();

        let is_covered = event_type.subscriptions().any(|name| name == subscription.as_str());

        assert_eq!(is_covered, covers, "{subscription:?} and {event_type}");
    }

    #[test]
    fn a_subscription_covers_whole_segments() {
        check("user", "user", true);
        check("user", "user.created", true);
        check("user.update", "user.update.email.create", true);
        check("*", "session.created", true);
        check("user.update", "user.updated", false);
        check("user.update", "user", false);
        check("use", "user", false);
        check("session", "user.session", false);
        check("signet", "signet.webhook.disabled", true);
        check("*", "signet.webhook.disabled", false);
    }

    #[test]
    fn a_malformed_name_is_refused_with_its_reason() {
        let refused = |text: &str| text.parse::<EventType>().unwrap_err();

        assert_eq!(refused(""), MalformedEventType::Empty);
        assert_eq!(refused("user..created"), MalformedEventType::EmptySegment);
        assert_eq!(refused(".user"), MalformedEventType::EmptySegment);
        assert_eq!(refused("User"), MalformedEventType::ForbiddenCharacter('U'));
        assert_eq!(refused("*"), MalformedEventType::ForbiddenCharacter('*'));
        assert_eq!("user.*".parse::<Subscription>(), Err(MalformedEventType::Star));
        assert_eq!(refused(&"a".repeat(129)), MalformedEventType::TooLong);
        assert_eq!(refused("a.b.c.d.e.f.g.h.i"), MalformedEventType::TooDeep);
    }

    proptest! {
        #[test]
        fn a_name_covers_another_exactly_when_its_segments_begin_the_others(
            short in prop::collection::vec("[a-c]{1,2}", 1..4),
            long in prop::collection::vec("[a-c]{1,2}", 1..6),
        ) {
            let subscription = short.join(".").parse::<Subscription>().unwrap();
            let event_type = long.join(".").parse::<EventType>().unwrap();

            let is_covered = event_type.subscriptions().any(|name| name == subscription.as_str());

            prop_assert_eq!(is_covered, long.starts_with(&short));
        }
    }
}
