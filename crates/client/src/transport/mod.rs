//! Connections: TCP, framing, correlation, the versions that both sides speak, one connection per node.

mod connection;
mod frame;
pub(crate) mod pool;
mod versions;

pub use connection::{Connection, InFlight, Reply};
pub(crate) use pool::Pool;
pub use versions::ServerVersions;
