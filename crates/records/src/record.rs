//! The records of a v2 batch, read without copying from its decompressed bytes.

use base::Offset;

use crate::batch::{BatchHeader, HEADER_LEN, TimestampType};
use crate::compress::{Compression, decompress};
use crate::error::{InvalidRecord, RecordsError};
use crate::varint::{read_varint, read_varlong};

/// One record; key, value and headers point into the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub offset: Offset,
    /// Milliseconds; with log append time the batch's, not the record's own.
    pub timestamp: i64,
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    /// Unused bits, as written.
    pub attributes: i8,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
    /// Bytes of the record with its length prefix.
    pub size: usize,
}

/// A record's header. Keys may repeat; Kafka treats them as UTF-8 but does not check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// The headers of a record in their order, checked when the record was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// What every record before v2 has.
    pub const EMPTY: Self = Self { count: 0, bytes: &[] };

    pub const fn len(&self) -> usize {
        self.count
    }

    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let (header, after) = read_header(rest).ok()?;
            rest = after;
            Some(header)
        })
    }
}

/// Iterates over the records in `bytes`, the decompressed body of a batch with the given header. Yields exactly the
/// declared count, then an error if bytes are left over; ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    left: usize,
    base_offset: Offset,
    base_timestamp: i64,
    append_time: Option<i64>,
    ended: bool,
}

impl<'a> Records<'a> {
    /// Fails on a negative count.
    pub fn new(header: &BatchHeader, bytes: &'a [u8]) -> Result<Self, RecordsError> {
        let append_time = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Ok(Self {
            bytes,
            left: header.record_count()?,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time,
            ended: false,
        })
    }

    fn end_with(&mut self, fault: InvalidRecord) -> Option<Result<Record<'a>, RecordsError>> {
        self.ended = true;
        Some(Err(fault.into()))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let Some(left) = self.left.checked_sub(1) else {
            self.ended = true;
            return (!self.bytes.is_empty()).then(|| Err(InvalidRecord::RecordsRemain.into()));
        };
        match read_record(self.bytes) {
            Ok((mut record, rest)) => {
                record.offset = Offset(self.base_offset.0.wrapping_add(record.offset_delta.into()));
                record.timestamp = self
                    .append_time
                    .unwrap_or(self.base_timestamp.wrapping_add(record.timestamp_delta));
                self.bytes = rest;
                self.left = left;
                Some(Ok(record))
            }
            Err(fault) => self.end_with(fault),
        }
    }
}

/// The bytes after the header of a whole v2 batch, still compressed.
pub fn body(batch: &[u8]) -> &[u8] {
    batch.get(HEADER_LEN..).unwrap_or_default()
}

/// The decompressed records of a whole v2 batch: borrowed when they are not compressed, else in `buffer` (cleared
/// first), which never grows beyond `max_bytes`.
pub fn decompressed<'a>(
    batch: &'a [u8],
    buffer: &'a mut Vec<u8>,
    max_bytes: usize,
) -> Result<&'a [u8], RecordsError> {
    let compression = BatchHeader::parse(batch)?.attributes.compression()?;
    if compression == Compression::None {
        return Ok(body(batch));
    }
    buffer.clear();
    decompress(compression, body(batch), buffer, max_bytes)?;
    Ok(buffer)
}

/// Reads one record with its length prefix, offset and timestamp still relative.
pub(crate) fn read_record(bytes: &[u8]) -> Result<(Record<'_>, &[u8]), InvalidRecord> {
    let (size, rest) = read_varint(bytes)?;
    let prefix = bytes.len() - rest.len();
    let body = usize::try_from(size)
        .ok()
        .and_then(|size| rest.split_at_checked(size))
        .ok_or(InvalidRecord::Size { expected: size.into(), read: rest.len() as i64 });
    let (body, after) = body?;
    let short = |fault| match fault {
        InvalidRecord::EndOfBatch => {
            InvalidRecord::Size { expected: size.into(), read: i64::from(size) + 1 }
        }
        other => other,
    };
    let record = read_body(body).map_err(short)?;
    Ok((Record { size: prefix + body.len(), ..record }, after))
}

fn read_body(body: &[u8]) -> Result<Record<'_>, InvalidRecord> {
    let [attributes, rest @ ..] = body else {
        return Err(InvalidRecord::EndOfBatch);
    };
    let (timestamp_delta, rest) = read_varlong(rest)?;
    let (offset_delta, rest) = read_varint(rest)?;
    let (key, rest) = read_bytes(rest)?;
    let (value, rest) = read_bytes(rest)?;
    let (count, headers) = read_varint(rest)?;
    // A header takes two bytes or more; Kafka's own check is the weaker "no more headers than bytes".
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= headers.len())
        .ok_or(InvalidRecord::HeaderCount(count))?;
    let mut rest = headers;
    for _ in 0..count {
        rest = read_header(rest)?.1;
    }
    if !rest.is_empty() {
        let expected = body.len() as i64;
        return Err(InvalidRecord::Size { expected, read: expected - rest.len() as i64 });
    }
    Ok(Record {
        offset: Offset::NONE,
        timestamp: timestamp_delta,
        offset_delta,
        timestamp_delta,
        attributes: *attributes as i8,
        key,
        value,
        headers: Headers { count, bytes: headers },
        size: 0,
    })
}

fn read_header(bytes: &[u8]) -> Result<(Header<'_>, &[u8]), InvalidRecord> {
    let (size, rest) = read_varint(bytes)?;
    let size = usize::try_from(size).map_err(|_| InvalidRecord::HeaderKeySize(size))?;
    let (key, rest) = rest.split_at_checked(size).ok_or(InvalidRecord::EndOfBatch)?;
    let (value, rest) = read_bytes(rest)?;
    Ok((Header { key, value }, rest))
}

/// Bytes with a length before them; any negative length is null, as in Kafka.
fn read_bytes(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), InvalidRecord> {
    let (size, rest) = read_varint(bytes)?;
    let Ok(size) = usize::try_from(size) else {
        return Ok((None, rest));
    };
    let (value, rest) = rest.split_at_checked(size).ok_or(InvalidRecord::EndOfBatch)?;
    Ok((Some(value), rest))
}
