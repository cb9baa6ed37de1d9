//! The 61-byte header of a v2 batch: a parsed copy, and setters that change it in place.

use std::fmt;

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::compress::Compression;
use crate::crc::crc32c;
use crate::error::RecordsError;

/// Base offset and batch length: what precedes the counted bytes.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes of a v2 batch before its first record.
pub const HEADER_LEN: usize = 61;
/// The current magic.
pub const MAGIC_V2: i8 = 2;
/// "No timestamp".
pub const NO_TIMESTAMP: i64 = -1;
/// "No sequence": the batch of a producer that is not idempotent.
pub const NO_SEQUENCE: i32 = -1;

pub(crate) const SIZE_AT: usize = 8;
pub(crate) const EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const LAST_OFFSET_DELTA_AT: usize = 23;
pub(crate) const BASE_TIMESTAMP_AT: usize = 27;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
pub(crate) const PRODUCER_ID_AT: usize = 43;
pub(crate) const PRODUCER_EPOCH_AT: usize = 51;
pub(crate) const BASE_SEQUENCE_AT: usize = 53;
pub(crate) const COUNT_AT: usize = 57;

/// What a record's timestamp means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

impl fmt::Display for TimestampType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
        })
    }
}

/// The attribute bits of a v2 batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes(pub u16);

impl Attributes {
    pub const COMPRESSION_MASK: u16 = 0x07;
    pub const LOG_APPEND_TIME: u16 = 0x08;
    pub const TRANSACTIONAL: u16 = 0x10;
    pub const CONTROL: u16 = 0x20;
    pub const DELETE_HORIZON: u16 = 0x40;

    pub fn compression(self) -> Result<Compression, RecordsError> {
        Compression::from_id((self.0 & Self::COMPRESSION_MASK) as u8)
    }

