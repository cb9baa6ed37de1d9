//! Connections: TCP, framing, correlation, the versions that both sides speak, one connection per node.

mod connection;
pub(crate) mod pool;

pub use connection::{Connection, InFlight, Reply};
pub(crate) use pool::Pool;
