//! A proxy between Kafka nodes and clients that knows frames, with faults that are set while it runs.
//!
//! Development only. Must not know: brokers, what is in a request behind its header, who asks for a fault and why.

mod connection;
mod control;
mod fault;
mod frame;
mod proxy;
mod table;

pub use control::serve;
pub use fault::{Fault, Kind, Way};
pub use frame::Header;
pub use proxy::Proxy;
pub use table::Faults;
