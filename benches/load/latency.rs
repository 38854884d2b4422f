//! Latencies as the share of deliveries that were at least so quick. Shares are whole ten-thousandths, so that no rank
//! depends on how a fraction is rounded.

use std::time::Duration;

const WHOLE: u32 = 10_000;
pub const P50: u32 = 5_000;
pub const P99: u32 = 9_900;

/// Latencies in ascending order.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn new(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        Self(took)
    }

    /// The smallest latency that this share of all does not exceed; nothing when there is none at all.
    pub fn at_ms(&self, share: u32) -> Option<f64> {
        let share = usize::try_from(share).ok()?;
        let whole = usize::try_from(WHOLE).ok()?;
        let rank = (self.0.len() * share).div_ceil(whole).saturating_sub(1);
        self.0.get(rank).map(|took| took.as_secs_f64() * 1e3)
    }
}
