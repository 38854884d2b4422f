//! Latencies as the share of deliveries that were at least so quick. Shares are whole ten-thousandths, so that no rank
//! depends on how a fraction is rounded.

use std::time::Duration;

pub const WHOLE: u32 = 10_000;
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

    /// The latency at each of [`shares`].
    pub fn curve_ms(&self) -> Vec<f64> {
        shares().filter_map(|share| self.at_ms(share)).collect()
    }
}

/// The shares a curve is drawn through: nine between each two of 0, 90, 99 and 99.9 %, and nine beyond.
pub fn shares() -> impl Iterator<Item = u32> {
    let steps = [1_000, 100, 10, 1];
    steps.into_iter().flat_map(|step| (0..=8).map(move |place| WHOLE - step * 10 + step * place)).chain([WHOLE - 1])
}
