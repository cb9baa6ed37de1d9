//! Whether batches can follow one another. The checksum covers neither a batch's base offset nor its leader epoch: a flipped
//! bit there shows only in what lies around it.

use super::head::BatchHead;
use super::scan::Placed;

/// A batch that begins later, or has a higher epoch, than those before it let expect.
#[derive(Clone, Copy, Debug)]
struct Jump {
    position: u64,
    first: i64,
    /// Last offset and epoch before it.
    last: i64,
    epoch: i32,
    skips_offsets: bool,
    raises_epoch: bool,
}

/// The order of the batches of a segment, as far as they were read.
#[derive(Debug)]
pub(super) struct Order {
    last: i64,
    /// −1 before the first batch that has one.
    epoch: i32,
    /// The batch that was read last, if it was one.
    jump: Option<Jump>,
    /// How many batches begin later than expected.
    gaps: u32,
}

impl Order {
    pub fn new(base_offset: i64) -> Self {
        Self { last: base_offset.saturating_sub(1), epoch: -1, jump: None, gaps: 0 }
    }

    /// The largest offset so far.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Why this batch cannot come next.
    pub fn check(&self, head: &BatchHead) -> Result<(), String> {
        if head.base_offset <= self.last || head.last_offset < head.base_offset {
            return Err(format!(
                "a batch with the offsets {} to {} follows offset {}",
                head.base_offset, head.last_offset, self.last
            ));
        }
        let epoch = head.leader_epoch.0;
        if epoch < -1 || (epoch >= 0 && epoch < self.epoch) {
            return Err(format!("a batch of leader epoch {epoch} follows epoch {}", self.epoch));
        }
        Ok(())
    }

    pub fn take(&mut self, placed: &Placed) {
        let head = &placed.head;
        // Of a compressed batch of an old format only the last offset is known.
        let skips_offsets = head.v2.is_some() && head.base_offset > self.last.saturating_add(1);
        let epoch = head.leader_epoch.0.max(self.epoch);
        let (position, last) = (placed.position, self.last);
        let raises_epoch = epoch > self.epoch;
        let (first, before) = (head.base_offset, self.epoch);
        let jump = Jump { position, first, last, epoch: before, skips_offsets, raises_epoch };
        self.jump = (skips_offsets || raises_epoch).then_some(jump);
        self.gaps = self.gaps.saturating_add(u32::from(skips_offsets));
        (self.last, self.epoch) = (head.last_offset, epoch);
    }

    /// This batch cannot come next, but it could if the one before were not there: where that one begins. Which of the two is
    /// wrong cannot be told. One that follows on what was before it in just what this one contradicts is not in doubt.
    pub fn doubtful_before(&self, head: &BatchHead) -> Option<u64> {
        let jump = self.jump?;
        let epoch = head.leader_epoch.0;
        let (by_offset, by_epoch) =
            (head.base_offset <= self.last, epoch != -1 && epoch < self.epoch);
        let explains = (jump.skips_offsets || !by_offset) && (jump.raises_epoch || !by_epoch);
        let fits = head.base_offset > jump.last && (epoch == -1 || epoch >= jump.epoch);
        ((by_offset || by_epoch) && explains && fits).then_some(jump.position)
    }

    /// The last batch lies beyond a gap that must not be behind it: the offset that follows is known to be this one.
    pub fn doubtful_before_offset(&self, next: i64) -> Option<u64> {
        let jump = self.jump.filter(|jump| jump.skips_offsets && next <= self.last)?;
        (next > jump.last).then_some(jump.position)
    }

    /// The last batch lies beyond the only gap there is, nothing behind it says that it belongs there, and one flipped bit would
    /// explain it.
    pub fn lonely(&self) -> Option<u64> {
        let jump = self.jump.filter(|jump| jump.skips_offsets && self.gaps == 1)?;
        let flipped = jump.last.saturating_add(1) ^ jump.first;
        (flipped.count_ones() == 1).then_some(jump.position)
    }
}
