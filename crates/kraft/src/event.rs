//! What can happen to a node of the quorum.

use base::machine::ReplyId;
use base::{DirectoryId, NodeId, Offset};

use crate::{ReplicaKey, SnapshotId};

/// Names a batch of records that the driver keeps until it is told where to append it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BatchId(pub u64);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The first event, once.
    Start,
    /// A timer set by [`crate::Effect::SetTimer`] went off; harmless at any other time.
    Tick,
    /// The active controller of `epoch` wants these records in the log. Answered by [`crate::Effect::Append`] or
    /// [`crate::Effect::Rejected`].
    Propose {
        batch: BatchId,
        epoch: i32,
        records: u32,
    },
    /// Everything before `end` is on stable storage.
    Flushed {
        end: Offset,
    },
    /// A snapshot is complete under its final name.
    SnapshotWritten {
        id: SnapshotId,
    },
    /// The log was cut at its front: it starts at `start`, snapshots before `oldest` are gone.
    Cleaned {
        start: Offset,
        oldest: SnapshotId,
    },
    Vote {
        reply: ReplyId,
        request: VoteRequest,
    },
    BeginQuorumEpoch {
        reply: ReplyId,
        request: EpochRequest,
    },
    EndQuorumEpoch {
        reply: ReplyId,
        request: EpochRequest,
    },
    Fetch {
        reply: ReplyId,
        request: FetchRequest,
    },
    FetchSnapshot {
        reply: ReplyId,
        request: FetchSnapshotRequest,
    },
    DescribeQuorum {
        reply: ReplyId,
    },
    /// The process is about to end: step down and answer all who wait.
    Shutdown,
}

/// A candidate asks for a vote (API 52), about the metadata partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteRequest {
    pub cluster_id: Option<String>,
    /// The voter that is asked, when the request names it (version 1).
    pub voter: Option<(NodeId, DirectoryId)>,
    pub candidate: ReplicaKey,
    pub epoch: i32,
    pub last_epoch: i32,
    pub last_offset: Offset,
    pub pre_vote: bool,
}

/// A leader begins (API 53) or ends (API 54) its epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochRequest {
    pub cluster_id: Option<String>,
    pub voter: Option<(NodeId, DirectoryId)>,
    pub leader: NodeId,
    pub epoch: i32,
}

/// A replica fetches the metadata log (API 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchRequest {
    pub cluster_id: Option<String>,
    pub replica: ReplicaKey,
    pub leader_epoch: i32,
    pub offset: Offset,
    pub last_fetched_epoch: i32,
    /// The high watermark that the replica knows (version 18), -1 when it knows none.
    pub high_watermark: Offset,
    pub max_bytes: i32,
    pub max_wait_ms: i32,
}

/// A replica fetches a part of a snapshot (API 59).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchSnapshotRequest {
    pub cluster_id: Option<String>,
    pub leader_epoch: i32,
    pub id: SnapshotId,
    pub position: i64,
    /// Size of that snapshot's file, looked up by the driver; `None` when there is none of that name.
    pub size: Option<u64>,
    pub max_bytes: i32,
}
