//! What can be wrong with the bytes of a batch. Texts are Kafka's where clients can see them.

use crate::compress::Compression;

/// A fault in the bytes of a batch or of its records.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordsError {
    #[error("The batch ends after {have} bytes where {need} are needed")]
    Truncated { need: usize, have: usize },
    #[error("Record size {size} is less than the minimum record overhead ({min})")]
    SizeTooSmall { size: i32, min: usize },
    #[error("Invalid magic found in record: {magic}")]
    InvalidMagic { magic: i8 },
    #[error(
        "Record batch is corrupted (the size {size} is smaller than the minimum allowed overhead {min})"
    )]
    BatchTooSmall { size: usize, min: usize },
    #[error("Record is corrupt (stored crc = {stored}, computed crc = {computed})")]
    WrongCrc { stored: u32, computed: u32 },
    #[error("Unknown compression type id: {id}")]
    UnknownCompression { id: u8 },
    #[error("Magic v{magic} does not support record compression type {compression}")]
    CompressionTooNew { magic: i8, compression: Compression },
    #[error("Cannot decompress {compression}: {reason}")]
    Decompress { compression: Compression, reason: &'static str },
    #[error("Cannot compress {compression}: {reason}")]
    Compress { compression: Compression, reason: &'static str },
    #[error("The decompressed records are larger than the allowed {max} bytes")]
    DecompressedTooLarge { max: usize },
    #[error("Invalid record: {0}")]
    InvalidRecord(InvalidRecord),
}

/// A fault inside one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRecord {
    #[error("Varint is too long, the most significant bit in the 5th byte is set")]
    VarintTooLong,
    #[error("Varlong is too long, most significant bit in the 10th byte is set")]
    VarlongTooLong,
    #[error("Record payload has reached the end of the batch")]
    EndOfBatch,
    #[error("Invalid record size: expected {expected} bytes in record payload, but read {read}")]
    Size { expected: i64, read: i64 },
    #[error("Found invalid number of record headers {0}")]
    HeaderCount(i32),
    #[error("Invalid negative header key size {0}")]
    HeaderKeySize(i32),
    #[error("Found invalid record count {0} in the batch header")]
    Count(i32),
    #[error("Incorrect declared batch size, records still remaining in file")]
    RecordsRemain,
    #[error("Invalid legacy record: {0}")]
    Legacy(&'static str),
}

impl From<InvalidRecord> for RecordsError {
    fn from(fault: InvalidRecord) -> Self {
        Self::InvalidRecord(fault)
    }
}
