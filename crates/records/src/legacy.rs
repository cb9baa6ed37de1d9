//! Magic 0 and 1: single records, or wrapper records whose value is a compressed set of them. Read only.

use base::Offset;

use crate::batch::{LOG_OVERHEAD, MAGIC_AT, NO_TIMESTAMP, TimestampType};
use crate::compress::{Compression, decompress_legacy};
use crate::crc::crc32;
use crate::error::{InvalidRecord, RecordsError};
use crate::record::{Headers, Record};

/// Counted bytes of a magic 0 record without key and value.
pub const OVERHEAD_V0: usize = 14;
/// Counted bytes of a magic 1 record without key and value.
pub const OVERHEAD_V1: usize = 22;

/// Decompressed at most to tell the first offset of a wrapper: more than any broker of that time accepted.
const MAX_WRAPPER_BYTES: usize = 256 << 20;

const COMPRESSION_MASK: u8 = 0x07;
const LOG_APPEND_TIME: u8 = 0x08;

/// The fixed part of a magic 0 or 1 record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegacyHeader {
    /// The record's offset; a wrapper's is that of its last record.
    pub offset: Offset,
    pub crc: u32,
    pub magic: i8,
    pub attributes: u8,
    /// -1 in magic 0.
    pub timestamp: i64,
}

impl LegacyHeader {
    /// Reads the header of one whole entry.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordsError> {
        let (offset, rest) = take::<8>(bytes)?;
        let (_size, rest) = take::<4>(rest)?;
        let (crc, rest) = take::<4>(rest)?;
        let ([magic, attributes], rest) = take::<2>(rest)?;
        let (magic, timestamp, min) = match magic as i8 {
            0 => (0, NO_TIMESTAMP, OVERHEAD_V0),
            1 => (1, i64::from_be_bytes(take::<8>(rest)?.0), OVERHEAD_V1),
            magic => return Err(RecordsError::InvalidMagic { magic }),
        };
        if bytes.len() < LOG_OVERHEAD + min {
            return Err(RecordsError::BatchTooSmall { size: bytes.len(), min: LOG_OVERHEAD + min });
        }
        Ok(Self {
            offset: Offset(i64::from_be_bytes(offset)),
            crc: u32::from_be_bytes(crc),
            magic,
            attributes,
            timestamp,
        })
    }

    pub fn compression(&self) -> Result<Compression, RecordsError> {
        match Compression::from_id(self.attributes & COMPRESSION_MASK)? {
            compression @ Compression::Zstd => {
                Err(RecordsError::CompressionTooNew { magic: self.magic, compression })
            }
            compression => Ok(compression),
        }
    }

    /// `None` in magic 0, which has no timestamps.
    pub const fn timestamp_type(&self) -> Option<TimestampType> {
        if self.magic == 0 {
            None
        } else if self.attributes & LOG_APPEND_TIME != 0 {
            Some(TimestampType::LogAppendTime)
        } else {
            Some(TimestampType::CreateTime)
        }
    }

    /// Checks the CRC-32 over the entry's bytes from the magic on.
    pub fn check_crc(&self, bytes: &[u8]) -> Result<(), RecordsError> {
        let computed = crc32(bytes.get(MAGIC_AT..).unwrap_or_default());
        if computed == self.crc {
            Ok(())
        } else {
            Err(RecordsError::WrongCrc { stored: self.crc, computed })
        }
    }
}

/// The first offset of an entry: its own, or of a wrapper's first record.
pub fn base_offset(header: &LegacyHeader, bytes: &[u8]) -> Result<Offset, RecordsError> {
    if header.compression()? == Compression::None {
        return Ok(header.offset);
    }
    let mut buffer = Vec::new();
    let records = records(header, bytes, &mut buffer, MAX_WRAPPER_BYTES)?;
    Ok(records.first().map_or(header.offset, |record| record.offset))
}

