//! One partition's replication as pure state: the leader's high watermark and in-sync replicas, the follower that cuts its
//! log where the leader's parts from it, a replica that moves to another directory, and the requests that wait.
//!
//! The contract is `step(now, event, &mut effects)`; what else a step needs to know (the cluster's brokers, the follower's log)
//! is given as a view to read.
//!
//! Must not know: files, sockets, clocks. Start reading at [`Leader`].

mod follower;
pub mod invariants;
mod leader;
mod mover;
mod waiting;

pub use follower::{
    Ask, Effect as FollowerEffect, Event as FollowerEvent, Follower, FollowerLog, Position, Refusal,
};
pub use leader::{
    Brokers, Effect, Event, FetchRefused, IsrAnswer, IsrProposal, Leader, LeaderConfig,
    ReplicaProgress,
};
pub use mover::{Mover, Next};
pub use waiting::Waiting;
