//! Vote (52): another node wants to lead. Also its pre-vote (KIP-996).

use base::time::Now;

use crate::{Effects, Raft, RaftError, VoteAnswer, VoteRequest};

impl Raft {
    pub(crate) fn on_vote(
        &mut self,
        now: Now,
        request: &VoteRequest,
        effects: &mut Effects,
    ) -> VoteAnswer {
        match self.try_vote(now, request, effects) {
            Ok(granted) => VoteAnswer { leader: self.answer(None), granted },
            Err(error) => VoteAnswer { leader: self.answer(Some(error)), granted: false },
        }
    }

    fn try_vote(
        &mut self,
        now: Now,
        request: &VoteRequest,
        effects: &mut Effects,
    ) -> Result<bool, RaftError> {
        if !self.knows_cluster(request.cluster_id.as_deref()) {
            return Err(RaftError::InconsistentClusterId);
        }
        let epoch_impossible = if request.pre_vote {
            request.last_epoch > request.epoch
        } else {
            request.last_epoch >= request.epoch
        };
        let offset_known = request.last_offset.is_some() && request.last_epoch >= 0;
        if epoch_impossible || !offset_known {
            return Err(RaftError::InvalidRequest);
        }
        self.check_voter_request(request.candidate.id, request.epoch)?;
        if request.epoch > self.epoch() {
            self.become_unattached(now, request.epoch, None, effects);
        }
        if !self.is_asked(request.voter) {
            return Err(RaftError::InvalidVoterKey);
        }
        // This node with another directory: only one of the two can be a voter, and they have one name.
        if request.candidate.id == self.local_id() {
            return Ok(false);
        }
        let own = (self.log.last_epoch(), self.log.end);
        let granted = self.state.grants(request, (request.last_epoch, request.last_offset) >= own);
        if granted && !request.pre_vote {
            self.record_vote(now, request.candidate, effects);
        }
        Ok(granted)
    }
}
