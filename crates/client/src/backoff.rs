//! How long to wait before the next try: doubling from a start to a limit, spread by chance (KIP-580).

/// Waiting times in milliseconds; `next_ms` takes the random part from its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub initial_ms: u64,
    pub max_ms: u64,
}

impl Backoff {
    /// Waiting time before try number `failures + 1`. `random` in 0..=1 spreads it by a fifth either way.
    pub fn after(self, failures: u32, random: f64) -> u64 {
        if self.max_ms == 0 || self.initial_ms == 0 || failures == 0 {
            return 0;
        }
        let doubled = self.initial_ms.saturating_mul(1u64 << (failures - 1).min(30));
        let base = doubled.min(self.max_ms.max(self.initial_ms));
        let spread = 0.8 + 0.4 * random.clamp(0.0, 1.0);
        ((base as f64 * spread) as u64).min(self.max_ms.max(self.initial_ms))
    }
}

/// A random number in 0..1 from the system; a constant when there is none, since it only spreads retries.
pub(crate) fn random() -> f64 {
    let mut bytes = [0u8; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
