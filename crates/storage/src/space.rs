//! How much of a volume may still be written, and by whom: a reserve at its end that is given out in steps.
//!
//! [`Gate`] decides, without a disk or a clock. [`DirSpace`] is what the logs of one directory share: between two looks at
//! the volume it counts what they write themselves, so that not even the fastest producer writes into the reserve.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// The largest reserve that is chosen when none is configured.
const RESERVE_BYTES_MAX: u64 = 1 << 30;
/// Its part of the volume, so that a small volume can be filled, too.
const RESERVE_DIVISOR: u64 = 20;
/// After the volume was full to the last block nothing goes on with less than this.
const RESUME_BYTES_MIN: u64 = 256 << 10;

/// Sizes of a volume as this process sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Volume {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

/// Who wants to write, in the order in which they are refused. The metadata log never is: with it topics are deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Claim {
    /// What clients produce, and what is copied of it from other brokers.
    Records,
    /// Temporary copies of segments, which free more than they take in the end.
    Compaction,
    /// Committed offsets, transactions and their ends.
    Internal,
}

impl Claim {
    const ALL: [Self; 3] = [Self::Records, Self::Compaction, Self::Internal];

    /// The part of the reserve that this one must leave to those that are refused later.
    fn divisor(self) -> u64 {
        match self {
            Self::Records => 1,
            Self::Compaction => 2,
            Self::Internal => 16,
        }
    }
}

/// Bytes at the end of a volume that ordinary records do not get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reserve {
    pub bytes: u64,
}

impl Reserve {
    /// As configured; negative: a twentieth of the volume, at most 1 GiB.
    pub fn of(configured: i64, total_bytes: u64) -> Self {
        let chosen = || (total_bytes / RESERVE_DIVISOR).min(RESERVE_BYTES_MAX);
        Self { bytes: u64::try_from(configured).unwrap_or_else(|_| chosen()) }
    }

    fn floor(self, claim: Claim) -> u64 {
        self.bytes / claim.divisor()
    }

    /// More than the floor, so that a volume at its edge does not go back and forth.
    fn resume(self, claim: Claim) -> u64 {
        let floor = self.floor(claim);
        floor.saturating_add(floor / 4).max(RESUME_BYTES_MIN)
    }
}

/// Who may write at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gate {
    reserve: Reserve,
    /// So many of the claims, from the first on, are refused.
    refused: usize,
}

impl Gate {
    pub fn new(reserve: Reserve) -> Self {
        Self { reserve, refused: 0 }
    }

    pub fn reserve(&self) -> Reserve {
        self.reserve
    }

    pub fn set_reserve(&mut self, reserve: Reserve) {
        self.reserve = reserve;
    }

    pub fn allows(&self, claim: Claim) -> bool {
        claim as usize >= self.refused
    }

    /// So much is free. Tells whether anything changed by it.
    pub fn see(&mut self, free_bytes: u64) -> bool {
        let below = |limit: fn(Reserve, Claim) -> u64| {
            Claim::ALL.iter().filter(|claim| free_bytes < limit(self.reserve, **claim)).count()
        };
        let (least, most) = (below(Reserve::floor), below(Reserve::resume));
        self.set(self.refused.clamp(least, most.max(least)))
    }

    /// A write found no space, whatever the last look said.
    pub fn found_full(&mut self) -> bool {
        self.set(Claim::ALL.len())
    }

    fn set(&mut self, refused: usize) -> bool {
        std::mem::replace(&mut self.refused, refused) != refused
    }

    /// Free bytes below which more is refused than now.
    fn edge(&self) -> u64 {
        Claim::ALL.get(self.refused).map_or(0, |claim| self.reserve.floor(*claim))
    }
}

/// The space that the logs of one directory share.
#[derive(Debug)]
pub struct DirSpace {
    dir: PathBuf,
    gate: Mutex<Gate>,
    /// A copy of what the gate refuses.
    refused: AtomicUsize,
    /// What the last look found, less what was written since.
    left: AtomicI64,
    /// A copy of the gate's edge.
    edge: AtomicI64,
}

