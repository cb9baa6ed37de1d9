//! Follower: fetches what the leader of its epoch writes. Voters do so, and observers all their life.

use base::{MonoMs, NodeId, Offset};

use crate::{Endpoint, ReplicaKey, SnapshotId, VoteRequest};

#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) epoch: i32,
    pub(crate) leader: NodeId,
    /// Never empty.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) voted: Option<ReplicaKey>,
    /// When the leader counts as lost.
    pub(crate) fetch_until: MonoMs,
    /// When to look next whether the leader knows this node as it is.
    pub(crate) update_voter_at: MonoMs,
    /// The leader has answered a fetch: it is alive, no other is needed.
    pub(crate) has_fetched: bool,
    /// The leader of a static quorum has heard of this voter's endpoints and versions.
    pub(crate) has_updated: bool,
    /// As the leader told it; may lie beyond the end of this log.
    pub(crate) high_watermark: Offset,
    pub(crate) download: Option<Download>,
}

/// A snapshot that comes piece by piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Download {
    pub(crate) id: SnapshotId,
    /// Bytes that are there.
    pub(crate) position: u64,
    /// Of the whole, known from the first piece on.
    pub(crate) size: Option<u64>,
}

impl Follower {
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        request.pre_vote && !self.has_fetched && log_up_to_date
    }

    pub(crate) fn heard(&mut self, now: MonoMs, fetch_timeout_ms: u64) {
        self.fetch_until = now.plus_ms(fetch_timeout_ms);
        self.has_fetched = true;
    }
}
