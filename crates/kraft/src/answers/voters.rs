//! Answers around changes of the voters: to this node's wish to join or to be known, and of a node that is to join.

use base::time::Now;
use protocol::ErrorCode;

use super::Verdict;
use crate::state::{Change, State};
use crate::{
    Effect, Effects, LeaderAnswer, Raft, RaftError, Refusal, Reply, RequestId, VersionRange, Voter,
};

impl Raft {
    /// To AddVoter and RemoveVoter: whether it worked will show in the log.
    pub(super) fn hear_membership(&mut self, now: Now, error: Option<RaftError>) -> Verdict {
        let settled = matches!(
            error,
            None | Some(
                RaftError::RequestTimedOut | RaftError::DuplicateVoter | RaftError::VoterNotFound
            )
        );
        if !settled {
            return Verdict::BackOff;
        }
        self.look_for_updates_at(now.mono.plus_ms(self.config.times.fetch_timeout_ms.max(1)));
        Verdict::Well
    }

    pub(super) fn hear_update_voter(
        &mut self,
        now: Now,
        answer: &LeaderAnswer,
        effects: &mut Effects,
    ) -> Verdict {
        if let Some(verdict) = self.hear_common(now, answer, effects) {
            return verdict;
        }
        let fetch_timeout_ms = self.config.times.fetch_timeout_ms;
        match (&mut self.state, answer.error) {
            (State::Follower(state), None | Some(RaftError::UnsupportedVersion)) => {
                state.has_updated = true;
                state.heard(now.mono, fetch_timeout_ms);
                Verdict::Well
            }
            _ => Verdict::BackOff,
        }
    }

    /// The node that is to join tells its versions: it may join when it knows this one and is not far behind.
    pub(super) fn hear_api_versions(
        &mut self,
        now: Now,
        id: RequestId,
        answer: Result<Option<VersionRange>, RaftError>,
        effects: &mut Effects,
    ) -> Verdict {
        let version = self.voters.kraft_version();
        let State::Leader(leader) = &mut self.state else { return Verdict::Well };
        let Some(Change::Add(change)) = &leader.change else { return Verdict::Well };
        if change.asked != id || change.offset.is_some() {
            return Verdict::Well;
        }
        let key = change.voter;
        let refuse = |error, message| Err(Refusal { error, message: Some(message) });
        // Kafka's words, as they are.
        let range = match answer {
            Err(error) => refuse(
                RaftError::RequestTimedOut,
                format!(
                    "Aborted add voter operation for since API_VERSIONS returned an error {}",
                    ErrorCode::from(error).name()
                ),
            ),
            Ok(Some(range)) if range.contains(version) => {
                if leader.is_caught_up(now.mono, key) {
                    Ok(range)
                } else {
                    refuse(
                        RaftError::RequestTimedOut,
                        format!("Aborted add voter operation for {key} since it is lagging behind"),
                    )
                }
            }
            Ok(range) => {
                let range = range.map_or("(min: 0, max: 0)".to_owned(), |range| {
                    format!("(min: {}, max: {}", range.min, range.max)
                });
                refuse(
                    RaftError::InvalidRequest,
                    format!(
                        "Aborted add voter operation for {key} since the kraft.version range {range} doesn't support the finalized version {}",
                        version.0
                    ),
                )
            }
        };
        let endpoints = change.endpoints.clone();
        let added = range.map(|kraft_versions| {
            self.voters.last().0.with(Voter { key, endpoints, kraft_versions })
        });
        let verdict = if answer.is_err() { Verdict::BackOff } else { Verdict::Well };
        match added {
            Ok(Some(set)) => self.append_addition(now, set, effects),
            Ok(None) => self.end_addition(Err(refusal(RaftError::DuplicateVoter)), effects),
            Err(refusal) => self.end_addition(Err(refusal), effects),
        }
        verdict
    }

    /// The request that asked the joining node failed.
    pub(super) fn abort_addition(&mut self, id: RequestId, effects: &mut Effects) {
        if let State::Leader(leader) = &self.state
            && let Some(Change::Add(change)) = &leader.change
            && change.asked == id
            && change.offset.is_none()
        {
            self.end_addition(Err(refusal(RaftError::RequestTimedOut)), effects);
        }
    }

    fn end_addition(&mut self, result: Result<(), Refusal>, effects: &mut Effects) {
        let State::Leader(leader) = &mut self.state else { return };
        if let Some(Change::Add(change)) = leader.change.take()
            && let Some(reply) = change.reply
        {
            effects.push(Effect::Reply { reply, body: Reply::AddVoter(result) });
        }
    }
}

fn refusal(error: RaftError) -> Refusal {
    Refusal { error, message: None }
}
