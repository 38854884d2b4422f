//! Dice that are thrown from a seed, so that a life that went wrong can be lived again.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub fn seeded(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub fn once_in(&mut self, times: u32) -> bool {
        self.0.random_range(0..times) == 0
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Any span up to this one.
    pub fn within(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.0.random::<f64>())
    }

    /// A span between two, of any order of magnitude: what goes wrong between seconds is met as often as between days.
    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let (least, most) = (shortest.as_secs_f64().ln(), longest.as_secs_f64().ln());
        Duration::from_secs_f64((least + (most - least) * self.0.random::<f64>()).exp())
    }

    /// By how much a measure may be off either way.
    pub fn deviation(&mut self, most: f64) -> f64 {
        most * (2.0 * self.0.random::<f64>() - 1.0)
    }
}
