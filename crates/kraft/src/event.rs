//! What can happen to a node of the quorum.

use base::Offset;
use base::machine::ReplyId;

use crate::{
    AddVoterRequest, Answer, ControlRecord, EpochRequest, FetchRequest, FetchSnapshotRequest,
    KRaftVersion, RemoveVoterRequest, RequestId, SendFailure, SnapshotId, UpdateVoterRequest,
    VoteRequest,
};

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
    /// What came of a request that [`crate::Effect::Send`] asked for; exactly once for each.
    Response {
        id: RequestId,
        answer: Result<Answer, SendFailure>,
    },
    /// The snapshot stands in the place of the log, durably; these are its control records.
    SnapshotInstalled {
        id: SnapshotId,
        control: Vec<ControlRecord>,
    },
    /// What was fetched under this name is no snapshot; it was thrown away.
    SnapshotRefused {
        id: SnapshotId,
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
    AddVoter {
        reply: ReplyId,
        request: AddVoterRequest,
    },
    RemoveVoter {
        reply: ReplyId,
        request: RemoveVoterRequest,
    },
    UpdateVoter {
        reply: ReplyId,
        request: UpdateVoterRequest,
    },
    /// The active controller of `epoch` wants this level of `kraft.version`.
    UpgradeKRaftVersion {
        reply: ReplyId,
        epoch: i32,
        level: KRaftVersion,
        validate_only: bool,
    },
    /// The active controller of `epoch` cannot go on: give up leadership.
    Resign {
        epoch: i32,
    },
    /// The process is about to end: step down and answer all who wait.
    Shutdown,
}
