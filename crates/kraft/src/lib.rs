//! KRaft consensus as a pure state machine: `step(now, event, &mut effects)`.
//!
//! Must not know: storage, clocks, sockets, async, what the records it orders mean.
//!
//! Start reading at [`Raft::step`]; [`Event`] is what can happen to it, [`Effect`] what it asks of its driver.
//!
//! What is here serves a quorum of **one** voter, this node, with any number of observers: it elects itself at every
//! start, orders and commits records, answers Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch, FetchSnapshot and
//! DescribeQuorum. A quorum in which another node votes is refused at construction ([`StartError::NotTheOnlyVoter`]).
//! Not here: the states Prospective (a sole voter's pre-vote is always granted, so it is skipped) and Follower, the
//! sending of requests, and changes of the voter set.

pub mod cleaning;
mod effect;
mod election;
mod error;
mod event;
mod handler;
pub mod invariants;
mod log_view;
mod node;
mod random;
mod request;
mod response;
mod state;
mod voters;

pub use effect::{
    Describe, Effect, Effects, FetchAnswer, FetchOutcome, FetchSnapshotAnswer, LeaderAnswer,
    Refusal, ReplicaProgress, Reply, VoteAnswer,
};
pub use election::ElectionState;
pub use error::{RaftError, StartError};
pub use event::{BatchId, Event};
pub use log_view::{EpochStart, FetchPosition, LogView, SnapshotId};
pub use node::{Boot, Config, Raft, Times};
pub use request::{
    AddVoterRequest, Destination, EpochRequest, FetchRequest, FetchSnapshotRequest,
    RemoveVoterRequest, Request, RequestId, UpdateVoterRequest, VoteRequest,
};
pub use response::{
    Answer, DataId, Fetched, FetchedBatch, FetchedOutcome, FetchedRecords, FetchedSnapshot,
    SendFailure,
};
pub use voters::{
    ControlRecord, Endpoint, KRaftVersion, ReplicaKey, VersionRange, Voter, VoterHistory, VoterSet,
};
