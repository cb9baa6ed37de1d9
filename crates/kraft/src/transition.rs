//! From state to state: what is saved, who is told, which requests are forgotten.

use std::collections::BTreeSet;

use base::time::Now;
use base::{MonoMs, NodeId, Offset};

use crate::state::{Candidate, Follower, Leader, Prospective, Resigned, State, Unattached, Votes};
use crate::{ControlRecord, Effect, Effects, ElectionState, Endpoint, Raft, RaftError, ReplicaKey};

impl Raft {
    /// Another node says that `leader` leads `epoch`.
    ///
    /// # Errors
    /// When this cannot be: it contradicts what this node knows of that epoch.
    pub(crate) fn maybe_transition(
        &mut self,
        now: Now,
        leader: Option<NodeId>,
        epoch: i32,
        endpoints: &[Endpoint],
        effects: &mut Effects,
    ) -> Result<(), RaftError> {
        let known = self.leader();
        if leader == Some(self.local_id()) {
            // Its own name is no news while it leads, and wrong for any epoch that it does not know of.
            let right = self.is_leader() && epoch == self.epoch();
            return if right { Ok(()) } else { Err(RaftError::UnknownServerError) };
        }
        let contradicts =
            epoch == self.epoch() && known.is_some() && leader.is_some_and(|id| known != Some(id));
        if contradicts || epoch == i32::MAX {
            return Err(RaftError::UnknownServerError);
        }
        let grows = endpoints.len() > self.leader_endpoints().len();
        match leader {
            // Without an address there is nobody to follow.
            Some(_) if endpoints.is_empty() && epoch > self.epoch() => {
                self.become_unattached(now, epoch, leader, effects);
            }
            Some(id) if epoch > self.epoch() => {
                self.become_follower(now, epoch, id, endpoints, effects);
            }
            None if epoch > self.epoch() => self.become_unattached(now, epoch, None, effects),
            Some(id)
                if epoch == self.epoch() && !endpoints.is_empty() && (known.is_none() || grows) =>
            {
                self.become_follower(now, epoch, id, endpoints, effects);
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives up any role in an older epoch and waits for an election timeout, as Kafka does when it hears of `epoch`.
    /// From Prospective also in the same epoch.
    pub(crate) fn become_unattached(
        &mut self,
        now: Now,
        epoch: i32,
        leader: Option<NodeId>,
        effects: &mut Effects,
    ) {
        assert!(epoch >= self.epoch(), "a node never goes back to an older epoch");
        let voted = if epoch == self.epoch() { self.state.voted() } else { None };
        let running = self.state.election_at().filter(|at| *at != MonoMs::NEVER);
        let election_at = match running {
            _ if !self.is_electable() => MonoMs::NEVER,
            Some(at) => at,
            None => now.mono.plus_ms(self.election_timeout_ms()),
        };
        let next = State::Unattached(Unattached { epoch, leader, voted, election_at });
        self.enter(now, next, effects);
    }

    pub(crate) fn become_follower(
        &mut self,
        now: Now,
        epoch: i32,
        leader: NodeId,
        endpoints: &[Endpoint],
        effects: &mut Effects,
    ) {
        assert!(epoch >= self.epoch(), "a node never goes back to an older epoch");
        let voted = if epoch == self.epoch() { self.state.voted() } else { None };
        let next = State::Follower(self.follower(now.mono, epoch, leader, endpoints, voted));
        self.enter(now, next, effects);
    }

    pub(crate) fn follower(
        &self,
        now: MonoMs,
        epoch: i32,
        leader: NodeId,
        endpoints: &[Endpoint],
        voted: Option<ReplicaKey>,
    ) -> Follower {
        let until = now.plus_ms(self.config.times.fetch_timeout_ms);
        Follower {
            epoch,
            leader,
            endpoints: endpoints.to_vec(),
            voted,
            fetch_until: until,
            update_voter_at: until,
            has_fetched: false,
            has_updated: false,
            high_watermark: Offset::NONE,
            download: None,
        }
    }

    /// Asks whether an election would be won. A sole voter's is, so it leads in the same step.
    pub(crate) fn become_prospective(&mut self, now: Now, effects: &mut Effects) {
        let votes = Votes::new(self.voters.last().0, self.local_id());
        let granted = votes.is_granted();
        let election_at = now.mono.plus_ms(self.election_timeout_ms());
        // Nothing that must survive a restart changes.
        self.state = State::Prospective(Prospective {
            epoch: self.epoch(),
            leader: self.leader(),
            endpoints: self.leader_endpoints().to_vec(),
            voted: self.state.voted(),
            votes,
            election_at,
        });
        self.connections.reset_all();
        if granted {
            self.become_candidate(now, effects);
        }
    }

    /// Gives this node's vote of the current epoch, durably before the answer leaves.
    pub(crate) fn record_vote(&mut self, now: Now, candidate: ReplicaKey, effects: &mut Effects) {
        let election_at = now.mono.plus_ms(self.election_timeout_ms());
        let votes = Votes::new(self.voters.last().0, self.local_id());
        let electable = self.is_electable();
        match &mut self.state {
            State::Unattached(state) if state.voted.is_none() => {
                state.voted = Some(candidate);
                state.election_at = if electable { election_at } else { MonoMs::NEVER };
            }
            State::Prospective(state) if state.voted.is_none() => {
                state.voted = Some(candidate);
                (state.votes, state.election_at) = (votes, election_at);
            }
            _ => return,
        }
        self.save(effects);
    }

    pub(crate) fn become_candidate(&mut self, now: Now, effects: &mut Effects) {
        // Epochs from disk are checked at start, those from the network in the handlers.
        let next = self.epoch().checked_add(1).filter(|epoch| *epoch < i32::MAX);
        let Some(epoch) = next.filter(|_| !self.shutting_down) else { return };
        let votes = Votes::new(self.voters.last().0, self.local_id());
        let election_at = now.mono.plus_ms(self.election_timeout_ms());
        let voted = self.config.local.key;
        self.state = State::Candidate(Candidate { epoch, voted, votes, election_at });
        self.connections.reset_all();
        self.save(effects);
        self.maybe_become_leader(now, effects);
    }

    pub(crate) fn maybe_become_leader(&mut self, now: Now, effects: &mut Effects) {
        let State::Candidate(candidate) = &self.state else { return };
        if !candidate.votes.is_granted() {
            return;
        }
        let (epoch, granting) = (candidate.epoch, candidate.votes.granting());
        let local = self.config.local.clone();
        let (set, set_offset) = self.voters.last();
        let (set, version) = (set.clone(), self.voters.kraft_version());
        let mut records =
            vec![ControlRecord::LeaderChange { leader: local.key.id, voters: set.ids(), granting }];
        let local_changed = set.is_voter(local.key) && set.get(local.key.id) != Some(&local);
        // A voter set that only the formatter's snapshot holds, or that names an old address, goes into the log now.
        if version.is_dynamic() && (set_offset.is_none_or(|at| at < Offset::ZERO) || local_changed)
        {
            records.push(ControlRecord::KRaftVersion(version));
            records.push(ControlRecord::Voters(set.updated(local.clone())));
        }
        let fetch_timeout_ms = self.config.times.fetch_timeout_ms;
        let mut leader =
            Leader::new(now.mono, epoch, self.log.end, local.key, &set, fetch_timeout_ms);
        if !version.is_dynamic() {
            leader.told_voters = Some(set.updated(local));
        }
        self.state = State::Leader(leader);
        self.connections.reset_all();
        self.save(effects);
        self.append_control(now, epoch, records, effects);
    }

    /// Appends control records as the leader, with effect on the voters at once. Gives the offset of the last one.
    pub(crate) fn append_control(
        &mut self,
        now: Now,
        epoch: i32,
        records: Vec<ControlRecord>,
        effects: &mut Effects,
    ) -> Offset {
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        let base = self.log.append(epoch, count);
        for (at, record) in (base.get()..).map(Offset).zip(&records) {
            self.voters.add(at, record);
        }
        if let State::Leader(leader) = &mut self.state {
            leader.set_voters(self.voters.last().0);
        }
        effects.push(Effect::AppendControl { base, epoch, records });
        effects.push(Effect::Flush { end: self.log.end });
        self.wake_parked(now, effects);
        self.log.end.plus(-1)
    }

    /// Leads no longer, and says so to the voters.
    pub(crate) fn become_resigned(&mut self, now: Now, effects: &mut Effects) {
        let State::Leader(leader) = &self.state else { return };
        let (epoch, successors) = (leader.epoch, leader.successors());
        let unacked: BTreeSet<NodeId> =
            self.voters.last().0.ids().into_iter().filter(|id| *id != self.local_id()).collect();
        let election_at = if self.shutting_down {
            MonoMs::NEVER
        } else {
            now.mono.plus_ms(self.election_timeout_ms())
        };
        self.leave_leadership(effects);
        // On disk this node stays the leader of this epoch, which after a restart means the same.
        self.state = State::Resigned(Resigned { epoch, election_at, unacked, successors });
        self.connections.reset_all();
        self.wake_parked(now, effects);
    }

    /// Enters a state that must survive a restart.
    fn enter(&mut self, now: Now, next: State, effects: &mut Effects) {
        self.leave_leadership(effects);
        self.state = next;
        self.connections.reset_all();
        self.save(effects);
        self.wake_parked(now, effects);
    }

    fn leave_leadership(&mut self, effects: &mut Effects) {
        if let State::Leader(leader) = &self.state {
            effects.push(Effect::Resigned { epoch: leader.epoch });
            self.abort_changes(effects);
        }
    }

    pub(crate) fn save(&self, effects: &mut Effects) {
        let state = ElectionState {
            epoch: self.state.epoch(),
            leader: self.state.leader(self.local_id()),
            voted: self.state.voted(),
            voters: self.voters.last().0.ids(),
        };
        effects.push(Effect::SaveQuorumState {
            state,
            version: self.voters.kraft_version().quorum_state_version(),
        });
    }

    pub(crate) fn election_timeout_ms(&mut self) -> u64 {
        self.random.election_timeout_ms(self.config.times.election_timeout_ms)
    }
}
