//! BeginQuorumEpoch (53) and EndQuorumEpoch (54): another node says that it leads, or does so no longer.

use base::time::Now;

use crate::state::State;
use crate::{Effects, Endpoint, EpochRequest, LeaderAnswer, Raft, RaftError, ReplicaKey};

impl Raft {
    pub(crate) fn on_begin_epoch(
        &mut self,
        now: Now,
        request: &EpochRequest,
        effects: &mut Effects,
    ) -> LeaderAnswer {
        let result = self.hear_leader(now, request, effects).and_then(|()| {
            if self.is_asked(request.voter) { Ok(()) } else { Err(RaftError::InvalidVoterKey) }
        });
        self.answer(result.err())
    }

    pub(crate) fn on_end_epoch(
        &mut self,
        now: Now,
        request: &EpochRequest,
        effects: &mut Effects,
    ) -> LeaderAnswer {
        let result = self.hear_leader(now, request, effects);
        if result.is_ok() {
            let wait_ms = self.succession_wait_ms(&request.successors);
            if let State::Follower(state) = &mut self.state
                && state.leader == request.leader
            {
                state.fetch_until = now.mono.plus_ms(wait_ms);
            }
        }
        self.answer(result.err())
    }

    fn hear_leader(
        &mut self,
        now: Now,
        request: &EpochRequest,
        effects: &mut Effects,
    ) -> Result<(), RaftError> {
        if !self.knows_cluster(request.cluster_id.as_deref()) {
            return Err(RaftError::InconsistentClusterId);
        }
        self.check_voter_request(request.leader, request.epoch)?;
        let voters = self.voters.last().0;
        // No other node can have been elected by this node alone: such a leader comes from another quorum.
        if voters.is_only_voter(self.config.local.key) && request.leader != self.local_id() {
            return Err(RaftError::InconsistentVoterSet);
        }
        let endpoints: Vec<Endpoint> = if request.endpoints.is_empty() {
            voters.get(request.leader).map(|voter| voter.endpoints.clone()).unwrap_or_default()
        } else {
            request.endpoints.clone()
        };
        self.maybe_transition(now, Some(request.leader), request.epoch, &endpoints, effects)
    }

    /// The best successor stands for election at once, each further one after twice the time, so that they do not
    /// get in each other's way.
    fn succession_wait_ms(&self, successors: &[ReplicaKey]) -> u64 {
        let max = self.config.times.election_backoff_max_ms;
        let local = self.config.local.key;
        let is_local = |key: &ReplicaKey| {
            key.id == local.id
                && (key.directory_id.is_none() || key.directory_id == local.directory_id)
        };
        match successors.iter().position(is_local) {
            Some(0) => 0,
            None => max,
            Some(position) => {
                let shift = |by: usize| u32::try_from(by).unwrap_or(u32::MAX);
                let base = max.checked_shr(shift(successors.len() - 1)).unwrap_or(0);
                base.checked_shl(shift(position - 1)).unwrap_or(max).min(max)
            }
        }
    }
}
