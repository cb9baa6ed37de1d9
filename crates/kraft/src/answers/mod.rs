//! Answers of other nodes to this node's requests, one module each. Nothing they say is trusted beyond its meaning.

mod epoch;
mod fetch;
mod snapshot;
mod vote;
mod voters;

use base::time::Now;

use crate::connections::Peer;
use crate::state::State;
use crate::{
    Answer, DataId, Effect, Effects, FetchedOutcome, LeaderAnswer, Raft, RaftError, RequestId,
    SendFailure,
};

/// What an answer means for the next request to that node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It may be asked again at once.
    Well,
    /// It is to be left alone for a moment.
    BackOff,
}

impl Raft {
    pub(crate) fn on_response(
        &mut self,
        now: Now,
        id: RequestId,
        answer: Result<Answer, SendFailure>,
        effects: &mut Effects,
    ) {
        let Some(peer) = self.connections.asked(id) else {
            // Asked in another state; only what the driver keeps for it matters.
            if let Ok(answer) = answer {
                drop_data(&answer, effects);
            }
            return;
        };
        match &answer {
            Ok(_) => self.connections.heard(peer),
            Err(_) => self.connections.not_heard(peer, now.mono),
        }
        let verdict = match answer {
            Ok(answer) => self.hear(now, id, peer, answer, effects),
            Err(failure) => self.hear_failure(now, id, failure, effects),
        };
        // When the state changed meanwhile, all requests are forgotten and this does nothing.
        self.connections.answered(id, verdict == Verdict::Well, now.mono);
    }

    fn hear(
        &mut self,
        now: Now,
        id: RequestId,
        peer: Peer,
        answer: Answer,
        effects: &mut Effects,
    ) -> Verdict {
        match answer {
            Answer::Vote(answer) => self.hear_vote(now, peer, &answer, effects),
            Answer::BeginQuorumEpoch(answer) => self.hear_begin_epoch(now, &answer, effects),
            Answer::EndQuorumEpoch(answer) => self.hear_end_epoch(now, peer, &answer, effects),
            Answer::Fetch(answer) => self.hear_fetched(now, &answer, effects),
            Answer::FetchSnapshot(answer) => self.hear_fetched_snapshot(now, &answer, effects),
            Answer::AddVoter(error) | Answer::RemoveVoter(error) => {
                self.hear_membership(now, error)
            }
            Answer::UpdateVoter(answer) => self.hear_update_voter(now, &answer, effects),
            Answer::ApiVersions(answer) => self.hear_api_versions(now, id, answer, effects),
        }
    }

    fn hear_failure(
        &mut self,
        now: Now,
        id: RequestId,
        failure: SendFailure,
        effects: &mut Effects,
    ) -> Verdict {
        if failure == SendFailure::UnsupportedVersion {
            match &mut self.state {
                // A voter that knows no pre-vote: the real one must do.
                State::Prospective(_) => self.become_candidate(now, effects),
                State::Follower(state) => state.has_updated = true,
                _ => {}
            }
        }
        self.abort_addition(id, effects);
        Verdict::BackOff
    }

    /// What all answers have in common. `Some` when there is no more to it.
    fn hear_common(
        &mut self,
        now: Now,
        answer: &LeaderAnswer,
        effects: &mut Effects,
    ) -> Option<Verdict> {
        use RaftError::{
            BrokerNotAvailable, ClusterAuthorizationFailed, FencedLeaderEpoch,
            InconsistentClusterId, InvalidRequest, InvalidVoterKey, NotLeaderOrFollower,
            UnknownLeaderEpoch,
        };
        let error = answer.error;
        let whole = [BrokerNotAvailable, ClusterAuthorizationFailed, InconsistentClusterId];
        if error.is_some_and(|error| whole.contains(&error)) || answer.epoch < 0 {
            return Some(Verdict::BackOff);
        }
        if answer.epoch < self.epoch() || error == Some(UnknownLeaderEpoch) {
            return Some(if error.is_some() { Verdict::BackOff } else { Verdict::Well });
        }
        let mut endpoints = answer.endpoints.clone();
        if endpoints.is_empty()
            && let Some(voter) = answer.leader.and_then(|id| self.voters.last().0.get(id))
        {
            endpoints.clone_from(&voter.endpoints);
        }
        let moved = matches!(error, Some(FencedLeaderEpoch | NotLeaderOrFollower));
        if answer.epoch > self.epoch() || moved {
            // A contradiction, or no news: ask again a little later.
            let _ = self.maybe_transition(now, answer.leader, answer.epoch, &endpoints, effects);
            return Some(Verdict::BackOff);
        }
        // A node that knew its leader's name alone, from its disk, learns here where it is.
        let lost = self.leader().is_none() || self.leader_endpoints().is_empty();
        if answer.leader.is_some() && lost {
            let known =
                self.maybe_transition(now, answer.leader, answer.epoch, &endpoints, effects);
            if known.is_err() || error.is_some() {
                return Some(Verdict::BackOff);
            }
        }
        match error {
            Some(InvalidVoterKey) => Some(Verdict::Well),
            Some(InvalidRequest) => Some(Verdict::BackOff),
            _ => None,
        }
    }
}

/// Lets the driver forget what it keeps for an answer that is not used.
fn drop_data(answer: &Answer, effects: &mut Effects) {
    let data: Option<DataId> = match answer {
        Answer::Fetch(answer) => match &answer.outcome {
            FetchedOutcome::Records(records) => Some(records.data),
            FetchedOutcome::Diverging { .. } | FetchedOutcome::Snapshot(_) => None,
        },
        Answer::FetchSnapshot(answer) => Some(answer.data),
        _ => None,
    };
    if let Some(data) = data {
        effects.push(Effect::DropFetched { data });
    }
}