/// The records of one entry with their true offsets and timestamps, decompressed into `buffer` where needed, which
/// never grows beyond `max_bytes`.
pub fn records<'a>(
    header: &LegacyHeader,
    bytes: &'a [u8],
    buffer: &'a mut Vec<u8>,
    max_bytes: usize,
) -> Result<Vec<Record<'a>>, RecordsError> {
    let record = read_record(header, bytes)?;
    let compression = header.compression()?;
    if compression == Compression::None {
        return Ok(vec![record]);
    }
    let invalid = |reason| RecordsError::from(InvalidRecord::Legacy(reason));
    let value = record.value.ok_or(invalid("found a compressed record set with null value"))?;
    buffer.clear();
    decompress_legacy(compression, value, buffer, max_bytes)?;
    let mut records = Vec::new();
    let mut rest: &'a [u8] = buffer;
    while !rest.is_empty() {
        let (entry, after) = split_entry(rest)?;
        let inner = LegacyHeader::parse(entry)?;
        if inner.magic != header.magic {
            return Err(invalid("the magic of a compressed record differs from its wrapper's"));
        }
        if inner.compression()? != Compression::None {
            return Err(invalid("an inner record is compressed"));
        }
        let mut record = read_record(&inner, entry)?;
        if header.timestamp_type() == Some(TimestampType::LogAppendTime) {
            record.timestamp = header.timestamp;
        }
        records.push(record);
        rest = after;
    }
    let last = records.last().ok_or(invalid("found a compressed record set without records"))?;
    if header.magic == 1 {
        // Relative offsets count from the wrapper's first record. Some librdkafka versions left the wrapper's at 0.
        let last = last.offset.0;
        let first = match header.offset.0 {
            0 => 0,
            wrapper if wrapper < last => {
                return Err(invalid("the wrapper's offset is less than that of its last record"));
            }
            wrapper => wrapper.wrapping_sub(last),
        };
        for record in &mut records {
            record.offset = Offset(record.offset.0.wrapping_add(first));
        }
    }
    Ok(records)
}

fn read_record<'a>(header: &LegacyHeader, bytes: &'a [u8]) -> Result<Record<'a>, RecordsError> {
    let fields_at = if header.magic == 0 { MAGIC_AT + 2 } else { MAGIC_AT + 10 };
    let (key, rest) = read_bytes(bytes.get(fields_at..).unwrap_or_default())?;
    let (value, _) = read_bytes(rest)?;
    Ok(Record {
        offset: header.offset,
        timestamp: header.timestamp,
        offset_delta: 0,
        timestamp_delta: 0,
        attributes: header.attributes as i8,
        key,
        value,
        headers: Headers::EMPTY,
        size: bytes.len(),
    })
}

fn split_entry(bytes: &[u8]) -> Result<(&[u8], &[u8]), RecordsError> {
    let short = RecordsError::Truncated { need: LOG_OVERHEAD, have: bytes.len() };
    let size = bytes.get(8..).and_then(|rest| rest.first_chunk::<4>()).ok_or(short)?;
    let size = i32::from_be_bytes(*size);
    let counted = usize::try_from(size)
        .ok()
        .filter(|counted| *counted >= OVERHEAD_V0)
        .ok_or(RecordsError::SizeTooSmall { size, min: OVERHEAD_V0 })?;
    let need = counted + LOG_OVERHEAD;
    bytes.split_at_checked(need).ok_or(RecordsError::Truncated { need, have: bytes.len() })
}

/// Bytes with a 32-bit length before them; any negative length is null.
fn read_bytes(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), RecordsError> {
    let (size, rest) = take::<4>(bytes)?;
    let Ok(size) = usize::try_from(i32::from_be_bytes(size)) else {
        return Ok((None, rest));
    };
    let (value, rest) = rest
        .split_at_checked(size)
        .ok_or(RecordsError::Truncated { need: size, have: rest.len() })?;
    Ok((Some(value), rest))
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), RecordsError> {
    let (head, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or(RecordsError::Truncated { need: N, have: bytes.len() })?;
    Ok((*head, rest))
}