    pub const fn timestamp_type(self) -> TimestampType {
        if self.has(Self::LOG_APPEND_TIME) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    pub const fn is_transactional(self) -> bool {
        self.has(Self::TRANSACTIONAL)
    }

    pub const fn is_control(self) -> bool {
        self.has(Self::CONTROL)
    }

    /// The base timestamp is then the time at which tombstones and markers may go.
    pub const fn has_delete_horizon(self) -> bool {
        self.has(Self::DELETE_HORIZON)
    }

    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

/// A copy of a v2 batch's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes after the length field; at least 49.
    pub batch_length: i32,
    pub partition_leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    /// Records in the batch as declared; fewer than the offsets after compaction.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may be cut after it. Fails on a wrong magic and on a length
    /// that cannot hold the header.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordsError> {
        let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(RecordsError::Truncated { need: HEADER_LEN, have: bytes.len() });
        };
        let magic = head[MAGIC_AT] as i8;
        if magic != MAGIC_V2 {
            return Err(RecordsError::InvalidMagic { magic });
        }
        let batch_length = i32_at(head, SIZE_AT);
        if batch_length < (HEADER_LEN - LOG_OVERHEAD) as i32 {
            return Err(RecordsError::BatchTooSmall {
                size: usize::try_from(batch_length).unwrap_or(0) + LOG_OVERHEAD,
                min: HEADER_LEN,
            });
        }
        Ok(Self {
            base_offset: Offset(i64_at(head, 0)),
            batch_length,
            partition_leader_epoch: LeaderEpoch(i32_at(head, EPOCH_AT)),
            crc: i32_at(head, CRC_AT) as u32,
            attributes: Attributes(i16_at(head, ATTRIBUTES_AT) as u16),
            last_offset_delta: i32_at(head, LAST_OFFSET_DELTA_AT),
            base_timestamp: i64_at(head, BASE_TIMESTAMP_AT),
            max_timestamp: i64_at(head, MAX_TIMESTAMP_AT),
            producer_id: ProducerId(i64_at(head, PRODUCER_ID_AT)),
            producer_epoch: ProducerEpoch(i16_at(head, PRODUCER_EPOCH_AT)),
            base_sequence: i32_at(head, BASE_SEQUENCE_AT),
            count: i32_at(head, COUNT_AT),
        })
    }

    /// The header as bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, &self.base_offset.0.to_be_bytes());
        put(&mut out, SIZE_AT, &self.batch_length.to_be_bytes());
        put(&mut out, EPOCH_AT, &self.partition_leader_epoch.0.to_be_bytes());
        put(&mut out, MAGIC_AT, &MAGIC_V2.to_be_bytes());
        put(&mut out, CRC_AT, &self.crc.to_be_bytes());
        put(&mut out, ATTRIBUTES_AT, &self.attributes.0.to_be_bytes());
        put(&mut out, LAST_OFFSET_DELTA_AT, &self.last_offset_delta.to_be_bytes());
        put(&mut out, BASE_TIMESTAMP_AT, &self.base_timestamp.to_be_bytes());
        put(&mut out, MAX_TIMESTAMP_AT, &self.max_timestamp.to_be_bytes());
        put(&mut out, PRODUCER_ID_AT, &self.producer_id.0.to_be_bytes());
        put(&mut out, PRODUCER_EPOCH_AT, &self.producer_epoch.0.to_be_bytes());
        put(&mut out, BASE_SEQUENCE_AT, &self.base_sequence.to_be_bytes());
        put(&mut out, COUNT_AT, &self.count.to_be_bytes());
        out
    }

    /// The batch with all its records removed, as compaction keeps it for a producer's last sequence.
    pub fn without_records(&self) -> [u8; HEADER_LEN] {
        let kept = Attributes::LOG_APPEND_TIME | Attributes::TRANSACTIONAL | Attributes::CONTROL;
        let mut out = Self {
            batch_length: (HEADER_LEN - LOG_OVERHEAD) as i32,
            attributes: Attributes(self.attributes.0 & kept),
            base_timestamp: NO_TIMESTAMP,
            count: 0,
            ..*self
        }
        .to_bytes();
        let crc = crc32c(out.get(ATTRIBUTES_AT..).unwrap_or_default());
        put(&mut out, CRC_AT, &crc.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, header included.
    pub const fn size(&self) -> usize {
        self.batch_length as usize + LOG_OVERHEAD
    }

    pub const fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.wrapping_add(self.last_offset_delta as i64))
    }

    pub const fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Sequence of the last record, [`NO_SEQUENCE`] without a producer; wraps to 0 after `i32::MAX`.
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }

    pub const fn has_producer_id(&self) -> bool {
        self.producer_id.0 > -1
    }

    /// The record count as a size, an error when negative.
    pub fn record_count(&self) -> Result<usize, RecordsError> {
        usize::try_from(self.count)
            .map_err(|_| crate::error::InvalidRecord::Count(self.count).into())
    }
}

/// A producer's sequence `increment` records later: wraps to 0 after `i32::MAX`, as Kafka's does.
pub const fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    if sequence > i32::MAX - increment {
        increment - (i32::MAX - sequence) - 1
    } else {
        sequence + increment
    }
}

/// The CRC-32C over a whole batch (attributes to its end), as it should stand in the header; `None` when `batch` is
/// shorter than a header.
pub fn compute_crc(batch: &[u8]) -> Option<u32> {
    (batch.len() >= HEADER_LEN).then(|| batch.get(ATTRIBUTES_AT..).map(crc32c)).flatten()
}

/// Checks the stored checksum of one whole v2 batch.
pub fn check_crc(batch: &[u8]) -> Result<(), RecordsError> {
    let (Some(computed), Some(stored)) = (compute_crc(batch), batch.get(CRC_AT..ATTRIBUTES_AT))
    else {
        return Err(RecordsError::Truncated { need: HEADER_LEN, have: batch.len() });
    };
    let stored = stored.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
    if stored == computed { Ok(()) } else { Err(RecordsError::WrongCrc { stored, computed }) }
}

