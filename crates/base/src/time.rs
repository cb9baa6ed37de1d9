//! Points in time, in milliseconds. Pure code receives them as arguments.

/// Wall clock: milliseconds since 1970-01-01 UTC. Goes into records; may jump, so it never drives a timer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallMs(pub i64);

/// Monotonic clock: milliseconds since an arbitrary start. Drives every timer, deadline and lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MonoMs(pub u64);

impl MonoMs {
    /// Never reached: a timer that is off.
    pub const NEVER: Self = Self(u64::MAX);

    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this, zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks read at one moment: what a machine's `handle` or `step` receives as `now`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    pub wall: WallMs,
    pub mono: MonoMs,
}
