//! What the time brings: elections, resignations, requests that are due.

use base::time::Now;
use base::{MonoMs, NodeId};

use crate::connections::Peer;
use crate::state::{Follower, State};
use crate::{
    AddVoterRequest, Destination, Effect, Effects, EpochRequest, FetchRequest,
    FetchSnapshotRequest, Raft, RemoveVoterRequest, ReplicaKey, Request, UpdateVoterRequest,
    VoteRequest,
};

/// How long the leader may keep a fetch that finds nothing (Kafka's value).
const FETCH_WAIT_MS: i32 = 500;
/// One moment brings no more changes of state than this.
const TRANSITIONS_MAX: usize = 8;

impl Raft {
    /// Does what is due, and tells when to look again.
    pub(crate) fn poll(&mut self, now: Now, effects: &mut Effects) -> MonoMs {
        for _ in 0..TRANSITIONS_MAX {
            let at = match &self.state {
                State::Unattached(_) => self.poll_unattached(now, effects),
                State::Prospective(_) => self.poll_prospective(now, effects),
                State::Candidate(_) => self.poll_candidate(now, effects),
                State::Follower(_) => self.poll_follower(now, effects),
                State::Leader(_) => self.poll_leader(now, effects),
                State::Resigned(_) => self.poll_resigned(now, effects),
            };
            if let Some(at) = at {
                return at.min(self.connections.next_change(now.mono));
            }
        }
        now.mono.plus_ms(1)
    }

    /// Neither on its way out nor about to get another log.
    fn may_stand_for_election(&self) -> bool {
        !self.shutting_down && self.installing.is_none() && self.is_electable()
    }

    /// The time of an election, as far as this node may start one.
    fn election_time(&self, at: MonoMs) -> MonoMs {
        if self.may_stand_for_election() { at } else { MonoMs::NEVER }
    }

    fn poll_unattached(&mut self, now: Now, effects: &mut Effects) -> Option<MonoMs> {
        let State::Unattached(state) = &self.state else { return None };
        let election_at = self.election_time(state.election_at);
        if election_at <= now.mono {
            self.become_prospective(now, effects);
            return None;
        }
        if !self.shutting_down {
            self.fetch_from_bootstrap(now, effects);
        }
        Some(election_at)
    }

    fn poll_prospective(&mut self, now: Now, effects: &mut Effects) -> Option<MonoMs> {
        let State::Prospective(state) = &self.state else { return None };
        if self.shutting_down {
            return Some(MonoMs::NEVER);
        }
        if state.votes.is_granted() {
            self.become_candidate(now, effects);
            return None;
        }
        if state.votes.is_rejected() || state.election_at <= now.mono {
            let (epoch, leader, endpoints) = (state.epoch, state.leader, state.endpoints.clone());
            match leader {
                Some(leader) if !endpoints.is_empty() => {
                    self.become_follower(now, epoch, leader, &endpoints, effects);
                }
                _ => self.become_unattached(now, epoch, leader, effects),
            }
            return None;
        }
        let (at, missing) = (state.election_at, state.votes.missing());
        self.ask_for_votes(now, &missing, true, effects);
        Some(at)
    }

    fn poll_candidate(&mut self, now: Now, effects: &mut Effects) -> Option<MonoMs> {
        let State::Candidate(state) = &self.state else { return None };
        if self.shutting_down {
            return Some(MonoMs::NEVER);
        }
        if state.election_at <= now.mono {
            self.become_prospective(now, effects);
            return None;
        }
        let at = state.election_at;
        if !state.votes.is_rejected() {
            let missing = state.votes.missing();
            self.ask_for_votes(now, &missing, false, effects);
        }
        Some(at)
    }

    fn ask_for_votes(
        &mut self,
        now: Now,
        voters: &[ReplicaKey],
        pre_vote: bool,
        effects: &mut Effects,
    ) {
        // Only what a crash cannot take away counts for this node.
        let (last_epoch, last_offset) = self.log.durable_end();
        for voter in voters {
            let request = Request::Vote(VoteRequest {
                cluster_id: Some(self.config.cluster_id.clone()),
                voter: Some((voter.id, voter.directory_id.unwrap_or_default())),
                candidate: self.config.local.key,
                epoch: self.epoch(),
                last_epoch,
                last_offset,
                pre_vote,
            });
            self.send(now, Peer::Node(voter.id), request, effects);
        }
    }

