//! The roads between nodes and clients: cut in one direction or both, slow, forgetful.

use std::collections::{BTreeMap, BTreeSet};

use super::message::Peer;
use crate::Rng;

#[derive(Clone, Debug)]
pub(super) struct Network {
    /// No message passes from the first to the second.
    cut: BTreeSet<(Peer, Peer)>,
    /// What the first says reaches the second so much later.
    slow: BTreeMap<(Peer, Peer), u64>,
    pub weather: Weather,
}

/// How messages fare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Of a thousand messages.
    pub lost: u64,
    pub repeated: u64,
    pub delay_ms: u64,
    /// Of a hundred messages so many are late by up to `late_ms`.
    pub late: u64,
    pub late_ms: u64,
}

impl Weather {
    pub const CALM: Self = Self { lost: 0, repeated: 0, delay_ms: 3, late: 0, late_ms: 0 };
    pub const USUAL: Self = Self { lost: 3, repeated: 3, delay_ms: 10, late: 2, late_ms: 300 };
    pub const BAD: Self = Self { lost: 150, repeated: 60, delay_ms: 100, late: 15, late_ms: 4_000 };
}

impl Network {
    pub fn new() -> Self {
        Self { cut: BTreeSet::new(), slow: BTreeMap::new(), weather: Weather::USUAL }
    }

    pub fn cut(&mut self, from: Peer, to: Peer) {
        self.cut.insert((from, to));
    }

    pub fn delay(&mut self, from: Peer, to: Peer, ms: u64) {
        self.slow.insert((from, to), ms);
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        self.slow.clear();
    }

    pub fn passes(&self, from: Peer, to: Peer) -> bool {
        from == to || !self.cut.contains(&(from, to))
    }

    /// When the copies of a message arrive, after so many milliseconds.
    pub fn arrivals(&self, rng: &mut Rng, from: Peer, to: Peer) -> Vec<u64> {
        if from == to {
            return vec![0];
        }
        let mut arrivals = Vec::new();
        if !self.passes(from, to) {
            return arrivals;
        }
        let slow_ms = self.slow.get(&(from, to)).copied().unwrap_or(0);
        if rng.below(1_000) >= self.weather.lost {
            arrivals.push(slow_ms + self.takes(rng));
        }
        if rng.below(1_000) < self.weather.repeated {
            arrivals.push(slow_ms + self.takes(rng));
        }
        arrivals
    }

    fn takes(&self, rng: &mut Rng) -> u64 {
        let weather = self.weather;
        let late = if rng.chance(weather.late) { rng.below(weather.late_ms) } else { 0 };
        1 + rng.below(weather.delay_ms) + late
    }
}
