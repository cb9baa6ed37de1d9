//! One partition's replication as pure state: the leader's high watermark and in-sync replicas, and the requests that
//! wait for either.
//!
//! The contract is `step(now, event, &mut effects)`. Here stands what the leader of a partition needs; a follower (fetching,
//! truncation by epoch) comes with the cluster.
//!
//! Must not know: files, sockets, clocks. Start reading at [`Leader`].

pub mod invariants;
mod leader;
mod waiting;

pub use leader::{Effect, Event, Leader, LeaderConfig, ReplicaProgress};
pub use waiting::Waiting;
