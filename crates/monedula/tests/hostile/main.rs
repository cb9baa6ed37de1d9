//! Peers inside the cluster that lie, or are not who they say they are. Each row is refused as Apache Kafka refuses it (what differs
//! stands in docs/compatibility.md); nothing that is committed is lost, memory stays bounded, nobody asks without a pause.
//!
//! | row | where |
//! |---|---|
//! | a leader with torn, damaged, misplaced, foreign or endless records, wrong epochs, divergence that leads nowhere, no answers | `leader` |
//! | the same from the metadata quorum's leader, to a broker and to a voter; records that cannot be applied | `controller` |
//! | snapshots of a wrong name, size or content, and without end | `controller` |
//! | votes, epochs, fetches, snapshots, voters of strangers, with wrong clusters, epochs, directories, places | `strangers::quorum` |
//! | registrations, heartbeats, changes of partitions and directories, envelopes of strangers, with wrong ids and epochs | `strangers::brokers` |
//! | fetches of clients that say they are a replica, and what they do to the watermark | `strangers::replicas` |
//! | a broker's id taken twice, a copied directory, a voter with another's directory | `doubles` |
//! | nobody lies: a follower's own retention, and when its leader hears of it | `starts` |
//! | a broker that is let go, and does not hear it | `leaving` |
//! | directories of another cluster or node | `../bad_input/directories.rs` |
//! | consensus and controller, with everything wrong, without sockets | crates/kraft, crates/controller |
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod controller;
mod controller_lies;
mod doubles;
mod fake;
mod leader;
mod leader_lies;
mod leaving;
mod starts;
mod strangers;
