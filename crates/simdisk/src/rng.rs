//! Numbers that look random and are the same for the same seed.

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
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
