//! A member of a classic group, and the protocols that it offers.

use std::sync::Arc;

use base::machine::ReplyId;

/// A way to assign that a member knows, with what it tells the leader for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    pub name: Arc<str>,
    pub metadata: Arc<[u8]>,
}

impl Protocol {
    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        const OVERHEAD_BYTES: usize = 128;
        self.name.len() + self.metadata.len() + OVERHEAD_BYTES
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub id: Arc<str>,
    /// Of a static member.
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In the member's order of preference; after a load, the one that was chosen.
    pub protocols: Arc<[Protocol]>,
    pub assignment: Arc<[u8]>,
    /// It has not seen the answer to its first JoinGroup yet.
    pub is_new: bool,
    /// Its JoinGroup that waits.
    pub join: Option<ReplyId>,
    /// Its SyncGroup that waits.
    pub sync: Option<ReplyId>,
}

impl Member {
    /// What it said for a protocol; nothing for one that it does not know.
    pub fn metadata(&self, protocol: &str) -> &[u8] {
        let said = self.protocols.iter().find(|known| *known.name == *protocol);
        said.map_or(&[], |known| &known.metadata)
    }

    /// Its silence is no failure: it waits for this coordinator.
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }
}
