//! Why a partition does not serve, and what a client is told of it.

use base::LeaderEpoch;
use protocol::ErrorCode;
use storage::log::LogError;

/// Why a partition does not serve; at the edge one of Kafka's codes.
#[derive(Debug, thiserror::Error)]
pub enum PartitionFailure {
    #[error("this node does not lead the partition")]
    NotLeader,
    #[error("the partition was deleted")]
    Deleted,
    #[error("the log is offline: {0}")]
    Offline(String),
    /// Clients and followers try again.
    #[error("an operation on the log stands still at its disk")]
    StandsStill,
    #[error("the request's leader epoch is older than ours, {ours}")]
    FencedLeaderEpoch { ours: LeaderEpoch },
    #[error("the request's leader epoch is newer than ours, {ours}")]
    UnknownLeaderEpoch { ours: LeaderEpoch },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl PartitionFailure {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::Deleted => ErrorCode::UnknownTopicOrPartition,
            Self::Offline(_) | Self::StandsStill => ErrorCode::KafkaStorageError,
            Self::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            Self::Log(error) => log_error_code(error),
        }
    }
}

/// Kafka's code for a failed operation of a log.
pub fn log_error_code(error: &LogError) -> ErrorCode {
    match error {
        // The one error that every client takes for "later": nothing was written, and nothing is known to be broken.
        _ if error.is_full() => ErrorCode::NotEnoughReplicas,
        LogError::Io { .. } | LogError::Offline { .. } => ErrorCode::KafkaStorageError,
        LogError::OffsetOutOfRange { .. } | LogError::StartBeyondHighWatermark { .. } => {
            ErrorCode::OffsetOutOfRange
        }
        LogError::Corrupt { .. } | LogError::InvalidBatch { .. } => ErrorCode::CorruptMessage,
        LogError::BatchLargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        LogError::OutOfOrderSequence(_) => ErrorCode::OutOfOrderSequenceNumber,
        LogError::InvalidProducerEpoch(_) => ErrorCode::InvalidProducerEpoch,
        LogError::InvalidTxnState(_) => ErrorCode::InvalidTxnState,
        LogError::TransactionCoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
        _ => ErrorCode::UnknownServerError,
    }
}
