//! What nodes and clients say to each other: the words of the machines as values, nothing is encoded.

use std::rc::Rc;

use base::{BrokerEpoch, LeaderEpoch, NodeId, Offset, TopicIdPartition};
use controller::{ControllerReply, ControllerRequest};
use kraft::{LeaderAnswer, RaftError, RequestId, SnapshotId, VoteAnswer};
use metadata::Image;
use protocol::ErrorCode;
use replication::{Position, Refusal};

use super::coordinator::GroupAsk;
use super::meta_log::{Batch, SnapshotFile};
use super::part_log::{Record, Sequence};
use super::replica::Refused;

/// Names one request on its way, and its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CallId(pub u64);

/// Who talks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Peer {
    Node(NodeId),
    Client(usize),
}

#[derive(Clone, Debug)]
pub(super) enum Ask {
    Raft(kraft::Request),
    Controller(ControllerRequest),
    /// A follower asks its leader.
    Replicate {
        replica: NodeId,
        broker_epoch: BrokerEpoch,
        parts: Vec<(TopicIdPartition, Position)>,
    },
    /// Where the leader's log ends, or starts.
    LogBound {
        partition: TopicIdPartition,
        epoch: LeaderEpoch,
        end: bool,
    },
    Produce {
        partition: TopicIdPartition,
        value: u64,
        sequence: Sequence,
        /// acks=all; otherwise acks=1.
        all: bool,
    },
    Read {
        partition: TopicIdPartition,
        epoch: LeaderEpoch,
        offset: Offset,
        /// Of the record before, if it was read.
        last_epoch: LeaderEpoch,
    },
    /// What the broker knows of the cluster.
    Metadata,
    Group(GroupAsk),
}

#[derive(Clone, Debug)]
pub(super) enum Tell {
    Raft(RaftTell),
    /// `None`: not the active controller.
    Controller(Option<ControllerReply>),
    Replicate(Vec<(TopicIdPartition, Position, Part)>),
    LogBound(Result<Offset, Refused>),
    Produced(Result<Offset, Refused>),
    Read(Result<Vec<Record>, Refused>),
    Metadata(Box<Image>),
    Group(Result<group::Reply, ErrorCode>),
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
    Replicate(NodeId),
    LogBound {
        partition: TopicIdPartition,
        epoch: LeaderEpoch,
        end: bool,
    },
    AlterPartition(Vec<(TopicIdPartition, LeaderEpoch, u64)>),
    AssignDirectories,
    /// A client's own affair.
    Client,
}

/// What a follower hears of one partition.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Records { records: Vec<Record>, high_watermark: Offset, log_start: Offset },
    Diverging { epoch: LeaderEpoch, end: Offset },
    Refused(Refusal),
}
