//! Why an append is refused: Kafka's error for each fault, and Kafka's text where a client sees one.

use std::fmt::{self, Write as _};

use protocol::ErrorCode;

use crate::batch::TimestampType;
use crate::error::RecordsError;

/// Errors of single records that one answer lists. Kafka lists all; a batch of a million keyless records then costs
/// it (and its producer) a hundred megabytes.
pub const MAX_LISTED_ERRORS: usize = 1000;
/// As many as Kafka shows in the text.
const SHOWN_IN_TEXT: usize = 3;

/// Why a partition refuses a batch. Texts name the partition, which this crate does not know: see [`Self::text`].
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum AppendFault {
    /// No whole batch at all.
    #[error("Record batch has no batches at all")]
    Empty,
    #[error(
        "Produce requests with version {version} must have at least one record batch per partition"
    )]
    NoBatch { version: i16 },
    #[error(
        "Produce requests with version {version} are only allowed to contain record batches with magic version 2"
    )]
    OldMagic { version: i16 },
    #[error("Produce requests with version {version} are not allowed to use ZStandard compression")]
    ZstdTooNew { version: i16 },
    #[error(
        "Produce requests with version {version} are only allowed to contain exactly one record batch per partition"
    )]
    ManyBatches { version: i16 },
    #[error("Compressed outer record has more than one batch")]
    MoreThanOneBatch,
    #[error("Magic {magic} is only read, never written")]
    LegacyMagic { magic: i8 },
    #[error("The base offset of the record batch should be 0, but it is {base_offset}")]
    BaseOffset { base_offset: i64 },
    #[error(
        "The record batch size is {size} bytes which exceeds the maximum configured value of {max}"
    )]
    TooLarge { size: usize, max: usize },
    /// The decompressed records are more than is rebuilt in memory, or than a batch can be.
    #[error("The decompressed records take more than {max} bytes")]
    DecompressedTooLarge { max: usize },
    #[error("Batch has an invalid offset range: [{first}, {last}]")]
    OffsetRange { first: i64, last: i64 },
    #[error("Invalid reported count for record batch: {count}")]
    Count { count: i32 },
    #[error("Inconsistent batch offset range [{first}, {last}] and count of records {count}")]
    CountMismatch { first: i64, last: i64, count: i32 },
    #[error("Clients are not allowed to write control records")]
    ControlBatch,
    #[error("Invalid sequence number {sequence} in record batch with producerId {producer_id}")]
    Sequence { sequence: i32, producer_id: i64 },
    #[error(
        "Append from Raft leader did not set the batch epoch correctly, expected {expected} but the batch has {found}"
    )]
    LeaderEpoch { expected: i32, found: i32 },
    #[error("Out of order offsets found in append")]
    OffsetsOutOfOrder,
    #[error("Invalid record size: {size} exceeds the configured maximum record size of {max}.")]
    RecordTooLarge { size: i32, max: i32 },
    /// The offsets inside a compressed batch do not count up from its base.
    #[error(
        "The offsets inside the compressed batch are not consecutive: {found} where {expected} is due"
    )]
    InnerOffsets { expected: i64, found: i64 },
    /// Single records are at fault, the batch is well formed.
    #[error(transparent)]
    Records(#[from] RecordFaults),
    /// The bytes are at fault.
    #[error(transparent)]
    Bytes(#[from] RecordsError),
}

impl AppendFault {
    /// The code that Kafka 4.4 answers.
    pub fn error_code(&self) -> ErrorCode {
        use RecordsError as B;
        match self {
            Self::ZstdTooNew { .. } => ErrorCode::UnsupportedCompressionType,
            Self::TooLarge { .. } | Self::DecompressedTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::Records(faults) => faults.error_code(),
            Self::OffsetsOutOfOrder | Self::InnerOffsets { .. } => ErrorCode::UnknownServerError,
            Self::Bytes(fault) => match fault {
                B::Truncated { .. }
                | B::SizeTooSmall { .. }
                | B::InvalidMagic { .. }
                | B::BatchTooSmall { .. }
                | B::WrongCrc { .. } => ErrorCode::CorruptMessage,
                B::InvalidRecord(_) | B::CompressionTooNew { .. } => ErrorCode::InvalidRecord,
                B::DecompressedTooLarge { .. } => ErrorCode::MessageTooLarge,
                B::UnknownCompression { .. } | B::Decompress { .. } | B::Compress { .. } => {
                    ErrorCode::UnknownServerError
                }
            },
            Self::Empty
            | Self::NoBatch { .. }
            | Self::OldMagic { .. }
            | Self::ManyBatches { .. }
            | Self::MoreThanOneBatch
            | Self::LegacyMagic { .. }
            | Self::BaseOffset { .. }
            | Self::OffsetRange { .. }
            | Self::Count { .. }
            | Self::CountMismatch { .. }
            | Self::ControlBatch
            | Self::Sequence { .. }
            | Self::LeaderEpoch { .. }
            | Self::RecordTooLarge { .. } => ErrorCode::InvalidRecord,
        }
    }

    /// The error message of a Produce response (v8 and later): only faults of single records have one.
    pub fn response_message(&self, partition: &dyn fmt::Display) -> Option<String> {
        match self {
            Self::Records(faults) => Some(faults.text(partition)),
            _ => None,
        }
    }

    /// The single records at fault with their texts, as a Produce response (v8 and later) lists them.
    pub fn record_errors(&self, partition: &dyn fmt::Display) -> Vec<(i32, String)> {
        match self {
            Self::Records(faults) => {
                faults.listed.iter().map(|fault| (fault.index, fault.text(partition))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether the response says where the log starts: Kafka leaves it at -1 for sizes and checksums.
    pub fn tells_log_start_offset(&self) -> bool {
        !matches!(self.error_code(), ErrorCode::MessageTooLarge | ErrorCode::CorruptMessage)
    }

    /// A line for the log, with the partition's name.
    pub fn text(&self, partition: &dyn fmt::Display) -> String {
        match self {
            Self::Records(faults) => faults.text(partition),
            other => format!("{other} in topic partition {partition}"),
        }
    }
}

/// The records of one batch that are at fault.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{total} records are at fault")]
pub struct RecordFaults {
    /// How many; at least one.
    pub total: usize,
    /// The first [`MAX_LISTED_ERRORS`].
    pub listed: Vec<RecordFault>,
    /// One of all of them has a wrong timestamp: then the whole batch's error is that.
    pub any_timestamp: bool,
}

impl RecordFaults {
    fn error_code(&self) -> ErrorCode {
        if self.any_timestamp { ErrorCode::InvalidTimestamp } else { ErrorCode::InvalidRecord }
    }

    fn text(&self, partition: &dyn fmt::Display) -> String {
        if self.any_timestamp {
            return "One or more records have been rejected due to invalid timestamp".into();
        }
        let mut out = format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first three \
             errors at most: [",
            self.total
        );
        for (index, fault) in self.listed.iter().take(SHOWN_IN_TEXT).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let text = fault.text(partition);
            // Writing to a string cannot fail.
            let _never =
                write!(out, "{comma}RecordError(batchIndex={}, message='{text}')", fault.index);
        }
        out.push(']');
        out
    }
}

/// One record at fault.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RecordFault {
    /// Which record of the batch, from 0.
    pub index: i32,
    pub reason: RecordReason,
}

/// What is wrong with one record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RecordReason {
    /// A compacted topic needs keys.
    NoKey,
    /// Outside the topic's bounds around the broker's time.
    Timestamp { timestamp: i64, offset: i64, earliest: i64, latest: i64 },
    /// The producer claims the broker's own timestamp type.
    TimestampType { offset: i64, timestamp: i64, key_size: i32, value_size: i32, partial: bool },
}

impl RecordReason {
    pub(super) const fn is_timestamp(self) -> bool {
        !matches!(self, Self::NoKey)
    }
}

impl RecordFault {
    fn text(&self, partition: &dyn fmt::Display) -> String {
        match self.reason {
            RecordReason::NoKey => format!(
                "Compacted topic cannot accept message without key in topic partition {partition}"
            ),
            RecordReason::Timestamp { timestamp, offset, earliest, latest } => format!(
                "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within \
                 [{earliest}, {latest}]"
            ),
            RecordReason::TimestampType { offset, timestamp, key_size, value_size, partial } => {
                // Kafka's text for a record of a compressed batch shows a null as -1 bytes.
                let (name, least) =
                    if partial { ("PartialDefaultRecord", -1) } else { ("DefaultRecord", 0) };
                let (key_size, value_size) = (key_size.max(least), value_size.max(least));
                format!(
                    "Invalid timestamp type in message {name}(offset={offset}, timestamp={timestamp}, key={key_size} \
                     bytes, value={value_size} bytes). Producer should not set timestamp type to {}.",
                    TimestampType::LogAppendTime
                )
            }
        }
    }
}
