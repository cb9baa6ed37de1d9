//! BeginQuorumEpoch (53) and EndQuorumEpoch (54): another node says that it leads, or does so no longer.
//!
//! No node but this one can have been elected by a voter set of this node alone. So a leader that is not this node
//! comes from another quorum and is refused with INCONSISTENT_VOTER_SET, instead of being followed.

use crate::{EpochRequest, LeaderAnswer, Raft, RaftError};

impl Raft {
    pub(crate) fn on_begin_epoch(&mut self, request: &EpochRequest) -> LeaderAnswer {
        self.answer(self.check_epoch_request(request).err())
    }

    pub(crate) fn on_end_epoch(&mut self, request: &EpochRequest) -> LeaderAnswer {
        self.answer(self.check_epoch_request(request).err())
    }

    fn check_epoch_request(&self, request: &EpochRequest) -> Result<(), RaftError> {
        if !self.knows_cluster(request.cluster_id.as_deref()) {
            return Err(RaftError::InconsistentClusterId);
        }
        self.check_voter_request(request.leader, request.epoch)?;
        if request.leader != self.local_id() {
            return Err(RaftError::InconsistentVoterSet);
        }
        if !self.is_asked(request.voter) {
            return Err(RaftError::InvalidVoterKey);
        }
        // Its own name in a request of an epoch it never led.
        if request.epoch > self.epoch() { Err(RaftError::UnknownServerError) } else { Ok(()) }
    }
}
