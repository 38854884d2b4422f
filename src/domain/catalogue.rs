//! The catalogue of a tenant: which event types there are, what their data looks like, and how strictly it is kept.

use bytes::Bytes;

use super::event_type::{EventType, Subscription};
use super::time::Timestamp;

/// The most event types of one tenant. It bounds what a node keeps of a catalogue in memory.
pub const TYPES_MAX: usize = 1_000;
/// The longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// The largest schema, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// The largest sample, in bytes.
pub const SAMPLE_BYTES_MAX: usize = 64 * 1024;
/// All schemas and samples of one tenant together, in bytes. Schemas grow when they are compiled, and a page of a list has
/// many of both.
pub const CATALOGUE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How strictly a catalogue is kept. Unless it says otherwise, it is there to be read and hinders nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether event types that it does not know are refused.
    pub is_closed: bool,
    /// Whether events whose data does not satisfy their type's schema are refused.
    pub enforces_schema: bool,
}

impl Rules {
    /// Nothing is refused.
    pub const OPEN: Self = Self { is_closed: false, enforces_schema: false };
}

/// What an event type is like, as somebody described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub text: String,
    /// Whether it stands for the types beneath it and is not published itself.
    pub is_group: bool,
    /// A JSON Schema, byte for byte as it came.
    pub schema: Option<Bytes>,
    /// Data of an event of this type, byte for byte as it came.
    pub sample: Option<Bytes>,
    /// The preset that it came with.
    pub preset: Option<Preset>,
}

impl Description {
    /// How much its schema and its sample come to.
    pub fn bytes(&self) -> usize {
        [&self.schema, &self.sample].into_iter().flatten().map(Bytes::len).sum()
    }
}

/// An event type of a catalogue.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its place in lists.
    pub id: [u8; 16],
    pub name: EventType,
    pub description: Description,
    /// The version of the catalogue in which it was changed last: of no type, also not of one that was deleted and
    /// described again, is one given twice.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A catalogue that comes with Signet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Hanko,
    Hellojohn,
}

impl Preset {
    pub const ALL: [Self; 2] = [Self::Hanko, Self::Hellojohn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hanko => "hanko",
            Self::Hellojohn => "hellojohn",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text)
    }
}

impl Subscription {
    /// Whether somebody who knows these types, may wish for this: everything, a known type, what
    /// lies above one, or what Signet itself has to tell.
    pub fn is_known_among<'t>(&self, known: impl IntoIterator<Item = &'t EventType>) -> bool {
        match self {
            Self::Everything => true,
            Self::Beneath(name) => {
                name.is_reserved() || known.into_iter().any(|known| known.lineage().any(|above| above == name.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subscription: &str, is_known: bool) {
        let known: Vec<EventType> = ["user", "user.created", "order.item.added"].map(|n| n.parse().unwrap()).into();
        let wished: Subscription = subscription.parse().unwrap();

        assert_eq!(wished.is_known_among(&known), is_known, "{subscription}");
    }

    #[test]
    fn a_subscription_is_known_when_it_covers_a_known_type() {
        check("*", true);
        check("user", true);
        check("user.created", true);
        check("order", true);
        check("order.item", true);
        check("signet.key.revoked", true);
        check("users", false);
        check("user.created.twice", false);
        check("order.it", false);
    }
}
