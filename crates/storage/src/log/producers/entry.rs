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
        // Sequences wrap from i32::MAX to 0.
        if self.last_sequence < self.offset_delta {
            i32::MAX - (self.offset_delta - self.last_sequence) + 1
        } else {
            self.last_sequence - self.offset_delta
        }
    }

    pub fn first_offset(&self) -> i64 {
        self.last_offset.saturating_sub(self.offset_delta.into())
    }
}

/// The state of one producer id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    pub epoch: i16,
    /// Epoch of the transaction coordinator that wrote the last marker; −1 before the first.
    pub coordinator_epoch: i32,
    pub last_timestamp: i64,
    pub txn_first_offset: Option<i64>,
    batches: [ProducerBatch; BATCHES_KEPT],
    count: u8,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: NO_EPOCH,
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            last_timestamp: NO_TIMESTAMP,
            txn_first_offset: None,
            batches: Default::default(),
            count: 0,
        }
    }
}

impl ProducerEntry {
    /// The batches of the current epoch, oldest first.
    pub fn batches(&self) -> &[ProducerBatch] {
        self.batches.get(..usize::from(self.count)).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
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
        Self { batches: Default::default(), count: 0, ..self.clone() }
    }

    pub(crate) fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.count = 0;
            self.epoch = epoch;
        }
    }

    pub(crate) fn add_batch(&mut self, epoch: i16, batch: ProducerBatch) {
        self.set_epoch(epoch);
        self.keep(batch);
        self.last_timestamp = batch.timestamp;
    }

    pub(crate) fn keep(&mut self, batch: ProducerBatch) {
        if usize::from(self.count) == BATCHES_KEPT {
            self.batches.rotate_left(1);
            self.count -= 1;
        }
        if let Some(slot) = self.batches.get_mut(usize::from(self.count)) {
            *slot = batch;
            self.count += 1;
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
