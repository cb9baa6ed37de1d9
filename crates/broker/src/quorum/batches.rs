//! Records of a decision as batches of the metadata log.

use base::{LeaderEpoch, Offset, WallMs};
use metadata::{MetadataVersion, record_version};
use protocol::metadata_records::MetadataRecord;
use records::{BatchBuilder, Codec};

use super::QuorumError;
use super::snapshot::BATCH_BYTES_MAX;

/// Kafka's limit for the records of one batch of the controller.
pub(super) const RECORDS_MAX: usize = 10_000;
/// Room for a batch's header and a record's own framing.
const OVERHEAD: usize = 256;

/// Encoded records that go into one batch.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) values: Vec<Vec<u8>>,
    pub(super) records: Vec<MetadataRecord<'static>>,
}

/// Splits into batches; atomic ones must fit one.
pub(super) fn chunks(
    records: Vec<MetadataRecord<'static>>,
    atomic: bool,
    version: MetadataVersion,
) -> Result<Vec<Chunk>, QuorumError> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    for record in records {
        let value = record.encode_value(record_version(&record, version))?;
        let size = value.len() + 32;
        let full = bytes + size + OVERHEAD > BATCH_BYTES_MAX
            || chunks.last().is_some_and(|chunk| chunk.values.len() >= RECORDS_MAX);
        if chunks.is_empty() || full {
            if atomic && !chunks.is_empty() || size + OVERHEAD > BATCH_BYTES_MAX {
                let bytes = bytes + size;
                return Err(QuorumError::BatchTooLarge { bytes, max: BATCH_BYTES_MAX });
            }
            chunks.push(Chunk { values: Vec::new(), records: Vec::new() });
            bytes = 0;
        }
        bytes += size;
        let chunk = chunks.last_mut().expect("one was just made");
        chunk.values.push(value);
        chunk.records.push(record);
    }
    Ok(chunks)
}

pub(super) fn build(
    chunk: &Chunk,
    base: Offset,
    epoch: LeaderEpoch,
    time: WallMs,
) -> Result<Vec<u8>, QuorumError> {
    let mut batch = BatchBuilder::new(Codec::None).base_offset(base).leader_epoch(epoch);
    for value in &chunk.values {
        batch.append(time.0, None, Some(value), &[])?;
    }
    Ok(batch.build()?)
}
