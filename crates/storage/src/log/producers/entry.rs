//! What a log remembers about one producer: its epoch, its last five batches, its open transaction.

use records::batch::{NO_SEQUENCE, NO_TIMESTAMP};

/// Batches kept to recognise a repeated one.
pub const BATCHES_KEPT: usize = 5;
/// Epoch of a producer that has written nothing.
pub const NO_EPOCH: i16 = -1;

/// Before the first marker.
pub(super) const NO_COORDINATOR_EPOCH: i32 = -1;

/// One appended batch of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProducerBatch {
    pub last_sequence: i32,
    pub last_offset: i64,
    /// Last minus first offset, and last minus first sequence.
    pub offset_delta: i32,
    pub timestamp: i64,
}

impl ProducerBatch {
    pub fn first_sequence(&self) -> i32 {
        // Sequences wrap from i32::MAX to 0. A snapshot may say anything.
        if self.last_sequence < self.offset_delta {
            let before = self.offset_delta.wrapping_sub(self.last_sequence);
            i32::MAX.wrapping_sub(before).wrapping_add(1)
        } else {
            self.last_sequence.wrapping_sub(self.offset_delta)
        }
    }

    pub fn first_offset(&self) -> i64 {
        self.last_offset.saturating_sub(self.offset_delta.into())
    }
}

/// The state of one producer id. There may be a million of them in a log: it is kept small.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    pub epoch: i16,
    /// Epoch of the transaction coordinator that wrote the last marker; −1 before the first.
    pub coordinator_epoch: i32,
    pub last_timestamp: i64,
    pub txn_first_offset: Option<i64>,
    /// At most [`BATCHES_KEPT`], oldest first.
    batches: Box<[ProducerBatch]>,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: NO_EPOCH,
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            last_timestamp: NO_TIMESTAMP,
            txn_first_offset: None,
            batches: Box::default(),
        }
    }
}

impl ProducerEntry {
    /// The batches of the current epoch, oldest first.
    pub fn batches(&self) -> &[ProducerBatch] {
        &self.batches
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn last_batch(&self) -> Option<&ProducerBatch> {
        self.batches().last()
    }

    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    pub fn last_offset(&self) -> i64 {
        self.last_batch().map_or(-1, |batch| batch.last_offset)
    }

    /// The kept batch with exactly these sequences, if the epoch is the current one.
    pub fn find_duplicate(&self, epoch: i16, first: i32, last: i32) -> Option<ProducerBatch> {
        if epoch != self.epoch {
            return None;
        }
        let same = |b: &&ProducerBatch| b.first_sequence() == first && b.last_sequence == last;
        self.batches().iter().find(same).copied()
    }

    /// Everything but the batches: the start of an update.
    pub(crate) fn without_batches(&self) -> Self {
        let Self { epoch, coordinator_epoch, last_timestamp, txn_first_offset, batches: _ } = *self;
        Self { epoch, coordinator_epoch, last_timestamp, txn_first_offset, batches: Box::default() }
    }

    pub(crate) fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches = Box::default();
            self.epoch = epoch;
        }
    }

    pub(crate) fn add_batch(&mut self, epoch: i16, batch: ProducerBatch) {
        self.set_epoch(epoch);
        self.keep(batch);
        self.last_timestamp = batch.timestamp;
    }

    pub(crate) fn keep(&mut self, batch: ProducerBatch) {
        if self.batches.len() < BATCHES_KEPT {
            let known = self.batches.iter().copied();
            self.batches = known.chain([batch]).collect();
            return;
        }
        self.batches.rotate_left(1);
        if let Some(last) = self.batches.last_mut() {
            *last = batch;
        }
    }

    /// Takes over what an append has made of this entry.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.set_epoch(next.epoch);
        for batch in next.batches() {
            self.keep(*batch);
        }
        self.coordinator_epoch = next.coordinator_epoch;
        self.txn_first_offset = next.txn_first_offset;
        self.last_timestamp = next.last_timestamp;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sequences_wrap_and_never_overflow() {
        let first = |last_sequence, offset_delta| {
            ProducerBatch { last_sequence, offset_delta, ..ProducerBatch::default() }
                .first_sequence()
        };
        assert_eq!((first(7, 2), first(1, 3), first(0, 1)), (5, i32::MAX - 1, i32::MAX));
        for (last, delta) in [(i32::MIN, i32::MAX), (-2, i32::MAX), (i32::MIN, 0)] {
            let _any = first(last, delta);
        }
    }
}
