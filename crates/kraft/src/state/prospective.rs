//! Prospective: asks the other voters whether they would elect it, before it disturbs them with a new epoch (KIP-996).

use base::{MonoMs, NodeId};

use super::{Votes, unattached};
use crate::{Endpoint, ReplicaKey, VoteRequest};

#[derive(Clone, Debug)]
pub(crate) struct Prospective {
    pub(crate) epoch: i32,
    /// The last known leader of this epoch, to be followed again when nobody wants an election.
    pub(crate) leader: Option<NodeId>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) voted: Option<ReplicaKey>,
    pub(crate) votes: Votes,
    pub(crate) election_at: MonoMs,
}

impl Prospective {
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        unattached::grants(self.voted, self.leader, request, log_up_to_date)
    }
}
