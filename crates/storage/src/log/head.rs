//! A batch as the log sees it: where it lies, which offsets and times it holds. No record is read.

use base::{LeaderEpoch, Offset};
use records::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2};
use records::{AnyBatch, RecordsError};

/// Bytes that suffice to read a batch's head, whatever its magic.
pub(crate) const HEAD_LEN: usize = HEADER_LEN;
/// Where the magic byte of every format stands.
const MAGIC_AT: usize = 16;

/// The head of one batch in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchHead {
    /// Bytes of the whole batch.
    pub size: u64,
    /// In magic 0 and 1 the last offset: the first would take decompressing.
    pub base_offset: i64,
    pub last_offset: i64,
    pub max_timestamp: i64,
    pub leader_epoch: LeaderEpoch,
    pub v2: Option<BatchHeader>,
}

impl BatchHead {
    /// Reads the head at the start of `bytes`, which may be cut after [`HEAD_LEN`] bytes. `None` when even that much is
    /// not there.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, RecordsError> {
        let Some(size) = records::next_batch_size(bytes)? else { return Ok(None) };
        if bytes.get(MAGIC_AT) == Some(&(MAGIC_V2 as u8)) {
            if size < HEADER_LEN {
                return Err(RecordsError::BatchTooSmall { size, min: HEADER_LEN });
            }
            if bytes.len() < HEADER_LEN {
                return Ok(None);
            }
            let header = BatchHeader::parse(bytes)?;
            return Ok(Some(Self::of_v2(&header)));
        }
        let Some(head) = bytes.get(..size.min(bytes.len())) else { return Ok(None) };
        Ok(Self::of_legacy(head, size))
    }

    pub fn of(batch: &AnyBatch<'_>) -> Self {
        match batch.v2() {
            Some(header) => Self::of_v2(header),
            None => Self {
                size: batch.size() as u64,
                base_offset: batch.last_offset().0,
                last_offset: batch.last_offset().0,
                max_timestamp: batch.max_timestamp(),
                leader_epoch: LeaderEpoch::NONE,
                v2: None,
            },
        }
    }

    fn of_v2(header: &BatchHeader) -> Self {
        Self {
            size: header.size() as u64,
            base_offset: header.base_offset.0,
            last_offset: header.last_offset().0,
            max_timestamp: header.max_timestamp,
            leader_epoch: header.partition_leader_epoch,
            v2: Some(*header),
        }
    }

    /// Magic 0: offset, size, CRC, magic, attributes, key …; magic 1: the same with a timestamp after the attributes.
    fn of_legacy(head: &[u8], size: usize) -> Option<Self> {
        let offset = i64::from_be_bytes(*head.first_chunk()?);
        let timestamp = match head.get(MAGIC_AT)? {
            0 => records::batch::NO_TIMESTAMP,
            _ => i64::from_be_bytes(*head.get(MAGIC_AT + 2..)?.first_chunk()?),
        };
        debug_assert!(size >= LOG_OVERHEAD);
        Some(Self {
            size: size as u64,
            base_offset: offset,
            last_offset: offset,
            max_timestamp: timestamp,
            leader_epoch: LeaderEpoch::NONE,
            v2: None,
        })
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset.saturating_add(1)
    }

    pub fn last(&self) -> Offset {
        Offset(self.last_offset)
    }
}
