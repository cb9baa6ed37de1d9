//! Requests between the nodes of a quorum: the same structs for those that come in and those that go out.

use base::{DirectoryId, NodeId, Offset};

use crate::{Endpoint, ReplicaKey, SnapshotId, Voter};

/// Names a request that went out, until its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// Where a request goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// A node whose controller listeners are known, from the voter set or from a leader's own words.
    Node { id: NodeId, endpoints: Vec<Endpoint> },
    /// One of `controller.quorum.bootstrap.servers`, by its place in the list; which node answers there is not known.
    Bootstrap(usize),
}

/// What this node asks others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    Vote(VoteRequest),
    BeginQuorumEpoch(EpochRequest),
    EndQuorumEpoch(EpochRequest),
    Fetch(FetchRequest),
    FetchSnapshot(FetchSnapshotRequest),
    /// Asks the leader to take this node in (auto join).
    AddVoter(AddVoterRequest),
    /// Asks the leader to take this node out, before it joins with a new directory (auto join).
    RemoveVoter(RemoveVoterRequest),
    /// Tells the leader this voter's own endpoints and versions.
    UpdateVoter(UpdateVoterRequest),
    /// Asks a node that wants to become a voter for the levels of `kraft.version` it supports (API 18).
    ApiVersions,
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
    /// Where the leader listens (version 1).
    pub endpoints: Vec<Endpoint>,
    /// Of EndQuorumEpoch: who should lead next, the best first; without directories in version 0.
    pub successors: Vec<ReplicaKey>,
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
    pub replica: ReplicaKey,
    pub leader_epoch: i32,
    pub id: SnapshotId,
    pub position: i64,
    /// Size of that snapshot's file, looked up by the driver that received the request; `None` when there is none of
    /// that name.
    pub size: Option<u64>,
    pub max_bytes: i32,
}

/// A node is to become a voter (API 80).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddVoterRequest {
    pub cluster_id: Option<String>,
    pub timeout_ms: i32,
    pub voter: ReplicaKey,
    pub endpoints: Vec<Endpoint>,
    /// Answer when the change is committed; otherwise when it is in the leader's log (version 1).
    pub ack_when_committed: bool,
}

/// A node is to be no voter any more (API 81).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoveVoterRequest {
    pub cluster_id: Option<String>,
    pub voter: ReplicaKey,
}

/// A voter tells its endpoints and versions (API 82).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateVoterRequest {
    pub cluster_id: Option<String>,
    pub leader_epoch: i32,
    pub voter: Voter,
}
