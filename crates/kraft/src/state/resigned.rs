//! Resigned: led this epoch, in this process or before a restart, and must not write in it again. It tells the voters.

use std::collections::BTreeSet;

use base::{MonoMs, NodeId};

use crate::{ReplicaKey, VoteRequest};

#[derive(Clone, Debug)]
pub(crate) struct Resigned {
    pub(crate) epoch: i32,
    pub(crate) election_at: MonoMs,
    /// Voters that do not know yet.
    pub(crate) unacked: BTreeSet<NodeId>,
    /// Who should lead next: those with the most of the log first.
    pub(crate) successors: Vec<ReplicaKey>,
}

impl Resigned {
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        request.pre_vote && log_up_to_date
    }
}
