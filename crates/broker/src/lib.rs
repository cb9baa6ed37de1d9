//! The node: one handler file per API key, drivers of the pure cores, partitions, fetch sessions, start-up and shutdown.
//!
//! Must not know: the client and the applications. Start reading at [`node`] and [`request`].

mod apply;
pub mod authorizer;
pub mod clock;
mod commits;
mod configs;
mod coordinators;
pub mod fetch;
pub mod format;
mod forward;
mod handlers;
mod leaders;
pub mod lifecycle;
mod moves;
pub mod node;
pub mod partitions;
pub mod peers;
mod produce;
mod producer_ids;
pub mod quorum;
mod replicas;
mod request;
pub mod road;
mod topics;
mod transactions;

pub use handlers::served_apis;
pub use node::{RunningNode, StartError, start, start_on};
