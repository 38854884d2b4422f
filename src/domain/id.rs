//! Identifiers: sixteen bytes, a type per kind of thing, shown as a prefix and a ULID.
//!
//! Ids are never made here: `engine/clock.rs` hands out the bytes.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

use super::time::Timestamp;

/// The text is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is `{prefix}_` and 26 characters of Crockford base32")]
pub struct MalformedId {
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What its text begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Takes the sixteen bytes of a ULID as they are.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes, in the order in which ids sort.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; ulid::ULID_LEN];
                let text = Ulid::from_bytes(self.0).array_to_str(&mut text);
                write!(f, concat!($prefix, "_{}"), text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                let malformed = MalformedId { prefix: $prefix };
                let ulid = text
                    .strip_prefix(concat!($prefix, "_"))
                    .and_then(|ulid| Ulid::from_string(ulid).ok())
                    .ok_or(malformed.clone())?;
                let id = Self(ulid.to_bytes());
                // Crockford's alphabet has synonyms; one spelling per id keeps ids comparable as text.
                if id.to_string() == text { Ok(id) } else { Err(malformed) }
            }
        }
    };
}

id!(
    /// A tenant: a platform's customer or environment, with keys and webhooks of its own.
    TenantId, "tnt"
);
id!(
    /// A webhook: a URL that wants to hear of some events.
    WebhookId, "wh"
);
id!(
    /// An event: something that happened, once.
    EventId, "evt"
);
id!(
    /// A delivery, as formats show it that have an id of their own for each.
    DeliveryId, "del"
);
id!(
    /// An API key, by its row; not the key itself.
    ApiKeyId, "key"
);
id!(
    /// One request to the API.
    RequestId, "req"
);
id!(
    /// One attempt to answer a request that came under an idempotency key.
    AnswerId, "ans"
);
id!(
    /// One question that an authentication hook was asked.
    ExecutionId, "hk"
);
id!(
    /// One running server.
    NodeId, "node"
);

/// The least id of this instant: ids begin with their millisecond.
fn first_at(instant: Timestamp) -> [u8; 16] {
    let millis = u128::try_from(instant.as_micros() / 1_000).unwrap_or_default();
    (millis << 80).to_be_bytes()
}

impl ExecutionId {
    /// The least id of a question that was put at or after this instant.
    pub fn first_at(instant: Timestamp) -> Self {
        Self(first_at(instant))
    }
}

impl EventId {
    /// The least id of an event accepted at or after this instant.
    pub fn first_at(instant: Timestamp) -> Self {
        Self(first_at(instant))
    }

    /// When its event was accepted, to the millisecond.
    pub fn accepted_at(&self) -> Timestamp {
        let millis = u128::from_be_bytes(self.0) >> 80;
        Timestamp::from_micros(i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1_000))
    }

    /// The least id above this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(u128::from_be_bytes(self.0).saturating_add(1).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_being_written_and_read() {
        let id = WebhookId::from_bytes([7; 16]);

        let read = id.to_string().parse::<WebhookId>();

        assert_eq!(read, Ok(id));
    }

    #[test]
    fn an_id_of_another_kind_or_spelling_is_refused() {
        let event = EventId::from_bytes([7; 16]).to_string();

        assert!(event.parse::<WebhookId>().is_err());
        assert!(event.to_lowercase().parse::<EventId>().is_err());
        assert!("evt_".parse::<EventId>().is_err());
        assert!("evt_01HABCDEF777001".parse::<EventId>().is_err());
    }
}
