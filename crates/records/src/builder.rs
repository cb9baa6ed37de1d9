//! Writes v2 batches: for clients, for the metadata log, for coordinators and for tests.

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::batch::{
    Attributes, BatchHeader, HEADER_LEN, LOG_OVERHEAD, NO_SEQUENCE, NO_TIMESTAMP, TimestampType,
};
use crate::compress::{Codec, Compression, compress};
use crate::crc::crc32c;
use crate::error::RecordsError;
use crate::record::Header;
use crate::varint::{varlong_len, write_varint, write_varlong};

/// Why a record could not be added or a batch not be built.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    #[error("The batch or one of its fields is larger than 2 GiB")]
    TooLarge,
    #[error(
        "Offset {offset} does not follow the batch's last offset {last}, or is too far from its first"
    )]
    Offset { offset: Offset, last: Offset },
    #[error(transparent)]
    Compress(#[from] RecordsError),
}

/// Collects records and builds one v2 batch of them. Fields that are not set are those of a plain producer.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    base_offset: Offset,
    partition_leader_epoch: LeaderEpoch,
    attributes: u16,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    /// With log append time: the timestamp of all records.
    append_time: Option<i64>,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
    last_offset_delta: i32,
    count: i32,
    /// The records, behind what was there before.
    body: Vec<u8>,
    body_at: usize,
}

impl BatchBuilder {
    /// An empty batch that starts at offset 0.
    pub fn new(codec: impl Into<Codec>) -> Self {
        Self {
            codec: codec.into(),
            base_offset: Offset::ZERO,
            partition_leader_epoch: LeaderEpoch::NONE,
            attributes: 0,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: NO_SEQUENCE,
            append_time: None,
            base_timestamp: None,
            max_timestamp: NO_TIMESTAMP,
            last_offset_delta: -1,
            count: 0,
            body: Vec::new(),
            body_at: 0,
        }
    }

