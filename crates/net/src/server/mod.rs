//! The server's side: listeners, the connections that they accept, and the limits on both.

mod connection;
mod listen;
mod quota;

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Budget, Frame, Response};

pub use listen::{BindError, Server};
pub use quota::{ConnectionLimits, ConnectionQuota};

/// One accepted connection, as handlers see it.
#[derive(Debug)]
pub struct Connection {
    /// Unique in the life of the process.
    pub id: u64,
    pub listener: Arc<str>,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// What the service remembers of this connection; set once, by its first requests.
    pub state: std::sync::OnceLock<Box<dyn std::any::Any + Send + Sync>>,
}

/// `None` when the response cannot be made: the connection then ends.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Option<Response>> + Send>>;

/// What became of a request when its ordered part is done.
pub enum Handled {
    /// The response, or none for a request that has none (Produce with acks=0).
    Now(Option<Response>),
    /// The response is owed; the connection goes on to its next request meanwhile.
    Later(ReplyFuture),
    /// The same, and nothing of the request is kept: others may have its memory.
    Waiting(ReplyFuture),
    /// The connection ends; the service has logged why.
    Close,
}

/// What stands behind the listeners. `call` is the ordered part of handling a request: the next one of the same
/// connection starts when it returns.
pub trait Service: Send + Sync + 'static {
    fn call(
        self: Arc<Self>,
        connection: Arc<Connection>,
        frame: Frame,
    ) -> impl Future<Output = Handled> + Send;

    fn closed(&self, _connection: &Connection) {}
}

/// One listener to open.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    pub name: Arc<str>,
    /// Empty for all interfaces.
    pub host: String,
    /// 0 for any free one.
    pub port: u16,
}

/// Kafka's socket settings, see docs/configuration.md for the keys.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    pub request_bytes_max: usize,
    pub idle_ms_max: u64,
    pub connections: ConnectionLimits,
    /// Requests of one connection that may be owed at a time; then reading pauses.
    pub owed_per_connection_max: usize,
    pub listen_backlog: i32,
    /// -1 for the system's default.
    pub send_buffer_bytes: i32,
    pub receive_buffer_bytes: i32,
    pub budget: Budget,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            request_bytes_max: 104_857_600,
            idle_ms_max: 600_000,
            connections: ConnectionLimits {
                max: i32::MAX as usize,
                per_ip_max: i32::MAX as usize,
                per_ip_overrides: HashMap::new(),
            },
            owed_per_connection_max: 64,
            listen_backlog: 50,
            send_buffer_bytes: 102_400,
            receive_buffer_bytes: 102_400,
            budget: Budget::new(512 << 20),
        }
    }
}
