//! Limits on replication traffic (KIP-73): bytes per second for the replicas that a topic names, while they catch up.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{MonoMs, NodeId, PartitionIndex};
use parking_lot::Mutex;

/// Seconds over which the rate is taken (Kafka's `replication.quota.window.num`, of one second each).
const SECONDS: usize = 11;

/// One direction of a node.
#[derive(Debug)]
pub struct Throttle {
    /// Bytes per second; `u64::MAX`: no limit.
    rate: AtomicU64,
    /// Bytes by second, the oldest first.
    seconds: Mutex<VecDeque<(u64, u64)>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { rate: AtomicU64::new(u64::MAX), seconds: Mutex::default() }
    }
}

impl Throttle {
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    pub fn is_limited(&self) -> bool {
        self.rate.load(Ordering::Relaxed) != u64::MAX
    }

    pub fn record(&self, bytes: u64, now: MonoMs) {
        if bytes == 0 || !self.is_limited() {
            return;
        }
        let mut seconds = self.seconds.lock();
        let second = now.0 / 1_000;
        match seconds.back_mut() {
            Some((last, sum)) if *last == second => *sum = sum.saturating_add(bytes),
            _ => seconds.push_back((second, bytes)),
        }
        while seconds.len() > SECONDS {
            seconds.pop_front();
        }
    }

    /// More than allowed has passed lately.
    pub fn is_exceeded(&self, now: MonoMs) -> bool {
        if !self.is_limited() {
            return false;
        }
        let mut seconds = self.seconds.lock();
        let second = now.0 / 1_000;
        while seconds.front().is_some_and(|(at, _)| at + SECONDS as u64 <= second) {
            seconds.pop_front();
        }
        let Some((oldest, _)) = seconds.front() else { return false };
        let ms = now.since(MonoMs(oldest * 1_000)).max(1_000);
        let sum: u64 = seconds.iter().map(|(_, bytes)| bytes).sum();
        let allowed = u128::from(self.rate.load(Ordering::Relaxed)) * u128::from(ms) / 1_000;
        u128::from(sum) > allowed
    }
}

/// The replicas that a topic throttles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Throttled {
    All,
    These(Box<[(PartitionIndex, NodeId)]>),
}

impl Throttled {
    /// From `*` or `PARTITION:BROKER` each; what is neither was refused when it was set.
    pub fn parse(words: &[String]) -> Self {
        if words.iter().any(|word| word.trim() == "*") {
            return Self::All;
        }
        let pair = |word: &String| {
            let (partition, broker) = word.split_once(':')?;
            let partition = partition.trim().parse().ok()?;
            Some((PartitionIndex(partition), NodeId(broker.trim().parse().ok()?)))
        };
        Self::These(words.iter().filter_map(pair).collect())
    }

    pub fn contains(&self, partition: PartitionIndex, broker: NodeId) -> bool {
        match self {
            Self::All => true,
            Self::These(pairs) => pairs.contains(&(partition, broker)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_over_some_seconds() {
        let throttle = Throttle::default();
        throttle.record(1_000, MonoMs(0));
        assert!(!throttle.is_exceeded(MonoMs(0)), "no limit");
        throttle.set_rate(100);
        throttle.record(250, MonoMs(5_000));
        assert!(throttle.is_exceeded(MonoMs(5_500)));
        assert!(throttle.is_exceeded(MonoMs(7_400)));
        assert!(!throttle.is_exceeded(MonoMs(7_500)), "250 bytes in 2.5 seconds");
        throttle.record(10_000, MonoMs(8_000));
        assert!(throttle.is_exceeded(MonoMs(18_000)));
        assert!(!throttle.is_exceeded(MonoMs(19_000)), "the second is forgotten");
    }

    #[test]
    fn replicas_are_named_or_all() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert!(Throttled::parse(&words(&["*"])).contains(PartitionIndex(7), NodeId(1)));
        let these = Throttled::parse(&words(&["0:1", " 2:3"]));
        assert!(these.contains(PartitionIndex(2), NodeId(3)));
        assert!(!these.contains(PartitionIndex(2), NodeId(1)));
        assert!(!Throttled::parse(&[]).contains(PartitionIndex(0), NodeId(0)));
    }
}
