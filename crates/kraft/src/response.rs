//! Answers of other nodes to this node's requests, as far as the driver has checked them.

use base::Offset;

use crate::{ControlRecord, LeaderAnswer, RaftError, SnapshotId, VersionRange, VoteAnswer};

/// Why a request has no answer: nobody there, too late, unreadable, of a version that is not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendFailure {
    Unreachable,
    TimedOut,
    Unreadable,
    UnsupportedVersion,
}

/// The answer to the [`crate::Request`] of the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Vote(VoteAnswer),
    BeginQuorumEpoch(LeaderAnswer),
    EndQuorumEpoch(LeaderAnswer),
    Fetch(Fetched),
    FetchSnapshot(FetchedSnapshot),
    AddVoter(Option<RaftError>),
    RemoveVoter(Option<RaftError>),
    UpdateVoter(LeaderAnswer),
    /// `None`: the node does not know the feature `kraft.version`.
    ApiVersions(Result<Option<VersionRange>, RaftError>),
}

/// Names bytes that the driver keeps until it is told what to do with them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DataId(pub u64);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    pub leader: LeaderAnswer,
    /// -1 when the leader does not know it.
    pub high_watermark: Offset,
    pub log_start: Offset,
    pub outcome: FetchedOutcome,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchedOutcome {
    Records(FetchedRecords),
    /// This node's log differs: `epoch` ends before `end` at the leader.
    Diverging {
        epoch: i32,
        end: Offset,
    },
    /// What this node asked for is gone; it is to fetch this snapshot.
    Snapshot(SnapshotId),
}

/// Batches of which the driver has checked checksum, size and header; their bytes stay under `data`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedRecords {
    pub data: DataId,
    /// May be empty.
    pub batches: Vec<FetchedBatch>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedBatch {
    pub base: Offset,
    /// Behind the last record.
    pub next: Offset,
    pub epoch: i32,
    /// Control records that matter to the quorum, at their offsets.
    pub control: Vec<(Offset, ControlRecord)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedSnapshot {
    pub leader: LeaderAnswer,
    pub id: SnapshotId,
    /// Of the whole file.
    pub size: u64,
    /// Of the first byte in `data`.
    pub position: u64,
    pub data: DataId,
    /// Bytes in `data`.
    pub len: u64,
}