/// Sets the base offset so that the batch's last record has `last`; the checksum does not cover it.
pub fn set_last_offset(batch: &mut [u8], last: Offset) -> Result<(), RecordsError> {
    let delta = BatchHeader::parse(batch)?.last_offset_delta;
    set_base_offset(batch, Offset(last.0.wrapping_sub(i64::from(delta))))
}

/// Sets the base offset; the checksum does not cover it.
pub fn set_base_offset(batch: &mut [u8], offset: Offset) -> Result<(), RecordsError> {
    patch(batch, 0, &offset.0.to_be_bytes())
}

/// Sets the leader epoch; the checksum does not cover it.
pub fn set_partition_leader_epoch(
    batch: &mut [u8],
    epoch: LeaderEpoch,
) -> Result<(), RecordsError> {
    patch(batch, EPOCH_AT, &epoch.0.to_be_bytes())
}

/// Sets the largest timestamp and its meaning, and with it the checksum. With log append time that is every record's
/// timestamp. Leaves the bytes alone when nothing changes.
pub fn set_max_timestamp(
    batch: &mut [u8],
    kind: TimestampType,
    max_timestamp: i64,
) -> Result<(), RecordsError> {
    let header = BatchHeader::parse(batch)?;
    if header.attributes.timestamp_type() == kind && header.max_timestamp == max_timestamp {
        return Ok(());
    }
    let bits = match kind {
        TimestampType::CreateTime => header.attributes.0 & !Attributes::LOG_APPEND_TIME,
        TimestampType::LogAppendTime => header.attributes.0 | Attributes::LOG_APPEND_TIME,
    };
    patch(batch, ATTRIBUTES_AT, &bits.to_be_bytes())?;
    patch(batch, MAX_TIMESTAMP_AT, &max_timestamp.to_be_bytes())?;
    write_crc(batch)
}

/// Sets who produced the batch, and with it the checksum.
pub fn set_producer(
    batch: &mut [u8],
    id: ProducerId,
    epoch: ProducerEpoch,
    base_sequence: i32,
    transactional: bool,
) -> Result<(), RecordsError> {
    let bits = BatchHeader::parse(batch)?.attributes.0 & !Attributes::TRANSACTIONAL;
    let bits = if transactional { bits | Attributes::TRANSACTIONAL } else { bits };
    patch(batch, ATTRIBUTES_AT, &bits.to_be_bytes())?;
    patch(batch, PRODUCER_ID_AT, &id.0.to_be_bytes())?;
    patch(batch, PRODUCER_EPOCH_AT, &epoch.0.to_be_bytes())?;
    patch(batch, BASE_SEQUENCE_AT, &base_sequence.to_be_bytes())?;
    write_crc(batch)
}

/// Computes the checksum of one whole v2 batch and writes it into its header.
pub fn write_crc(batch: &mut [u8]) -> Result<(), RecordsError> {
    let have = batch.len();
    let crc = compute_crc(batch).ok_or(RecordsError::Truncated { need: HEADER_LEN, have })?;
    patch(batch, CRC_AT, &crc.to_be_bytes())
}

fn patch(batch: &mut [u8], at: usize, value: &[u8]) -> Result<(), RecordsError> {
    let have = batch.len();
    match batch.get_mut(at..at + value.len()) {
        Some(target) if have >= HEADER_LEN => {
            target.copy_from_slice(value);
            Ok(())
        }
        _ => Err(RecordsError::Truncated { need: HEADER_LEN, have }),
    }
}

fn put(head: &mut [u8; HEADER_LEN], at: usize, value: &[u8]) {
    head[at..at + value.len()].copy_from_slice(value);
}

fn i16_at(head: &[u8; HEADER_LEN], at: usize) -> i16 {
    i16::from_be_bytes([head[at], head[at + 1]])
}

fn i32_at(head: &[u8; HEADER_LEN], at: usize) -> i32 {
    i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn i64_at(head: &[u8; HEADER_LEN], at: usize) -> i64 {
    (i64::from(i32_at(head, at)) << 32) | i64::from(i32_at(head, at + 4) as u32)
}
