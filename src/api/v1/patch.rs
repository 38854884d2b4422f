//! What a PATCH says of a member: nothing, that it shall be as by default, or what it shall be.

use serde::{Deserialize, Deserializer};

use crate::engine::webhooks::Choice;

/// Refuses null where there is no value to take back.
pub(super) fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A member of a merge patch (RFC 7396): absent, or null to take the value back, or a new value.
#[derive(Debug, Default)]
pub(super) enum Patched<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patched<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

impl<T> Patched<T> {
    /// What it means for a choice. What is not understood changes nothing; its fault is told.
    pub(super) fn choice<U>(self, understand: impl FnOnce(T) -> Option<U>) -> Choice<U> {
        match self {
            Self::Absent => Choice::Unchanged,
            Self::Null => Choice::Standard,
            Self::Value(value) => understand(value).map_or(Choice::Unchanged, Choice::Own),
        }
    }
}
