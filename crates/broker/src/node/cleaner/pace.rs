//! Bytes spread over time, so that they come to no more than so many a second. Pure: time is an argument.

/// What was read and written so far under `log.cleaner.io.max.bytes.per.second`, by all who clean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    bytes_per_second: f64,
    /// When everything charged so far has had its time, in microseconds.
    free_at_us: u64,
}

impl Pace {
    /// Takes note of bytes that were read or written.
    pub fn charge(&mut self, bytes: u64, bytes_per_second: f64, now_us: u64) {
        self.follow(bytes_per_second, now_us);
        // As in Kafka, a negative rate is none, and one of nought lets nothing through.
        let cost = (bytes as f64 * 1e6 / bytes_per_second).max(0.0);
        let cost = if cost.is_finite() { cost as u64 } else { u64::MAX };
        self.free_at_us = self.free_at_us.max(now_us).saturating_add(cost);
    }

    /// How long whoever was charged must pause, by the rate of now.
    pub fn pause_us(&mut self, bytes_per_second: f64, now_us: u64) -> u64 {
        self.follow(bytes_per_second, now_us);
        self.free_at_us.saturating_sub(now_us)
    }

    /// With another rate it begins anew: what waits for the old one has waited enough.
    fn follow(&mut self, bytes_per_second: f64, now_us: u64) {
        if self.bytes_per_second != bytes_per_second {
            *self = Self { bytes_per_second, free_at_us: now_us };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn bytes_take_the_time_that_the_rate_gives_them() {
        let mut pace = Pace::default();
        let (mut now, mut sent) = (SECOND, 0);
        while sent < 1 << 20 {
            pace.charge(1 << 10, 65536.0, now);
            sent += 1 << 10;
            now += pace.pause_us(65536.0, now);
        }
        assert_eq!(now, SECOND + 16 * SECOND);
        // Time that passed unused is not made up for.
        now += 100 * SECOND;
        pace.charge(65536, 65536.0, now);
        assert_eq!(pace.pause_us(65536.0, now), SECOND);
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        for rate in [f64::MAX, f64::INFINITY, -1.0] {
            let mut pace = Pace::default();
            pace.charge(u64::MAX, rate, 5);
            assert_eq!(pace.pause_us(rate, 5), 0, "{rate}");
        }
    }

    #[test]
    fn a_rate_of_nought_holds_until_it_changes() {
        let mut pace = Pace::default();
        pace.charge(1, 0.0, 5);
        assert!(pace.pause_us(0.0, 1_000 * SECOND) > SECOND);
        assert_eq!(pace.pause_us(10.0, 1_000 * SECOND), 0);
        pace.charge(10, 10.0, 1_000 * SECOND);
        assert_eq!(pace.pause_us(10.0, 1_000 * SECOND), SECOND);
    }
}
