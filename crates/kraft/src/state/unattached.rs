//! Unattached: knows an epoch but follows no leader in it; may give its vote, once.

use base::{MonoMs, NodeId};

use crate::{ReplicaKey, VoteRequest};

#[derive(Clone, Debug)]
pub(crate) struct Unattached {
    pub(crate) epoch: i32,
    pub(crate) leader: Option<NodeId>,
    pub(crate) voted: Option<ReplicaKey>,
    pub(crate) election_at: MonoMs,
}

impl Unattached {
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        grants(self.voted, self.leader, request, log_up_to_date)
    }
}

/// The rule of all states that follow nobody: a given vote stands, otherwise the candidate's log decides.
pub(super) fn grants(
    voted: Option<ReplicaKey>,
    leader: Option<NodeId>,
    request: &VoteRequest,
    log_up_to_date: bool,
) -> bool {
    if request.pre_vote {
        return log_up_to_date;
    }
    match (voted, leader) {
        (Some(voted), _) => {
            let candidate = request.candidate;
            voted.id == candidate.id
                && (voted.directory_id.is_none() || voted.directory_id == candidate.directory_id)
        }
        (None, Some(_)) => false,
        (None, None) => log_up_to_date,
    }
}