    fn poll_leader(&mut self, now: Now, effects: &mut Effects) -> Option<MonoMs> {
        let State::Leader(leader) = &mut self.state else { return None };
        if self.shutting_down || leader.resign_requested || leader.check_quorum_at() <= now.mono {
            self.become_resigned(now, effects);
            return None;
        }
        if leader.begin_epoch_at <= now.mono {
            leader.begin_epoch_at = now.mono.plus_ms(leader.begin_epoch_ms.max(1));
            let silent = leader.silent_voters(now.mono);
            self.begin_epoch(now, &silent, effects);
        }
        self.expire_change(now, effects);
        let State::Leader(leader) = &self.state else { return None };
        let change = leader.change.as_ref().map_or(MonoMs::NEVER, |change| change.until());
        Some(leader.check_quorum_at().min(leader.begin_epoch_at).min(change))
    }

    fn begin_epoch(&mut self, now: Now, voters: &[ReplicaKey], effects: &mut Effects) {
        for voter in voters {
            let request = Request::BeginQuorumEpoch(EpochRequest {
                cluster_id: Some(self.config.cluster_id.clone()),
                voter: Some((voter.id, voter.directory_id.unwrap_or_default())),
                leader: self.local_id(),
                epoch: self.epoch(),
                endpoints: self.config.local.endpoints.clone(),
                successors: Vec::new(),
            });
            self.send(now, Peer::Node(voter.id), request, effects);
        }
    }

    fn poll_resigned(&mut self, now: Now, effects: &mut Effects) -> Option<MonoMs> {
        let State::Resigned(state) = &self.state else { return None };
        let election_at = if self.shutting_down { MonoMs::NEVER } else { state.election_at };
        if election_at <= now.mono {
            let epoch = state.epoch.checked_add(1).filter(|epoch| *epoch < i32::MAX);
            let Some(epoch) = epoch else { return Some(MonoMs::NEVER) };
            self.become_unattached(now, epoch, None, effects);
            return None;
        }
        let (unacked, successors) = (state.unacked.clone(), state.successors.clone());
        for voter in unacked {
            let request = Request::EndQuorumEpoch(EpochRequest {
                cluster_id: Some(self.config.cluster_id.clone()),
                voter: None,
                leader: self.local_id(),
                epoch: self.epoch(),
                endpoints: Vec::new(),
                successors: successors.clone(),
            });
            self.send(now, Peer::Node(voter), request, effects);
        }
        Some(election_at)
    }

    fn poll_follower(&mut self, now: Now, effects: &mut Effects) -> Option<MonoMs> {
        let State::Follower(state) = &self.state else { return None };
        if self.shutting_down {
            return Some(MonoMs::NEVER);
        }
        let fetch_until = self.election_time(state.fetch_until);
        if fetch_until <= now.mono {
            self.become_prospective(now, effects);
            return None;
        }
        let (leader, update_at) = (state.leader, state.update_voter_at);
        let update = if update_at <= now.mono { self.voter_update() } else { None };
        let update_until = now.mono.plus_ms(self.config.times.fetch_timeout_ms.max(1));
        match update {
            Some(request) => {
                if self.send(now, Peer::Node(leader), request, effects) {
                    self.look_for_updates_at(update_until);
                }
                return Some(fetch_until);
            }
            None if update_at <= now.mono => self.look_for_updates_at(update_until),
            None => {}
        }
        self.fetch_from_best(now, leader, effects);
        let State::Follower(state) = &self.state else { return None };
        Some(fetch_until.min(state.update_voter_at))
    }

    pub(crate) fn look_for_updates_at(&mut self, at: MonoMs) {
        if let State::Follower(state) = &mut self.state {
            state.update_voter_at = at;
        }
    }

    /// What the leader must learn of this node: its endpoints as a voter, or that it wants to be one.
    fn voter_update(&self) -> Option<Request> {
        let State::Follower(state) = &self.state else { return None };
        let local = &self.config.local;
        let is_dynamic = self.voters.kraft_version().is_dynamic();
        let known = self.voters.last().0.get(local.key.id);
        let cluster_id = Some(self.config.cluster_id.clone());
        if self.is_voter() {
            let outdated = if is_dynamic { known != Some(local) } else { !state.has_updated };
            return outdated.then(|| {
                let (leader_epoch, voter) = (state.epoch, local.clone());
                Request::UpdateVoter(UpdateVoterRequest { cluster_id, leader_epoch, voter })
            });
        }
        if !is_dynamic || !self.config.can_be_voter || !self.config.auto_join {
            return None;
        }
        Some(match known {
            // This node with an older directory.
            Some(old) => Request::RemoveVoter(RemoveVoterRequest { cluster_id, voter: old.key }),
            None => Request::AddVoter(AddVoterRequest {
                cluster_id,
                timeout_ms: i32::try_from(self.config.times.request_timeout_ms).unwrap_or(i32::MAX),
                voter: local.key,
                endpoints: local.endpoints.clone(),
                ack_when_committed: false,
            }),
        })
    }

