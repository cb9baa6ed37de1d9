//! One batch of records on its way, and how large it may get.

use std::sync::Arc;

use base::{MonoMs, TopicPartition};
use records::Codec;
use records::builder::BatchBuilder;

use super::ProducerRecord;
use super::delivery::Completion;
use super::sequences::Identity;
use crate::error::{Error, Result};

/// The most bytes that a record takes in a batch of its own, header included: what `max.request.size` is compared with.
pub fn size_upper_bound(record: &ProducerRecord) -> usize {
    const RECORD_OVERHEAD: usize = 21;
    let field = |field: Option<&[u8]>| field.map_or(1, |f| varint_len(f.len()) + f.len());
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| field(Some(key.as_bytes())) + field(value.as_deref()))
        .sum();
    records::batch::HEADER_LEN
        + RECORD_OVERHEAD
        + field(record.key.as_deref())
        + field(record.value.as_deref())
        + varint_len(record.headers.len())
        + headers
}

/// Bytes of a zigzag varint of this length.
fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value << 1).leading_zeros();
    (bits.max(1) as usize).div_ceil(7)
}

/// Between the orders of two batches: a batch can be halved twenty times.
pub(super) const ORDER_STEP: u64 = 1 << 20;

/// One batch, from its first record until it is answered.
#[derive(Debug)]
pub struct Batch {
    pub partition: TopicPartition,
    pub completion: Arc<Completion>,
    /// Bytes of `buffer.memory` that it holds.
    pub permits: u32,
    pub attempts: u32,
    pub last_error: Option<Error>,
    pub records: i32,
    pub(super) builder: BatchBuilder,
    /// Built when it first leaves; the same bytes leave again.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) created: MonoMs,
    /// Counts up over all batches of a partition as they leave: their order when some come back.
    pub(super) order: Option<u64>,
    /// Orders from this batch's own on that no other has: room for the parts of a batch that is cut.
    pub(super) order_room: u64,
    pub(super) sequence: Option<i32>,
    /// Whose sequence it is.
    pub(super) identity: Option<Identity>,
}

impl Batch {
    /// The finished batch. Compresses on the first call.
    pub fn build(&mut self) -> Result<&[u8]> {
        if self.bytes.is_none() {
            let mut builder = std::mem::replace(&mut self.builder, BatchBuilder::new(Codec::None));
            if let (Some(identity), Some(sequence)) = (self.identity, self.sequence) {
                builder = builder.producer(identity.id, identity.epoch, sequence);
            }
            let built = builder.build();
            // Kept: a new identity builds it again.
            self.builder = builder;
            self.bytes = Some(built.map_err(|error| self.unbuildable(&error))?);
        }
        Ok(self.bytes.as_deref().unwrap_or_default())
    }

    pub(super) fn unbuildable(&self, error: &dyn std::fmt::Display) -> Error {
        Error::CorruptRecords {
            partition: self.partition.clone(),
            offset: -1,
            reason: error.to_string(),
        }
    }

    pub fn size(&self) -> usize {
        self.bytes.as_ref().map_or_else(|| self.builder.uncompressed_size(), Vec::len)
    }
}
