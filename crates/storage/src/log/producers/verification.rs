//! Producers whose transaction the coordinator is being asked about before their first record is taken (KIP-890).
//!
//! A guard is handed out before the question and shown again with the record. It is worth nothing any more once a marker was
//! written meanwhile: an answer that comes late cannot open a transaction that nobody will end.

use std::collections::HashMap;

use base::WallMs;

/// Producers that may wait at one log; the oldest one goes first.
const WAITING_MAX: usize = 65_536;

/// Unlike any other of its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerificationGuard(u64);

/// What is known of a producer whose coordinator is to be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unverified {
    pub guard: VerificationGuard,
    /// Of the coordinator that wrote the producer's last marker here, -1 before the first: an older one has been replaced, and what it
    /// remembers may be over.
    pub coordinator_epoch: i32,
}

/// Who asks to begin a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Verify {
    pub producer_id: i64,
    pub epoch: i16,
    /// Of the first record; −1 for a coordinator's.
    pub sequence: i32,
    /// Every transaction of this producer has its own epoch (transactions v2).
    pub bumps_epoch: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Verification {
    pub guard: VerificationGuard,
    /// A record that waits for its turn holds back those after it: they would be out of order for ever.
    pub lowest_sequence: i32,
    pub bumps_epoch: bool,
    epoch: i16,
    since: WallMs,
}

impl Verification {
    /// Whether a marker of this epoch leaves the guard in force: with an epoch for each transaction it ended the one before.
    pub fn outlives_marker(&self, epoch: i16) -> bool {
        self.bumps_epoch && self.epoch == epoch
    }
}

#[derive(Debug, Default)]
pub(crate) struct Verifications {
    waiting: HashMap<i64, Verification>,
    handed_out: u64,
}

impl Verifications {
    /// The guard of this producer, a new one if it has none.
    pub fn begin(&mut self, verify: &Verify, now: WallMs) -> VerificationGuard {
        let Verify { producer_id, epoch, sequence, bumps_epoch } = *verify;
        if let Some(known) = self.waiting.get_mut(&producer_id) {
            if epoch > known.epoch {
                (known.epoch, known.lowest_sequence) = (epoch, sequence);
            } else if epoch == known.epoch {
                known.lowest_sequence = known.lowest_sequence.min(sequence);
            }
            return known.guard;
        }
        self.make_room();
        self.handed_out += 1;
        let guard = VerificationGuard(self.handed_out);
        let lowest_sequence = sequence;
        let new = Verification { guard, lowest_sequence, bumps_epoch, epoch, since: now };
        self.waiting.insert(producer_id, new);
        guard
    }

    fn make_room(&mut self) {
        if self.waiting.len() < WAITING_MAX {
            return;
        }
        let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.guard.0);
        if let Some(oldest) = oldest.map(|(producer_id, _)| *producer_id) {
            self.waiting.remove(&oldest);
        }
    }

    pub fn get(&self, producer_id: i64) -> Option<&Verification> {
        self.waiting.get(&producer_id)
    }

    pub fn end(&mut self, producer_id: i64) {
        self.waiting.remove(&producer_id);
        if self.waiting.is_empty() {
            self.waiting = HashMap::new();
        }
    }

    /// Forgets those who never came back.
    pub fn expire(&mut self, now: WallMs, limit_ms: i64) {
        self.waiting.retain(|_, waiting| now.0.saturating_sub(waiting.since.0) < limit_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(producer_id: i64, epoch: i16, sequence: i32) -> Verify {
        Verify { producer_id, epoch, sequence, bumps_epoch: true }
    }

    #[test]
    fn a_producer_keeps_its_guard_and_the_lowest_sequence_of_its_epoch() {
        let mut all = Verifications::default();
        let guard = all.begin(&verify(1, 0, 5), WallMs(0));
        let lowest = |all: &Verifications| all.get(1).map(|one| one.lowest_sequence);
        for (epoch, sequence, expected) in [(0, 7, 5), (0, 3, 3), (1, 9, 9), (0, 1, 9), (1, 2, 2)] {
            assert_eq!(all.begin(&verify(1, epoch, sequence), WallMs(0)), guard);
            assert_eq!(lowest(&all), Some(expected), "epoch {epoch}, sequence {sequence}");
        }
        all.end(1);
        assert_ne!(all.begin(&verify(1, 1, 0), WallMs(0)), guard, "a guard is used once");
    }

    #[test]
    fn those_who_wait_are_bounded_and_expire() {
        let mut all = Verifications::default();
        for producer_id in 0..WAITING_MAX as i64 + 10 {
            all.begin(&verify(producer_id, 0, 0), WallMs(producer_id));
        }
        assert_eq!(all.waiting.len(), WAITING_MAX);
        assert!(all.get(9).is_none() && all.get(10).is_some(), "the oldest go first");
        all.expire(WallMs(1_000), 900);
        assert!(all.get(100).is_none() && all.get(101).is_some());
    }
}
