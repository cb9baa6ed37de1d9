//! The metadata quorum: consensus, its log on disk, and the controller, driven by one thread.
//!
//! [`start`] loads what is on disk and elects this node; the [`QuorumHandle`] it gives is the way in for everyone else.

mod batches;
mod check;
mod commit;
mod config;
pub(crate) mod control;
mod controller;
mod decide;
mod driver;
mod error;
mod fetched;
mod follow;
mod handle;
mod inspect;
mod log;
mod machine;
mod observer;
mod patient;
mod publishing;
mod reply;
mod send;
pub(crate) mod snapshot;
mod snapshots;
mod start;
pub(crate) mod state_file;
mod upgrade;
mod wire;

pub use check::Reached;
pub use config::QuorumConfig;
pub use controller::ControllerHandle;
pub use error::QuorumError;
pub use handle::{QuorumHandle, QuorumStatus, SubmitError};
pub use inspect::{inspect, inspect_record};
pub use machine::{At, Decision, Machine, Random};
pub use observer::NoController;
pub use patient::Patience;
pub use send::Network;
pub use start::{Quorum, start};
pub use wire::{Asker, METADATA_TOPIC, QuorumRequest, QuorumResponse};
