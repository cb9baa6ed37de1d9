//! Candidate: has voted for itself in a new epoch, durably, and asks the other voters.

use base::MonoMs;

use super::Votes;
use crate::{ReplicaKey, VoteRequest};

#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) epoch: i32,
    /// Itself.
    pub(crate) voted: ReplicaKey,
    pub(crate) votes: Votes,
    pub(crate) election_at: MonoMs,
}

impl Candidate {
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        request.pre_vote && log_up_to_date
    }
}
