//! Connections: listening, framing, order of responses, memory budget, idle and connection limits; and the asking side.
//!
//! A frame is read whole into one buffer that is charged to one budget for the whole process, handed to a [`Service`],
//! and answered in the order of arrival. Responses are lists of byte chunks and file ranges; file ranges go to the
//! socket without passing through this process' memory. [`client`] is the outbound half, of nodes and of clients.
//!
//! Must not know: what requests mean. Start reading at [`server::Server`].

pub mod budget;
pub mod client;
pub mod frame;
pub mod response;
pub mod server;

pub use budget::{Budget, BudgetPermit};
pub use client::{Answer, Awaited, Link, LinkError, LinkLimits};
pub use frame::{Frame, FrameError};
pub use response::{Chunk, FileRegion, Ready, Response};
pub use server::{
    Connection, ConnectionLimits, ConnectionQuota, Handled, ListenerConfig, Server, ServerLimits,
    Service,
};
