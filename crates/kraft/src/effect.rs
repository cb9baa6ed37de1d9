//! What a node of the quorum asks its driver to do.

use base::machine::ReplyId;
use base::{MonoMs, NodeId, Offset};

use crate::{
    BatchId, ControlRecord, DataId, Destination, ElectionState, Endpoint, FetchPosition, RaftError,
    ReplicaKey, Request, RequestId, SnapshotId,
};

/// Plain data, to be executed **in order**: each before the next, the durable ones durable before the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Write `quorum-state` in the version of the current `kraft.version`, durably.
    SaveQuorumState {
        state: ElectionState,
        version: i16,
    },
    /// Append these as one control batch.
    AppendControl {
        base: Offset,
        epoch: i32,
        records: Vec<ControlRecord>,
    },
    /// Append the proposed batch here.
    Append {
        batch: BatchId,
        base: Offset,
        epoch: i32,
    },
    /// The proposed batch cannot be appended: this node does not lead `epoch` (any more).
    Rejected {
        batch: BatchId,
    },
    /// Append the batches of `data` that lie before `until`, as they came from the leader.
    AppendFetched {
        data: DataId,
        until: Offset,
    },
    /// What came under this name is not needed (any more). Every `data` ends in this, in [`Self::AppendFetched`] or in
    /// [`Self::WriteSnapshot`].
    DropFetched {
        data: DataId,
    },
    /// Cut off everything from `end` on, durably. Never below the high watermark.
    Truncate {
        end: Offset,
    },
    /// Write `data` at this position of the snapshot's unfinished file; at 0 a new one is begun.
    WriteSnapshot {
        id: SnapshotId,
        position: u64,
        data: DataId,
    },
    /// The snapshot is complete: give it its name, durably, empty the log and let it start at the snapshot's end; then
    /// tell by [`crate::Event::SnapshotInstalled`] or [`crate::Event::SnapshotRefused`].
    InstallSnapshot {
        id: SnapshotId,
    },
    /// Send this; its outcome comes back by [`crate::Event::Response`], exactly once.
    Send {
        id: RequestId,
        to: Destination,
        request: Request,
    },
    /// Another epoch, or another leader of it.
    LeaderChanged {
        epoch: i32,
        leader: Option<NodeId>,
        endpoints: Vec<Endpoint>,
    },
    /// Make the log durable up to `end`, then tell by [`crate::Event::Flushed`].
    Flush {
        end: Offset,
    },
    /// Records before this are committed, for ever.
    CommitAdvanced {
        high_watermark: Offset,
    },
    /// This node leads: everything before `start` is committed and known, it may propose from now on.
    BecameLeader {
        epoch: i32,
        start: Offset,
    },
    /// This node leads no longer; what it proposed and was not committed may be lost.
    Resigned {
        epoch: i32,
    },
    /// Send [`crate::Event::Tick`] at this moment, and forget any earlier wish ([`MonoMs::NEVER`]: none).
    SetTimer {
        at: MonoMs,
    },
    Reply {
        reply: ReplyId,
        body: Reply,
    },
}

pub type Effects = Vec<Effect>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Vote(VoteAnswer),
    BeginQuorumEpoch(LeaderAnswer),
    EndQuorumEpoch(LeaderAnswer),
    Fetch(FetchAnswer),
    FetchSnapshot(FetchSnapshotAnswer),
    DescribeQuorum(Result<Describe, RaftError>),
    AddVoter(Result<(), Refusal>),
    RemoveVoter(Result<(), Refusal>),
    UpdateVoter(LeaderAnswer),
    UpgradeKRaftVersion(Result<(), Refusal>),
}

/// A change of the voters that did not happen, and the words for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub error: RaftError,
    pub message: Option<String>,
}

/// The part that all answers share. A wrong cluster id is an error of the whole response, all others of the partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderAnswer {
    pub error: Option<RaftError>,
    pub leader: Option<NodeId>,
    pub epoch: i32,
    /// Where the leader listens: of all its listeners the answer's NodeEndpoints name the one on which was asked. Of an
    /// answer received: that one, under the name of the listener through which this node asks.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteAnswer {
    pub leader: LeaderAnswer,
    pub granted: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchAnswer {
    pub leader: LeaderAnswer,
    /// -1 when not known.
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub outcome: FetchOutcome,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchOutcome {
    Nothing,
    /// Whole batches from `offset` on, at least one, to be read by the driver.
    Read {
        offset: Offset,
        max_bytes: i32,
    },
    /// Truncate, or take a snapshot.
    Redirect(FetchPosition),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchSnapshotAnswer {
    pub leader: LeaderAnswer,
    pub id: SnapshotId,
    /// Bytes to send: position, length, and the size of the whole file; `None` with an error.
    pub slice: Option<(u64, u64, u64)>,
}

/// Data of a DescribeQuorum answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Describe {
    pub leader: NodeId,
    pub epoch: i32,
    pub high_watermark: Offset,
    pub voters: Vec<ReplicaProgress>,
    pub observers: Vec<ReplicaProgress>,
}

/// Times are wall-clock milliseconds, -1 when the replica never fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaProgress {
    pub key: ReplicaKey,
    pub log_end: Offset,
    pub last_fetch_ms: i64,
    pub last_caught_up_ms: i64,
}
