//! Many batches in one slice: old and new formats behind one view.

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::batch::{
    self, BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC_AT, MAGIC_V2, NO_SEQUENCE, SIZE_AT,
    TimestampType,
};
use crate::compress::Compression;
use crate::error::RecordsError;
use crate::legacy::{self, LegacyHeader};
use crate::record::{self, Record, Records};

/// Bytes from which a batch's size and magic can be told.
pub const PEEK_LEN: usize = MAGIC_AT + 1;

/// Size of the batch that starts `bytes`, header included, or `None` while fewer than [`PEEK_LEN`] bytes are there.
/// The size may exceed the slice. Fails on a size or magic that no batch can have, with Kafka's texts.
pub fn next_batch_size(bytes: &[u8]) -> Result<Option<usize>, RecordsError> {
    let Some(size) = bytes.get(SIZE_AT..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(None);
    };
    let size = i32::from_be_bytes(*size);
    let too_small = RecordsError::SizeTooSmall { size, min: legacy::OVERHEAD_V0 };
    let Some(counted) = usize::try_from(size).ok().filter(|size| *size >= legacy::OVERHEAD_V0)
    else {
        return Err(too_small);
    };
    let Some(magic) = bytes.get(MAGIC_AT) else {
        return Ok(None);
    };
    match *magic as i8 {
        0..=MAGIC_V2 => Ok(Some(counted + LOG_OVERHEAD)),
        magic => Err(RecordsError::InvalidMagic { magic }),
    }
}

/// One whole batch of any magic.
#[derive(Clone, Copy, Debug)]
pub struct AnyBatch<'a> {
    bytes: &'a [u8],
    head: Head,
}

#[derive(Clone, Copy, Debug)]
enum Head {
    V2(BatchHeader),
    Legacy(LegacyHeader),
}

