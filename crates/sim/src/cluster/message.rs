//! What nodes and clients say to each other: the words of the machines as values, nothing is encoded.

use std::rc::Rc;

use base::{NodeId, Offset};
use controller::{ControllerReply, ControllerRequest};
use kraft::{LeaderAnswer, RaftError, RequestId, SnapshotId, VoteAnswer};

use super::meta_log::{Batch, SnapshotFile};

/// Names one request on its way, and its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CallId(pub u64);

/// Who talks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Peer {
    Node(NodeId),
}

#[derive(Clone, Debug)]
pub(super) enum Ask {
    Raft(kraft::Request),
    Controller(ControllerRequest),
}

#[derive(Clone, Debug)]
pub(super) enum Tell {
    Raft(RaftTell),
    /// `None`: not the active controller.
    Controller(Option<ControllerReply>),
    /// Nobody is there.
    Unreachable,
    TimedOut,
}

#[derive(Clone, Debug)]
pub(super) enum RaftTell {
    Vote(VoteAnswer),
    BeginQuorumEpoch(LeaderAnswer),
    EndQuorumEpoch(LeaderAnswer),
    Fetch {
        leader: LeaderAnswer,
        high_watermark: Offset,
        log_start: Offset,
        outcome: FetchTell,
    },
    FetchSnapshot {
        leader: LeaderAnswer,
        id: SnapshotId,
        /// Position, length and size of the whole file.
        slice: Option<(u64, u64, Rc<SnapshotFile>)>,
    },
    AddVoter(Option<RaftError>),
    RemoveVoter(Option<RaftError>),
    UpdateVoter(LeaderAnswer),
    ApiVersions(kraft::VersionRange),
}

#[derive(Clone, Debug)]
pub(super) enum FetchTell {
    Records(Vec<Batch>),
    Diverging { epoch: i32, end: Offset },
    Snapshot(SnapshotId),
}

/// What the asker does with the answer.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Raft(RequestId),
    Register,
    Heartbeat,
}
