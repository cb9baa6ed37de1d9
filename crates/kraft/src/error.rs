//! What can be wrong with a request to the quorum, and with the state found at start.

use base::NodeId;
use protocol::ErrorCode;

/// Why a request was not served, by this node or by another. Each has the Kafka error code of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RaftError {
    InconsistentClusterId,
    InvalidRequest,
    FencedLeaderEpoch,
    UnknownLeaderEpoch,
    NotLeaderOrFollower,
    BrokerNotAvailable,
    InvalidVoterKey,
    InconsistentVoterSet,
    SnapshotNotFound,
    PositionOutOfRange,
    DuplicateVoter,
    VoterNotFound,
    RequestTimedOut,
    UnsupportedVersion,
    InvalidUpdateVersion,
    UnknownTopicOrPartition,
    ClusterAuthorizationFailed,
    /// Also any error of another node that has no meaning here.
    UnknownServerError,
}

impl From<RaftError> for ErrorCode {
    fn from(error: RaftError) -> Self {
        match error {
            RaftError::InconsistentClusterId => Self::InconsistentClusterId,
            RaftError::InvalidRequest => Self::InvalidRequest,
            RaftError::FencedLeaderEpoch => Self::FencedLeaderEpoch,
            RaftError::UnknownLeaderEpoch => Self::UnknownLeaderEpoch,
            RaftError::NotLeaderOrFollower => Self::NotLeaderOrFollower,
            RaftError::BrokerNotAvailable => Self::BrokerNotAvailable,
            RaftError::InvalidVoterKey => Self::InvalidVoterKey,
            RaftError::InconsistentVoterSet => Self::InconsistentVoterSet,
            RaftError::SnapshotNotFound => Self::SnapshotNotFound,
            RaftError::PositionOutOfRange => Self::PositionOutOfRange,
            RaftError::DuplicateVoter => Self::DuplicateVoter,
            RaftError::VoterNotFound => Self::VoterNotFound,
            RaftError::RequestTimedOut => Self::RequestTimedOut,
            RaftError::UnsupportedVersion => Self::UnsupportedVersion,
            RaftError::InvalidUpdateVersion => Self::InvalidUpdateVersion,
            RaftError::UnknownTopicOrPartition => Self::UnknownTopicOrPartition,
            RaftError::ClusterAuthorizationFailed => Self::ClusterAuthorizationFailed,
            RaftError::UnknownServerError => Self::UnknownServerError,
        }
    }
}

impl RaftError {
    /// The error of another node's answer; `None` for code 0.
    pub fn from_code(code: ErrorCode) -> Option<Self> {
        const KNOWN: [RaftError; 17] = [
            RaftError::InconsistentClusterId,
            RaftError::InvalidRequest,
            RaftError::FencedLeaderEpoch,
            RaftError::UnknownLeaderEpoch,
            RaftError::NotLeaderOrFollower,
            RaftError::BrokerNotAvailable,
            RaftError::InvalidVoterKey,
            RaftError::InconsistentVoterSet,
            RaftError::SnapshotNotFound,
            RaftError::PositionOutOfRange,
            RaftError::DuplicateVoter,
            RaftError::VoterNotFound,
            RaftError::RequestTimedOut,
            RaftError::UnsupportedVersion,
            RaftError::InvalidUpdateVersion,
            RaftError::UnknownTopicOrPartition,
            RaftError::ClusterAuthorizationFailed,
        ];
        if code == ErrorCode::None {
            return None;
        }
        let known = KNOWN.into_iter().find(|error| ErrorCode::from(*error) == code);
        Some(known.unwrap_or(RaftError::UnknownServerError))
    }
}

/// Why this node cannot take part in the quorum.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "no controller quorum is known: set controller.quorum.voters, or format the directory with initial voters"
    )]
    NoVoters,
    #[error("node {local} has directory {directory}, but is the only voter with another one")]
    OtherDirectory { local: NodeId, directory: base::DirectoryId },
    #[error("node {local} is a controller, but none of the voters {voters:?}")]
    NotAVoter { local: NodeId, voters: Vec<NodeId> },
    #[error("the quorum-state holds epoch {epoch}, after which no further election is possible")]
    EpochExhausted { epoch: i32 },
    #[error("kraft.version {level} is not supported: this node knows {min} to {max}")]
    UnsupportedKRaftVersion { level: i16, min: i16, max: i16 },
    #[error("the quorum-state holds the negative epoch {epoch}")]
    NegativeEpoch { epoch: i32 },
    #[error(
        "the log starts at offset {log_start} but the latest snapshot is {latest:?}: a snapshot at or after the log's start is needed"
    )]
    SnapshotMissing { log_start: i64, latest: Option<crate::SnapshotId> },
}
