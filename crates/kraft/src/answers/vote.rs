//! The answer to Vote: one vote more, or the news of a leader.

use base::time::Now;

use super::Verdict;
use crate::connections::Peer;
use crate::state::State;
use crate::{Effects, Raft, RaftError, VoteAnswer};

impl Raft {
    pub(super) fn hear_vote(
        &mut self,
        now: Now,
        peer: Peer,
        answer: &VoteAnswer,
        effects: &mut Effects,
    ) -> Verdict {
        if answer.leader.error == Some(RaftError::UnsupportedVersion)
            && matches!(self.state, State::Prospective(_))
        {
            self.become_candidate(now, effects);
            return Verdict::Well;
        }
        if let Some(verdict) = self.hear_common(now, &answer.leader, effects) {
            return verdict;
        }
        if answer.leader.error.is_some() {
            return Verdict::BackOff;
        }
        let Peer::Node(voter) = peer else { return Verdict::Well };
        // What follows from a majority, `poll` does for pre-votes.
        match &mut self.state {
            State::Prospective(state) => state.votes.record(voter, answer.granted),
            State::Candidate(state) => {
                state.votes.record(voter, answer.granted);
                self.maybe_become_leader(now, effects);
            }
            _ => {}
        }
        Verdict::Well
    }
}
