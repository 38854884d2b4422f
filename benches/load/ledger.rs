//! What has arrived where and when, each delivery counted once by event and endpoint. It judges nothing: whether an
//! arrival was expected is for whoever sent the events to say.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

/// An event id kept in place: there is one per delivery, and an allocation for each would cost more than the rest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId([u8; EventId::BYTES_MAX]);

impl EventId {
    /// Two more than `evt_` and a ULID take.
    const BYTES_MAX: usize = 32;

    /// Nothing when the id is longer than any that Signet makes.
    pub fn new(id: &str) -> Option<Self> {
        let mut bytes = [0; Self::BYTES_MAX];
        bytes.get_mut(..id.len())?.copy_from_slice(id.as_bytes());
        Some(Self(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(String::from_utf8_lossy(&self.0).trim_end_matches('\0'))
    }
}

/// Which of the receiver's paths.
pub type Endpoint = usize;

/// One request that the receiver has read to its end.
pub struct Arrival {
    pub endpoint: Endpoint,
    pub event: EventId,
    pub arrived_at: Instant,
}

#[derive(Default)]
pub struct Ledger {
    arrived: HashMap<(Endpoint, EventId), Instant>,
    duplicates: usize,
}

impl Ledger {
    pub fn record(&mut self, arrivals: Vec<Arrival>) {
        for arrival in arrivals {
            let mut repeated = true;
            self.arrived.entry((arrival.endpoint, arrival.event)).or_insert_with(|| {
                repeated = false;
                arrival.arrived_at
            });
            self.duplicates += usize::from(repeated);
        }
    }

    /// When the delivery came first.
    pub fn arrived_at(&self, endpoint: Endpoint, event: EventId) -> Option<Instant> {
        self.arrived.get(&(endpoint, event)).copied()
    }

    /// Deliveries that have come, each counted once.
    pub fn len(&self) -> usize {
        self.arrived.len()
    }

    /// Arrivals beyond the first of the same delivery.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }
}
