//! The node: one handler file per API key, drivers of the pure cores, partitions, fetch sessions, start-up and shutdown.
//!
//! Must not know: the client and the applications.

pub mod authorizer;
pub mod clock;
pub mod fetch;
pub mod lifecycle;
pub mod quorum;
