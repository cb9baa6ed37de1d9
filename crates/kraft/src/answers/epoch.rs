//! The answers to BeginQuorumEpoch and EndQuorumEpoch.

use base::time::Now;

use super::Verdict;
use crate::connections::Peer;
use crate::state::State;
use crate::{Effects, LeaderAnswer, Raft};

impl Raft {
    /// The voter follows now; that it does will show in its fetches.
    pub(super) fn hear_begin_epoch(
        &mut self,
        now: Now,
        answer: &LeaderAnswer,
        effects: &mut Effects,
    ) -> Verdict {
        let common = self.hear_common(now, answer, effects);
        common.unwrap_or(if answer.error.is_some() { Verdict::BackOff } else { Verdict::Well })
    }

    pub(super) fn hear_end_epoch(
        &mut self,
        now: Now,
        peer: Peer,
        answer: &LeaderAnswer,
        effects: &mut Effects,
    ) -> Verdict {
        if let Some(verdict) = self.hear_common(now, answer, effects) {
            return verdict;
        }
        if answer.error.is_some() {
            return Verdict::BackOff;
        }
        if let (State::Resigned(state), Peer::Node(voter)) = (&mut self.state, peer) {
            state.unacked.remove(&voter);
        }
        Verdict::Well
    }
}
