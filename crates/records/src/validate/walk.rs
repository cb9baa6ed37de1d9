//! Walks over the records of a batch without keeping them: the window of the decompressor is all the memory it takes.

use crate::batch::{BatchHeader, TimestampType};
use crate::compress::{Compression, Decompressor};
use crate::error::InvalidRecord;
use crate::record::{Record, Records, body, read_record};
use crate::varint::{
    MAX_VARINT_LEN, MAX_VARLONG_LEN, read_varint, read_varlong, unzigzag32, unzigzag64,
};

use super::fault::AppendFault;

/// What validation looks at in a record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Glance {
    pub offset: i64,
    pub timestamp: i64,
    /// Negative: no key.
    pub key_size: i32,
    pub value_size: i32,
}

/// Shows every record of a whole batch to `visit`; fails where its bytes are no records.
pub(super) fn walk(
    header: &BatchHeader,
    batch: &[u8],
    max_record_size: i32,
    max_total: u64,
    mut visit: impl FnMut(Glance),
) -> Result<(), AppendFault> {
    let compression = header.attributes.compression()?;
    let count = header.record_count()?;
    if count == 0 {
        return Ok(());
    }
    if compression == Compression::None {
        for record in Records::new(header, body(batch))? {
            let record = record?;
            visit(Glance {
                offset: record.offset.0,
                timestamp: record.timestamp,
                ..glance(&record)
            });
        }
        return Ok(());
    }
    let mut stream =
        Stream { source: Decompressor::new(compression, body(batch))?, read: 0, max: max_total };
    let append_time = (header.attributes.timestamp_type() == TimestampType::LogAppendTime)
        .then_some(header.max_timestamp);
    for _ in 0..count {
        let mut glance = stream.record(max_record_size)?;
        glance.offset = header.base_offset.0.wrapping_add(glance.offset);
        glance.timestamp =
            append_time.unwrap_or(header.base_timestamp.wrapping_add(glance.timestamp));
        visit(glance);
    }
    if stream.source.fill()?.is_empty() { Ok(()) } else { Err(InvalidRecord::RecordsRemain.into()) }
}

/// A record's sizes, its offset and timestamp still relative.
fn glance(record: &Record<'_>) -> Glance {
    let size = |field: Option<&[u8]>| {
        field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX))
    };
    Glance {
        offset: record.offset_delta.into(),
        timestamp: record.timestamp_delta,
        key_size: size(record.key),
        value_size: size(record.value),
    }
}

impl From<InvalidRecord> for AppendFault {
    fn from(fault: InvalidRecord) -> Self {
        Self::Bytes(fault.into())
    }
}

struct Stream<'a> {
    source: Decompressor<'a>,
    /// Bytes consumed so far, and how many may be.
    read: u64,
    max: u64,
}

impl Stream<'_> {
    /// Reads one record, its offset and timestamp still relative. Unlike Kafka here, but like Kafka everywhere else
    /// (and its consumers), the record's size must be that of its content.
    fn record(&mut self, max_size: i32) -> Result<Glance, AppendFault> {
        // Nearly all records lie in the window as a whole; the others, and faulty ones, are read piece by piece.
        let whole = read_record(self.source.fill()?);
        let whole = whole.ok().map(|(record, _)| (record.size, glance(&record)));
        if let Some((size, glance)) = whole
            && i64::try_from(size).is_ok_and(|size| size <= i64::from(max_size))
        {
            self.consume(size)?;
            return Ok(glance);
        }
        let size = self.varint()?;
        if size < 0 {
            return Err(InvalidRecord::Size { expected: size.into(), read: 0 }.into());
        }
        if size > max_size {
            return Err(AppendFault::RecordTooLarge { size, max: max_size });
        }
        let start = self.read;
        let _attributes = self.byte()?;
        let timestamp = self.varlong()?;
        let offset = self.varint()?.into();
        let key_size = self.varint()?;
        self.skip(key_size)?;
        let value_size = self.varint()?;
        self.skip(value_size)?;
        let headers = self.varint()?;
        if headers < 0 || headers > size {
            return Err(InvalidRecord::HeaderCount(headers).into());
        }
        for _ in 0..headers {
            let key_size = self.varint()?;
            if key_size < 0 {
                return Err(InvalidRecord::HeaderKeySize(key_size).into());
            }
            self.skip(key_size)?;
            let value_size = self.varint()?;
            self.skip(value_size)?;
        }
        let read = (self.read - start) as i64;
        if read != i64::from(size) {
            return Err(InvalidRecord::Size { expected: size.into(), read }.into());
        }
        Ok(Glance { offset, timestamp, key_size, value_size })
    }

    fn consume(&mut self, count: usize) -> Result<(), AppendFault> {
        self.source.consume(count);
        self.read += count as u64;
        if self.read > self.max {
            let max = usize::try_from(self.max).unwrap_or(usize::MAX);
            return Err(AppendFault::DecompressedTooLarge { max });
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, AppendFault> {
        let byte = *self.source.fill()?.first().ok_or(InvalidRecord::EndOfBatch)?;
        self.consume(1)?;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<i32, AppendFault> {
        let window = self.source.fill()?;
        if window.len() >= MAX_VARINT_LEN {
            let (value, rest) = read_varint(window)?;
            let used = window.len() - rest.len();
            self.consume(used)?;
            return Ok(value);
        }
        let value = self.slow_varint(MAX_VARINT_LEN, InvalidRecord::VarintTooLong)?;
        Ok(unzigzag32(value as u32))
    }

    fn varlong(&mut self) -> Result<i64, AppendFault> {
        let window = self.source.fill()?;
        if window.len() >= MAX_VARLONG_LEN {
            let (value, rest) = read_varlong(window)?;
            let used = window.len() - rest.len();
            self.consume(used)?;
            return Ok(value);
        }
        self.slow_varint(MAX_VARLONG_LEN, InvalidRecord::VarlongTooLong).map(unzigzag64)
    }

    /// A varint that may straddle two windows.
    fn slow_varint(&mut self, max_len: usize, fault: InvalidRecord) -> Result<u64, AppendFault> {
        let mut value = 0;
        for index in 0..max_len {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(fault.into())
    }

    /// Skips a field; a negative size is null.
    fn skip(&mut self, size: i32) -> Result<(), AppendFault> {
        let mut left = usize::try_from(size).unwrap_or(0);
        while left > 0 {
            let step = self.source.fill()?.len().min(left);
            if step == 0 {
                return Err(InvalidRecord::EndOfBatch.into());
            }
            self.consume(step)?;
            left -= step;
        }
        Ok(())
    }
}
