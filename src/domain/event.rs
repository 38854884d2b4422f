//! Something that happened, as the platform told it.

use bytes::Bytes;

use super::event_type::EventType;
use super::id::{EventId, TenantId};
use super::time::Timestamp;

/// The largest `data` of one event, in bytes as received. Receivers' bodies are about 1.4 times as large.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// An event that was told but is not remembered yet.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub event_type: EventType,
    /// One JSON value, byte for byte as it was received: its numbers must come out of the token as they came in.
    pub payload: Bytes,
    pub occurred_at: Option<Timestamp>,
}

/// An event that is remembered.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: EventId,
    pub tenant_id: TenantId,
    pub event_type: EventType,
    pub payload: Bytes,
    pub occurred_at: Timestamp,
    pub accepted_at: Timestamp,
    /// How many webhooks it concerned when it was accepted.
    pub deliveries: u32,
}

/// What the platform is told about an event that became durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub event_id: EventId,
    pub event_type: EventType,
    pub deliveries: u32,
}
