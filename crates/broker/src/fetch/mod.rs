//! Fetching: sessions, reading many partitions into one answer, and consumers that wait for data.

pub mod answer;
mod region;
pub mod session;
mod told;
pub mod wait;
pub mod waiter;

use std::sync::Arc;

use session::{PartitionKey, PartitionRequest, Session};

use crate::node::Node;

/// Where the partitions of a fetch come from.
pub enum Source {
    /// From the request alone.
    Partitions(Vec<(PartitionKey, PartitionRequest)>),
    Session {
        session: SessionGuard,
        /// Only what is new is told.
        incremental: bool,
    },
}

impl Source {
    pub fn full(session: SessionGuard) -> Self {
        Self::Session { session, incremental: false }
    }

    pub fn incremental(session: SessionGuard) -> Self {
        Self::Session { session, incremental: true }
    }
}

/// A session in use by one request; goes back to the cache when the request ends, however it ends.
pub struct SessionGuard {
    node: Arc<Node>,
    session: Option<Session>,
}

impl SessionGuard {
    pub fn new(node: &Arc<Node>, session: Session) -> Self {
        Self { node: Arc::clone(node), session: Some(session) }
    }

    pub fn get(&self) -> &Session {
        self.session.as_ref().expect("the session leaves at drop only")
    }

    pub fn get_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("the session leaves at drop only")
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.node.fetch_sessions.lock().end(session);
        }
    }
}
