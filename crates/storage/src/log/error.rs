//! What can go wrong in a log: one variant per failed operation.

use std::io;
use std::path::{Path, PathBuf};

use base::{LeaderEpoch, Offset};
use protocol::ErrorCode;
use records::RecordsError;

use super::read::FileSlice;
use crate::disk;

pub type Result<T, E = LogError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk failed. The log takes no more writes; the log directory must go offline. Unless it was only full.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// An answer without waiting for the disk was asked for, and this would have to be read first ([`FileSlice::load`]).
    #[error("not in memory: {0:?}")]
    NotCached(FileSlice),
    /// What is left of the volume is kept for others.
    #[error("{log} is not written to: its log directory runs out of space")]
    NoSpace { log: String },
    /// An earlier write or sync failed: what is on the disk is unknown.
    #[error("{log} is offline after an earlier failure: {cause}")]
    Offline { log: String, cause: String },
    #[error(
        "Received request for offset {requested} for partition {log}, but we only have log segments from {start} to {end}."
    )]
    OffsetOutOfRange { log: String, requested: Offset, start: Offset, end: Offset },
    /// Bytes in a segment that are no batch. Only recovery repairs that.
    #[error("{path} is corrupt at byte {position}: {reason}", path = path.display())]
    Corrupt { path: PathBuf, position: u64, reason: String },
    /// A small file (checkpoint, snapshot) that cannot be read as what it should be.
    #[error("{path} is not a valid {what}: {reason}", path = path.display())]
    InvalidFile { path: PathBuf, what: &'static str, reason: String },
    #[error("Invalid batch in an append to {log}: {source}")]
    InvalidBatch { log: String, source: RecordsError },
    #[error("The append to {log} is refused: {reason}")]
    InvalidAppend { log: String, reason: String },
    #[error(
        "Message batch size is {size} bytes in append to partition {log}, which exceeds the maximum configured segment size of {max}."
    )]
    BatchLargerThanSegment { log: String, size: usize, max: u32 },
    #[error("Out of order offsets found in append to {log}: {last} is followed by {next}")]
    OffsetsOutOfOrder { log: String, last: Offset, next: Offset },
    #[error(
        "Unexpected offset in append to {log}. First offset {first} is less than the next offset {end}. Log start offset = {start}"
    )]
    UnexpectedOffset { log: String, first: Offset, last: Offset, end: Offset, start: Offset },
    #[error(
        "Cannot increment the log start offset to {requested} of partition {log} since it is larger than the high watermark {high_watermark}"
    )]
    StartBeyondHighWatermark { log: String, requested: Offset, high_watermark: Offset },
    #[error("Leader epoch {epoch} at offset {start} is not valid")]
    InvalidEpoch { epoch: LeaderEpoch, start: Offset },
    #[error("{0}")]
    OutOfOrderSequence(String),
    #[error("{0}")]
    InvalidProducerEpoch(String),
    #[error("{0}")]
    InvalidTxnState(String),
    #[error("{0}")]
    TransactionCoordinatorFenced(String),
}

impl LogError {
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// What a client is told.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            _ if self.is_full() => ErrorCode::NotEnoughReplicas,
            Self::NoSpace { .. } => ErrorCode::NotEnoughReplicas,
            Self::Io { .. } | Self::Offline { .. } | Self::InvalidFile { .. } => {
                ErrorCode::KafkaStorageError
            }
            Self::OffsetOutOfRange { .. } | Self::StartBeyondHighWatermark { .. } => {
                ErrorCode::OffsetOutOfRange
            }
            Self::Corrupt { .. } | Self::InvalidBatch { .. } => ErrorCode::CorruptMessage,
            Self::InvalidAppend { .. } => ErrorCode::InvalidRecord,
            Self::BatchLargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            Self::OffsetsOutOfOrder { .. }
            | Self::UnexpectedOffset { .. }
            | Self::InvalidEpoch { .. }
            | Self::NotCached(_) => ErrorCode::UnknownServerError,
            Self::OutOfOrderSequence(_) => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidProducerEpoch(_) => ErrorCode::InvalidProducerEpoch,
            Self::InvalidTxnState(_) => ErrorCode::InvalidTxnState,
            Self::TransactionCoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
        }
    }

    /// The disk failed: the directory of this log must go offline.
    pub fn is_disk_failure(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Offline { .. }) && !self.is_full()
    }

    /// The disk is well, but full: the operation can be repeated when there is space again. A failed sync never is.
    pub fn is_full(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { action, source, .. } => *action != "sync" && disk::is_full(source),
            _ => false,
        }
    }
}