impl DirSpace {
    /// Without limits until somebody looks.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            gate: Mutex::new(Gate::new(Reserve { bytes: 0 })),
            refused: AtomicUsize::new(0),
            left: AtomicI64::new(i64::MAX),
            edge: AtomicI64::new(0),
        }
    }

    pub fn allows(&self, claim: Claim) -> bool {
        claim as usize >= self.refused.load(Ordering::Relaxed)
    }

    /// Whether a copy of this size may be made beside what it will replace.
    pub fn allows_bytes(&self, claim: Claim, bytes: u64) -> bool {
        let floor = self.gate.lock().reserve().floor(claim);
        let left = self.left.load(Ordering::Relaxed);
        self.allows(claim) && signed(floor.saturating_add(bytes)) <= left
    }

    /// Something is refused.
    pub fn is_short(&self) -> bool {
        self.refused.load(Ordering::Relaxed) > 0
    }

    /// Takes a look at the volume into account. `reserve_bytes` as [`Reserve::of`] takes it.
    pub fn look(&self, volume: Volume, reserve_bytes: i64) {
        let mut gate = self.gate.lock();
        // File systems without sizes have no end that anybody knows.
        let known = volume.total_bytes > 0;
        gate.set_reserve(Reserve::of(reserve_bytes, volume.total_bytes));
        let free = if known { volume.free_bytes } else { u64::MAX };
        self.left.store(signed(free), Ordering::Relaxed);
        let changed = gate.see(free);
        self.publish(&gate, changed, free);
    }

    /// So many bytes were written.
    pub fn wrote(&self, bytes: u64) {
        let bytes = signed(bytes);
        let left = self.left.fetch_sub(bytes, Ordering::Relaxed).saturating_sub(bytes);
        if left < self.edge.load(Ordering::Relaxed) {
            let mut gate = self.gate.lock();
            let free = u64::try_from(left).unwrap_or(0);
            let changed = gate.see(free);
            self.publish(&gate, changed, free);
        }
    }

    /// A write found no space: nothing more until the next look.
    pub fn found_full(&self) {
        let mut gate = self.gate.lock();
        self.left.store(0, Ordering::Relaxed);
        let changed = gate.found_full();
        self.publish(&gate, changed, 0);
    }

    fn publish(&self, gate: &Gate, changed: bool, free_bytes: u64) {
        self.edge.store(signed(gate.edge()), Ordering::Relaxed);
        self.refused.store(gate.refused, Ordering::Relaxed);
        if !changed {
            return;
        }
        let (dir, reserve_bytes) = (self.dir.display(), gate.reserve().bytes);
        let refused = match gate.refused {
            0 => {
                return tracing::info!(%dir, free_bytes, reserve_bytes, "there is space again, everything is written");
            }
            1 => "records of clients and other brokers",
            2 => "records of clients and other brokers, and compaction",
            _ => "all records, also those of coordinators, and compaction",
        };
        tracing::warn!(%dir, free_bytes, reserve_bytes, "the log directory runs out of space, refused are {refused}");
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(gate: &Gate) -> usize {
        Claim::ALL.iter().filter(|claim| !gate.allows(**claim)).count()
    }

    #[test]
    fn a_reserve_is_a_twentieth_up_to_a_gibibyte() {
        assert_eq!(Reserve::of(-1, 64 << 20).bytes, (64 << 20) / 20);
        assert_eq!(Reserve::of(-1, 1 << 50).bytes, 1 << 30);
        assert_eq!(Reserve::of(7, 1 << 50).bytes, 7);
        assert_eq!(Reserve::of(0, 1 << 50).bytes, 0);
    }

    #[test]
    fn an_empty_volume_of_any_size_refuses_nothing() {
        for size in [1 << 20, 64 << 20, 1 << 30, 1 << 44] {
            let mut gate = Gate::new(Reserve::of(-1, size));
            gate.see(size);
            assert_eq!(refused(&gate), 0, "{size}");
        }
    }

    #[test]
    fn refuses_in_steps_and_takes_back_later_than_it_refused() {
        let mut gate = Gate::new(Reserve { bytes: 4 << 20 });
        let mut seen = Vec::new();
        for free_kib in (0..=6144u64).rev().chain(0..=6144) {
            if gate.see(free_kib << 10) {
                seen.push((free_kib, refused(&gate)));
            }
        }
        let down = [(4095, 1), (2047, 2), (255, 3)];
        let up = [(320, 2), (2560, 1), (5120, 0)];
        assert_eq!(seen, [down, up].concat());
    }

    #[test]
    fn without_a_reserve_only_a_full_volume_refuses() {
        let mut gate = Gate::new(Reserve { bytes: 0 });
        assert!(!gate.see(0));
        assert!(gate.found_full());
        assert!(!gate.see(RESUME_BYTES_MIN - 1));
        assert!(gate.see(RESUME_BYTES_MIN));
        assert_eq!(refused(&gate), 0);
    }

    #[test]
    fn counts_what_is_written_between_two_looks() {
        let space = DirSpace::new(Path::new("/logs"));
        space.wrote(u64::MAX);
        assert!(!space.is_short(), "nobody has looked");
        space.look(Volume { total_bytes: 100 << 20, free_bytes: 10 << 20 }, 4 << 20);
        space.wrote(6 << 20);
        assert!(space.allows(Claim::Records));
        space.wrote(1);
        assert!(!space.allows(Claim::Records) && space.allows(Claim::Compaction));
        assert!(space.allows_bytes(Claim::Compaction, 1 << 20));
        assert!(!space.allows_bytes(Claim::Compaction, 2 << 20));
        space.found_full();
        assert!(!space.allows(Claim::Internal));
        space.look(Volume { total_bytes: 100 << 20, free_bytes: 50 << 20 }, 4 << 20);
        assert!(!space.is_short());
        space.look(Volume { total_bytes: 0, free_bytes: 0 }, -1);
        assert!(!space.is_short(), "a volume without sizes");
    }
}
