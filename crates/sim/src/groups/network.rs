//! The road between clients and coordinator: messages are late, lost, or come twice.

use crate::Rng;

#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Of a hundred messages.
    pub lost: u64,
    pub repeated: u64,
    pub delay_ms: u64,
    /// Now and then a message is late by up to this.
    pub late_ms: u64,
}

impl Network {
    pub const CALM: Self = Self { lost: 0, repeated: 0, delay_ms: 20, late_ms: 20 };
    pub const USUAL: Self = Self { lost: 1, repeated: 1, delay_ms: 50, late_ms: 1_000 };
    pub const BAD: Self = Self { lost: 25, repeated: 10, delay_ms: 500, late_ms: 20_000 };

    /// When the copies of a message arrive, after so many milliseconds; none for one that is lost.
    pub fn arrivals(self, rng: &mut Rng) -> Vec<u64> {
        let mut arrivals = Vec::new();
        if !rng.chance(self.lost) {
            arrivals.push(self.delay(rng));
        }
        if rng.chance(self.repeated) {
            arrivals.push(self.delay(rng));
        }
        arrivals
    }

    fn delay(self, rng: &mut Rng) -> u64 {
        let most = if rng.chance(5) { self.late_ms } else { self.delay_ms };
        1 + rng.below(most)
    }
}
