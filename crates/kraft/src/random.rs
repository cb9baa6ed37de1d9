//! Pseudo-random numbers from a seed, so that a run can be repeated (SplitMix64).

use base::seeded::split_mix;

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        split_mix(&mut self.0)
    }

    /// Between `base` and `2 * base`, as Kafka draws election timeouts.
    pub(crate) fn election_timeout_ms(&mut self, base: u64) -> u64 {
        if base == 0 { 0 } else { base.saturating_add(self.next() % base) }
    }

    /// Below `sides`, which is above 0.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        let sides = u64::try_from(sides).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % sides).unwrap_or(0)
    }
}
