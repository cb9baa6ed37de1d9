//! Numbers that look random and are the same for the same seed.

use base::seeded::split_mix;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        split_mix(&mut self.0)
    }

    /// From 0 to `bound` inclusive.
    pub fn upto(&mut self, bound: usize) -> usize {
        let choices = (bound as u64).saturating_add(1);
        usize::try_from(self.next() % choices).unwrap_or(0)
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.upto(n.saturating_sub(1)) == 0
    }
}