    #[must_use]
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.base_offset = offset;
        self
    }

    #[must_use]
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.partition_leader_epoch = epoch;
        self
    }

    /// An idempotent producer's batch.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch) = (id, epoch);
        self.base_sequence = base_sequence;
        self
    }

    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes |= Attributes::TRANSACTIONAL;
        self
    }

    /// A control batch; see [`crate::control`] for what its records hold.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.attributes |= Attributes::CONTROL;
        self
    }

    /// Gives all records the time of appending, in milliseconds.
    #[must_use]
    pub fn log_append_time(mut self, timestamp: i64) -> Self {
        self.attributes |= Attributes::LOG_APPEND_TIME;
        self.append_time = Some(timestamp);
        self
    }

    /// The time from which on tombstones and markers of the batch may go; it takes the place of the base timestamp. A
    /// negative one is none.
    #[must_use]
    pub fn delete_horizon(mut self, at_ms: i64) -> Self {
        if at_ms >= 0 {
            self.attributes |= Attributes::DELETE_HORIZON;
            self.base_timestamp = Some(at_ms);
        }
        self
    }

    /// Builds the batch where it is to stand, behind what is in `out`: without compression nothing is copied.
    /// [`Self::build_in_place`] gives `out` back.
    #[must_use]
    pub fn in_place(mut self, mut out: Vec<u8>) -> Self {
        out.resize(out.len() + HEADER_LEN, 0);
        self.body_at = out.len();
        self.body = out;
        self
    }

    /// Lets the batch end at `offset`, which may lie behind its last record: compaction keeps a batch's last offset.
    pub fn end_at(&mut self, offset: Offset) -> Result<(), BuildError> {
        let out_of_order = || BuildError::Offset { offset, last: self.next_offset().plus(-1) };
        let delta = offset.0.checked_sub(self.base_offset.0).and_then(|d| i32::try_from(d).ok());
        let delta = delta.filter(|delta| *delta >= self.last_offset_delta);
        self.last_offset_delta = delta.ok_or_else(out_of_order)?;
        Ok(())
    }

    /// Records so far.
    pub const fn count(&self) -> i32 {
        self.count
    }

    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch if it were built now without compression.
    pub const fn uncompressed_size(&self) -> usize {
        HEADER_LEN + self.body.len().saturating_sub(self.body_at)
    }

    fn records(&self) -> &[u8] {
        self.body.get(self.body_at..).unwrap_or_default()
    }

    /// The offset after the last record.
    pub const fn next_offset(&self) -> Offset {
        self.base_offset.plus(self.last_offset_delta as i64 + 1)
    }

    /// Adds a record at the next offset.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<Offset, BuildError> {
        let offset = self.next_offset();
        self.append_at(offset, timestamp, key, value, headers)?;
        Ok(offset)
    }

    /// Adds a record at `offset`, which must lie after the last; gaps are what compaction leaves.
    pub fn append_at(
        &mut self,
        offset: Offset,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        let out_of_order = || BuildError::Offset { offset, last: self.next_offset().plus(-1) };
        let delta = offset.0.checked_sub(self.base_offset.0).ok_or_else(out_of_order)?;
        let offset_delta = i32::try_from(delta).map_err(|_| out_of_order())?;
        if offset_delta <= self.last_offset_delta {
            return Err(out_of_order());
        }
        let base_timestamp = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);

        let size = 1
            + varlong_len(timestamp_delta)
            + varlong_len(offset_delta.into())
            + field_len(key)?
            + field_len(value)?
            + varlong_len(len(headers.len())?.into())
            + headers.iter().try_fold(0, |sum, header| {
                Ok::<_, BuildError>(sum + field_len(Some(header.key))? + field_len(header.value)?)
            })?;
        let size = len(size)?;
        len(self.uncompressed_size().saturating_add(size as usize))?;

        write_varint(&mut self.body, size);
        self.body.push(0);
        write_varlong(&mut self.body, timestamp_delta);
        write_varint(&mut self.body, offset_delta);
        write_field(&mut self.body, key);
        write_field(&mut self.body, value);
        write_varint(&mut self.body, headers.len() as i32);
        for header in headers {
            write_field(&mut self.body, Some(header.key));
            write_field(&mut self.body, header.value);
        }
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
        Ok(())
    }

    /// The batch as bytes, compressed and with its checksum. Without records: an empty batch, as compaction keeps for
    /// a producer's last sequence.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        let mut out = Vec::with_capacity(self.uncompressed_size() + 64);
        self.build_into(&mut out)?;
        Ok(out)
    }

    /// Appends what [`Self::build`] gives to `out`.
    pub fn build_into(&self, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let start = out.len();
        out.resize(start + HEADER_LEN, 0);
        if self.count > 0 {
            compress(self.codec, self.records(), out)?;
        }
        self.seal(out.get_mut(start..).unwrap_or_default())
    }

    /// What was given to [`Self::in_place`], with the batch behind it.
    pub fn build_in_place(mut self) -> Result<Vec<u8>, BuildError> {
        let start = self.body_at.saturating_sub(HEADER_LEN);
        let mut out = std::mem::take(&mut self.body);
        if self.codec.compression() != Compression::None {
            let records = out.split_off(self.body_at);
            if self.count > 0 {
                compress(self.codec, &records, &mut out)?;
            }
        }
        self.seal(out.get_mut(start..).unwrap_or_default())?;
        Ok(out)
    }

    /// Writes the header of a batch whose records are in their place.
    fn seal(&self, batch: &mut [u8]) -> Result<(), BuildError> {
        let max_timestamp = self.append_time.unwrap_or(self.max_timestamp);
        let mut header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: len(batch.len().saturating_sub(LOG_OVERHEAD))?,
            partition_leader_epoch: self.partition_leader_epoch,
            crc: 0,
            attributes: Attributes(self.attributes | u16::from(self.codec.compression().id())),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp.unwrap_or(NO_TIMESTAMP),
            max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            count: self.count,
        };
        debug_assert!(
            (header.attributes.timestamp_type() == TimestampType::LogAppendTime)
                == self.append_time.is_some()
        );
        for sealed in [false, true] {
            if sealed {
                header.crc = crc32c(batch.get(crate::batch::ATTRIBUTES_AT..).unwrap_or_default());
            }
            if let Some(place) = batch.get_mut(..HEADER_LEN) {
                place.copy_from_slice(&header.to_bytes());
            }
        }
        Ok(())
    }
}

fn len(len: usize) -> Result<i32, BuildError> {
    i32::try_from(len).map_err(|_| BuildError::TooLarge)
}

fn field_len(field: Option<&[u8]>) -> Result<usize, BuildError> {
    match field {
        None => Ok(varlong_len(-1)),
        Some(bytes) => Ok(varlong_len(len(bytes.len())?.into()) + bytes.len()),
    }
}

/// The field's length was checked by [`field_len`].
fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}