    /// From the leader; from any other known node when the leader does not answer, to learn of a new one.
    fn fetch_from_best(&mut self, now: Now, leader: NodeId, effects: &mut Effects) {
        let peer = Peer::Node(leader);
        if self.connections.has_timed_out(peer, now.mono) {
            self.connections.give_up(peer, now.mono);
            self.fetch_from_bootstrap(now, effects);
        } else if self.connections.is_backing_off(peer, now.mono) {
            self.fetch_from_bootstrap(now, effects);
        } else if !self.connections.any_in_flight(now.mono) && self.may_fetch() {
            let request = self.fetch_request();
            self.send(now, peer, request, effects);
        }
    }

    fn fetch_from_bootstrap(&mut self, now: Now, effects: &mut Effects) {
        if self.connections.any_in_flight(now.mono) || !self.may_fetch() {
            return;
        }
        let servers = self.bootstrap_servers();
        if servers.is_empty() {
            return;
        }
        self.connections.expire(now.mono);
        let start = self.random.below(servers.len());
        let turned = servers.iter().cycle().skip(start).take(servers.len());
        let ready = turned.filter(|peer| self.connections.is_ready(**peer, now.mono));
        // One that hangs would be waited for again, as long as a whole time-out, while others may know the leader.
        let ready = ready.min_by_key(|peer| self.connections.silent_since(**peer)).copied();
        if let Some(peer) = ready {
            let request = self.log_fetch_request();
            self.send(now, peer, request, effects);
        }
    }

    /// A fetch says that everything before its offset is on this node's disk, so it waits until that is true.
    fn may_fetch(&self) -> bool {
        self.installing.is_none() && self.log.flushed >= self.log.end
    }

    /// Who may know a leader: the configured servers, and the voters, who may be others by now.
    fn bootstrap_servers(&self) -> Vec<Peer> {
        let voters = self.voters.last().0;
        if voters.is_only_voter(self.config.local.key) {
            return Vec::new();
        }
        let others = voters.iter().filter(|voter| voter.key.id != self.local_id());
        let others = others.map(|voter| Peer::Node(voter.key.id));
        (0..self.config.bootstrap_servers).map(Peer::Bootstrap).chain(others).collect()
    }

    fn fetch_request(&self) -> Request {
        let State::Follower(Follower { download: Some(download), .. }) = &self.state else {
            return self.log_fetch_request();
        };
        Request::FetchSnapshot(FetchSnapshotRequest {
            cluster_id: Some(self.config.cluster_id.clone()),
            replica: self.config.local.key,
            leader_epoch: self.epoch(),
            id: download.id,
            position: i64::try_from(download.position).unwrap_or(i64::MAX),
            size: None,
            max_bytes: self.config.fetch_snapshot_max_bytes,
        })
    }

    fn log_fetch_request(&self) -> Request {
        Request::Fetch(FetchRequest {
            cluster_id: Some(self.config.cluster_id.clone()),
            replica: self.config.local.key,
            leader_epoch: self.epoch(),
            offset: self.log.end,
            last_fetched_epoch: self.log.last_epoch(),
            high_watermark: self.high_watermark().unwrap_or(base::Offset::NONE),
            max_bytes: self.config.fetch_max_bytes,
            max_wait_ms: FETCH_WAIT_MS,
        })
    }

    /// Sends the request unless another one to that peer is under way or a pause is due. True when it was sent.
    fn send(&mut self, now: Now, peer: Peer, request: Request, effects: &mut Effects) -> bool {
        if !self.connections.is_ready(peer, now.mono) {
            return false;
        }
        let to = match peer {
            Peer::Bootstrap(index) => Destination::Bootstrap(index),
            Peer::Node(id) => {
                let follows = matches!(&self.state, State::Follower(state) if state.leader == id);
                let endpoints = if follows {
                    self.leader_endpoints().to_vec()
                } else {
                    let voter = self.voters.last().0.get(id);
                    voter.map(|voter| voter.endpoints.clone()).unwrap_or_default()
                };
                if endpoints.is_empty() {
                    return false;
                }
                Destination::Node { id, endpoints }
            }
        };
        let id = self.connections.sent(peer, now.mono);
        effects.push(Effect::Send { id, to, request });
        true
    }
}
