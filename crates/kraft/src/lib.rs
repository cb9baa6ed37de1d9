//! KRaft consensus as a pure state machine: `step(now, event, &mut effects)`.
//!
//! Must not know: storage, clocks, sockets, async, what the records it orders mean.
//!
//! Start reading at [`Raft::step`]; [`Event`] is what can happen to it, [`Effect`] what it asks of its driver.
//!
//! A node is a voter or an observer of one quorum. Its states are Kafka's ([`state`]); between events [`poll`] does what
//! the time brings: elections with pre-votes, fetching as replication, resignation when no majority fetches. Requests of
//! others are answered in [`handler`], answers to own requests heard in [`answers`].

mod answers;
pub mod cleaning;
mod config;
mod connections;
mod effect;
mod election;
mod error;
mod event;
mod handler;
pub mod invariants;
mod log_view;
mod node;
mod poll;
mod random;
mod request;
mod response;
mod state;
mod transition;
mod voters;

pub use config::{Boot, Config, Times};
pub use effect::{
    Describe, Effect, Effects, FetchAnswer, FetchOutcome, FetchSnapshotAnswer, LeaderAnswer,
    Refusal, ReplicaProgress, Reply, VoteAnswer,
};
pub use election::ElectionState;
pub use error::{RaftError, StartError};
pub use event::{BatchId, Event};
pub use log_view::{EpochStart, FetchPosition, LogView, SnapshotId};
pub use node::Raft;
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