impl<'a> AnyBatch<'a> {
    /// Reads the batch at the start of `bytes`; `None` while it is not whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, RecordsError> {
        let Some(size) = next_batch_size(bytes)? else {
            return Ok(None);
        };
        let Some(bytes) = bytes.get(..size) else {
            return Ok(None);
        };
        let head = if bytes.get(MAGIC_AT) == Some(&(MAGIC_V2 as u8)) {
            if size < HEADER_LEN {
                return Err(RecordsError::BatchTooSmall { size, min: HEADER_LEN });
            }
            Head::V2(BatchHeader::parse(bytes)?)
        } else {
            Head::Legacy(LegacyHeader::parse(bytes)?)
        };
        Ok(Some(Self { bytes, head }))
    }

    /// The whole batch, header included.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of the whole batch.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The header of a v2 batch.
    pub const fn v2(&self) -> Option<&BatchHeader> {
        match &self.head {
            Head::V2(header) => Some(header),
            Head::Legacy(_) => None,
        }
    }

    /// The header of a magic 0 or 1 entry.
    pub const fn legacy(&self) -> Option<&LegacyHeader> {
        match &self.head {
            Head::V2(_) => None,
            Head::Legacy(header) => Some(header),
        }
    }

    pub const fn magic(&self) -> i8 {
        match &self.head {
            Head::V2(_) => MAGIC_V2,
            Head::Legacy(header) => header.magic,
        }
    }

    /// First offset. A compressed entry of magic 0 or 1 must be decompressed to tell it, and can fail.
    pub fn base_offset(&self) -> Result<Offset, RecordsError> {
        match &self.head {
            Head::V2(header) => Ok(header.base_offset),
            Head::Legacy(header) => legacy::base_offset(header, self.bytes),
        }
    }

    /// Last offset; for a compressed entry of magic 0 or 1 the wrapper's own.
    pub const fn last_offset(&self) -> Offset {
        match &self.head {
            Head::V2(header) => header.last_offset(),
            Head::Legacy(header) => header.offset,
        }
    }

    pub const fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Largest timestamp in milliseconds, -1 in magic 0.
    pub const fn max_timestamp(&self) -> i64 {
        match &self.head {
            Head::V2(header) => header.max_timestamp,
            Head::Legacy(header) => header.timestamp,
        }
    }

    /// What the timestamps mean; `None` in magic 0, which has none.
    pub const fn timestamp_type(&self) -> Option<TimestampType> {
        match &self.head {
            Head::V2(header) => Some(header.attributes.timestamp_type()),
            Head::Legacy(header) => header.timestamp_type(),
        }
    }

    pub fn compression(&self) -> Result<Compression, RecordsError> {
        match &self.head {
            Head::V2(header) => header.attributes.compression(),
            Head::Legacy(header) => header.compression(),
        }
    }

    /// Epoch of the leader that wrote it; none before v2.
    pub const fn partition_leader_epoch(&self) -> LeaderEpoch {
        match &self.head {
            Head::V2(header) => header.partition_leader_epoch,
            Head::Legacy(_) => LeaderEpoch::NONE,
        }
    }

    pub const fn producer_id(&self) -> ProducerId {
        match &self.head {
            Head::V2(header) => header.producer_id,
            Head::Legacy(_) => ProducerId::NONE,
        }
    }

    pub const fn producer_epoch(&self) -> ProducerEpoch {
        match &self.head {
            Head::V2(header) => header.producer_epoch,
            Head::Legacy(_) => ProducerEpoch::NONE,
        }
    }

    pub const fn base_sequence(&self) -> i32 {
        match &self.head {
            Head::V2(header) => header.base_sequence,
            Head::Legacy(_) => NO_SEQUENCE,
        }
    }

    pub const fn is_transactional(&self) -> bool {
        matches!(&self.head, Head::V2(header) if header.attributes.is_transactional())
    }

    pub const fn is_control(&self) -> bool {
        matches!(&self.head, Head::V2(header) if header.attributes.is_control())
    }

    /// The records, decompressed into `buffer` where needed, which never grows beyond `max_bytes`.
    pub fn records<'b>(
        &self,
        buffer: &'b mut Vec<u8>,
        max_bytes: usize,
    ) -> Result<AnyRecords<'b>, RecordsError>
    where
        'a: 'b,
    {
        Ok(match &self.head {
            Head::V2(header) => {
                let body = record::decompressed(self.bytes, buffer, max_bytes)?;
                AnyRecords::V2(Records::new(header, body)?)
            }
            Head::Legacy(header) => {
                let records = legacy::records(header, self.bytes, buffer, max_bytes)?;
                AnyRecords::Legacy(records.into_iter())
            }
        })
    }

    /// Checks the batch's own checksum.
    pub fn check_crc(&self) -> Result<(), RecordsError> {
        match &self.head {
            Head::V2(_) => batch::check_crc(self.bytes),
            Head::Legacy(header) => header.check_crc(self.bytes),
        }
    }
}

/// The records of a batch of any magic.
#[derive(Clone, Debug)]
pub enum AnyRecords<'a> {
    V2(Records<'a>),
    Legacy(std::vec::IntoIter<Record<'a>>),
}

impl<'a> Iterator for AnyRecords<'a> {
    type Item = Result<Record<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::V2(records) => records.next(),
            Self::Legacy(records) => records.next().map(Ok),
        }
    }
}

/// What is left of a slice after its last whole batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Nothing: the slice ends with a batch.
    Clean,
    /// The start of a batch; `size` is its whole size when it can be told already.
    Incomplete { have: usize, size: Option<usize> },
    /// An impossible size, magic or header.
    Corrupt,
}

/// The whole batches of a slice, in order. Ends at the tail, after yielding an error when that is corrupt.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    corrupt: bool,
}

impl<'a> Batches<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, corrupt: false }
    }

    /// Bytes of the whole batches passed so far: where the next one starts.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What stands at [`Self::position`]: look once the iterator has ended.
    pub fn tail(&self) -> Tail {
        let rest = self.rest();
        if self.corrupt {
            Tail::Corrupt
        } else if rest.is_empty() {
            Tail::Clean
        } else {
            next_batch_size(rest)
                .map_or(Tail::Corrupt, |size| Tail::Incomplete { have: rest.len(), size })
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<AnyBatch<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.corrupt {
            return None;
        }
        match AnyBatch::parse(self.rest()) {
            Ok(batch) => {
                let batch = batch?;
                self.position += batch.size();
                Some(Ok(batch))
            }
            Err(fault) => {
                self.corrupt = true;
                Some(Err(fault))
            }
        }
    }
}
