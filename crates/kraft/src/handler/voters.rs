//! AddRaftVoter (80), RemoveRaftVoter (81), UpdateRaftVoter (82), and the upgrade of `kraft.version`: changes of the
//! voters, one at a time (KIP-853).

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, Offset};

use crate::connections::Peer;
use crate::state::{Addition, Change, Removal, State};
use crate::{
    AddVoterRequest, ControlRecord, Destination, Effect, Effects, Endpoint, KRaftVersion,
    LeaderAnswer, Raft, RaftError, Refusal, RemoveVoterRequest, ReplicaKey, Reply, Request,
    UpdateVoterRequest, VoterSet,
};

fn refuse(error: RaftError, message: impl Into<String>) -> Refusal {
    Refusal { error, message: Some(message.into()) }
}

impl Raft {
    pub(crate) fn on_add_voter(
        &mut self,
        now: Now,
        reply: ReplyId,
        request: AddVoterRequest,
        effects: &mut Effects,
    ) {
        // When it goes well, the answer waits for the commit.
        if let Err(refusal) = self.begin_addition(now, reply, request, effects) {
            effects.push(Effect::Reply { reply, body: Reply::AddVoter(Err(refusal)) });
        }
    }

    fn begin_addition(
        &mut self,
        now: Now,
        reply: ReplyId,
        request: AddVoterRequest,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let key = request.voter;
        self.check_change(now, "Add", request.cluster_id.as_deref(), key, effects)?;
        if !self.has_default_listener(&request.endpoints) {
            return Err(refuse(
                RaftError::InvalidRequest,
                "Add voter request didn't include the endpoint for the default listener",
            ));
        }
        let voters = self.stable_voters("adding")?;
        if voters.get(key.id).is_some() {
            let text = format!(
                "The voter id for {key} is already part of the set of voters {}.",
                voters.text()
            );
            return Err(refuse(RaftError::DuplicateVoter, text));
        }
        let peer = Peer::Node(key.id);
        if !self.connections.is_ready(peer, now.mono) {
            let text = format!("New voter {key} is not ready to receive requests");
            return Err(refuse(RaftError::RequestTimedOut, text));
        }
        let asked = self.connections.sent(peer, now.mono);
        let endpoints = request.endpoints;
        let to = Destination::Node { id: key.id, endpoints: endpoints.clone() };
        effects.push(Effect::Send { id: asked, to, request: Request::ApiVersions });
        let until = now.mono.plus_ms(self.config.times.request_timeout_ms);
        if let State::Leader(leader) = &mut self.state {
            leader.change = Some(Change::Add(Addition {
                reply: Some(reply),
                voter: key,
                endpoints,
                ack_when_committed: request.ack_when_committed,
                until,
                asked,
                offset: None,
            }));
        }
        Ok(())
    }

    /// The joining node is fit: from now on it votes.
    pub(crate) fn append_addition(&mut self, now: Now, set: VoterSet, effects: &mut Effects) {
        let epoch = self.epoch();
        let offset = self.append_control(now, epoch, vec![ControlRecord::Voters(set)], effects);
        let State::Leader(leader) = &mut self.state else { return };
        let Some(Change::Add(change)) = &mut leader.change else { return };
        change.offset = Some(offset);
        if !change.ack_when_committed
            && let Some(reply) = change.reply.take()
        {
            effects.push(Effect::Reply { reply, body: Reply::AddVoter(Ok(())) });
        }
    }

    pub(crate) fn on_remove_voter(
        &mut self,
        now: Now,
        reply: ReplyId,
        request: &RemoveVoterRequest,
        effects: &mut Effects,
    ) {
        if let Err(refusal) = self.begin_removal(now, reply, request, effects) {
            effects.push(Effect::Reply { reply, body: Reply::RemoveVoter(Err(refusal)) });
        }
    }

    fn begin_removal(
        &mut self,
        now: Now,
        reply: ReplyId,
        request: &RemoveVoterRequest,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let key = request.voter;
        self.check_change(now, "Remove", request.cluster_id.as_deref(), key, effects)?;
        let voters = self.stable_voters("removing")?;
        let Some(set) = voters.without(key) else {
            let text =
                format!("Cannot remove voter {key} from the set of voters {}", voters.text());
            return Err(refuse(RaftError::VoterNotFound, text));
        };
        let epoch = self.epoch();
        let offset = self.append_control(now, epoch, vec![ControlRecord::Voters(set)], effects);
        let until = now.mono.plus_ms(self.config.times.request_timeout_ms);
        if let State::Leader(leader) = &mut self.state {
            leader.change = Some(Change::Remove(Removal { reply, until, offset }));
        }
        // The voters that remain may hold enough already.
        self.advance_high_watermark(now, effects);
        Ok(())
    }

    pub(crate) fn on_update_voter(
        &mut self,
        now: Now,
        request: UpdateVoterRequest,
        effects: &mut Effects,
    ) -> LeaderAnswer {
        let result = self.update_voter(now, request, effects);
        self.answer(result.err())
    }

    fn update_voter(
        &mut self,
        now: Now,
        request: UpdateVoterRequest,
        effects: &mut Effects,
    ) -> Result<(), RaftError> {
        if !self.knows_cluster(request.cluster_id.as_deref()) {
            return Err(RaftError::InconsistentClusterId);
        }
        self.check_leader_request(request.leader_epoch)?;
        let voter = request.voter;
        let (key, range) = (voter.key, voter.kraft_versions);
        let possible = key.id.is_some()
            && key.directory_id.is_some()
            && 0 <= range.min
            && range.min <= range.max;
        if !possible || !self.has_default_listener(&voter.endpoints) {
            return Err(RaftError::InvalidRequest);
        }
        self.check_no_change(now, effects).map_err(|refusal| refusal.error)?;
        let version = self.voters.kraft_version();
        let State::Leader(leader) = &self.state else { return Err(RaftError::NotLeaderOrFollower) };
        if leader.high_watermark.is_none() {
            return Err(RaftError::RequestTimedOut);
        }
        let told = leader.told_voters.clone();
        let voters = if version.is_dynamic() {
            self.stable_voters("updating").map_err(|refusal| refusal.error)?.clone()
        } else {
            told.ok_or(RaftError::RequestTimedOut)?
        };
        if !range.contains(version) {
            return Err(RaftError::InvalidRequest);
        }
        let old = voters.get(key.id).ok_or(RaftError::VoterNotFound)?;
        if version.is_dynamic() && !old.is(key) {
            return Err(RaftError::VoterNotFound);
        }
        let set = voters.updated(voter);
        if version.is_dynamic() {
            let epoch = self.epoch();
            self.append_control(now, epoch, vec![ControlRecord::Voters(set)], effects);
        } else if let State::Leader(leader) = &mut self.state {
            leader.told_voters = Some(set);
        }
        if let State::Leader(leader) = &mut self.state {
            leader.heard_of(now.mono, key);
        }
        Ok(())
    }

    pub(crate) fn on_upgrade(
        &mut self,
        now: Now,
        reply: ReplyId,
        (epoch, level, validate_only): (i32, KRaftVersion, bool),
        effects: &mut Effects,
    ) {
        let records = match self.upgrade(epoch, level) {
            Ok(records) if !records.is_empty() && !validate_only => records,
            other => {
                let body = Reply::UpgradeKRaftVersion(other.map(|_| ()));
                effects.push(Effect::Reply { reply, body });
                return;
            }
        };
        let offset = self.append_control(now, epoch, records, effects);
        if let State::Leader(leader) = &mut self.state {
            leader.told_voters = None;
            leader.upgrades.push((reply, offset));
        }
    }

    /// The records of the upgrade; none when the level is reached already.
    fn upgrade(&self, epoch: i32, level: KRaftVersion) -> Result<Vec<ControlRecord>, Refusal> {
        let State::Leader(leader) = &self.state else {
            return Err(refuse(
                RaftError::NotLeaderOrFollower,
                "Upgrade kraft version failed because the replica is not the current leader",
            ));
        };
        if epoch != leader.epoch {
            let text = format!(
                "Upgrade kraft version failed because the given epoch {epoch} is stale. Current leader epoch is {}",
                leader.epoch
            );
            return Err(refuse(RaftError::NotLeaderOrFollower, text));
        }
        let (from, to) = (self.voters.kraft_version(), level);
        let invalid = |why: &str| {
            let text = format!(
                "Invalid upgrade of kraft.version from version {} to {}{why}",
                from.0, to.0
            );
            refuse(RaftError::InvalidUpdateVersion, text)
        };
        if from == to {
            return Ok(Vec::new());
        }
        if from > to {
            return Err(invalid(" because the new version is a downgrade"));
        }
        let voters = leader.told_voters.as_ref().ok_or_else(|| invalid(""))?;
        let told = voters.iter().all(|voter| voter.key.directory_id.is_some());
        if !told || !voters.supports(to) {
            return Err(invalid(" because not all of the voters support it"));
        }
        Ok(vec![ControlRecord::KRaftVersion(to), ControlRecord::Voters(voters.clone())])
    }

    /// What an administrator's change of the voters needs: this cluster, its leader, no other change under way, and a voter.
    fn check_change(
        &mut self,
        now: Now,
        what: &str,
        cluster_id: Option<&str>,
        voter: ReplicaKey,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if !self.knows_cluster(cluster_id) {
            let (given, own) = (cluster_id.unwrap_or_default(), &self.config.cluster_id);
            let text = format!("The given id \"{given}\" doesn't match the cluster id \"{own}\"");
            return Err(refuse(RaftError::InconsistentClusterId, text));
        }
        self.check_leader_request(self.epoch())
            .map_err(|error| Refusal { error, message: None })?;
        self.check_no_change(now, effects)?;
        if !voter.id.is_some() || voter.directory_id.is_none() {
            let text = format!("{what} voter request didn't include a valid voter");
            return Err(refuse(RaftError::InvalidRequest, text));
        }
        Ok(())
    }

    fn check_no_change(&mut self, now: Now, effects: &mut Effects) -> Result<(), Refusal> {
        self.expire_change(now, effects);
        match &self.state {
            State::Leader(leader) if leader.change.is_some() => Err(refuse(
                RaftError::RequestTimedOut,
                "Request timed out waiting for leader to handle previous voter change request",
            )),
            _ => Ok(()),
        }
    }

    /// The voters, when they are known to be committed and can be changed.
    fn stable_voters(&self, what: &str) -> Result<&VoterSet, Refusal> {
        let high_watermark = match &self.state {
            State::Leader(leader) => leader.high_watermark,
            _ => None,
        };
        let Some(high_watermark) = high_watermark else {
            return Err(refuse(
                RaftError::RequestTimedOut,
                "Request timed out waiting for leader to establish HWM and fence previous voter changes",
            ));
        };
        let version = self.voters.kraft_version();
        if !version.is_dynamic() {
            let level = version.0;
            let text = format!(
                "Cluster doesn't support {what} voter because the kraft.version feature is {level}"
            );
            return Err(refuse(RaftError::UnsupportedVersion, text));
        }
        match self.voters.last() {
            (set, Some(offset)) if offset < high_watermark => Ok(set),
            (_, offset) => {
                let at = offset.unwrap_or(Offset::NONE);
                let text = format!(
                    "Request timed out waiting for voters to commit the latest voter change at {at} with HWM {high_watermark}"
                );
                Err(refuse(RaftError::RequestTimedOut, text))
            }
        }
    }

    /// Voters talk on the listener that stands first in this node's own list.
    fn has_default_listener(&self, endpoints: &[Endpoint]) -> bool {
        let default = self.config.local.endpoints.first();
        default.is_some_and(|default| endpoints.iter().any(|other| other.name == default.name))
    }

    /// Answers those whose change is committed; a leader that is no voter any more steps down.
    pub(crate) fn complete_changes(&mut self, high_watermark: Offset, effects: &mut Effects) {
        let removed =
            matches!(self.voters.last(), (_, Some(at)) if at < high_watermark) && !self.is_voter();
        let State::Leader(leader) = &mut self.state else { return };
        leader.resign_requested |= removed;
        for (reply, _) in leader.upgrades.extract_if(.., |(_, offset)| *offset < high_watermark) {
            effects.push(Effect::Reply { reply, body: Reply::UpgradeKRaftVersion(Ok(())) });
        }
        let done = leader
            .change
            .take_if(|change| change.offset().is_some_and(|offset| offset < high_watermark));
        if let Some(change) = done {
            end_change(change, None, effects);
        }
    }

    /// Gives up a change that takes too long. Its record, when there is one, stays.
    pub(crate) fn expire_change(&mut self, now: Now, effects: &mut Effects) {
        let State::Leader(leader) = &mut self.state else { return };
        let expired =
            |change: &mut Change| change.until() <= now.mono && change.until() != MonoMs::NEVER;
        if let Some(change) = leader.change.take_if(expired) {
            end_change(change, Some(RaftError::RequestTimedOut), effects);
        }
    }

    /// The leader leads no longer: what becomes of its changes, others will see.
    pub(crate) fn abort_changes(&mut self, effects: &mut Effects) {
        let State::Leader(leader) = &mut self.state else { return };
        if let Some(change) = leader.change.take() {
            end_change(change, Some(RaftError::NotLeaderOrFollower), effects);
        }
        for (reply, _) in std::mem::take(&mut leader.upgrades) {
            let refusal = Refusal { error: RaftError::NotLeaderOrFollower, message: None };
            effects.push(Effect::Reply { reply, body: Reply::UpgradeKRaftVersion(Err(refusal)) });
        }
    }
}

fn end_change(change: Change, error: Option<RaftError>, effects: &mut Effects) {
    let result = error.map_or(Ok(()), |error| Err(Refusal { error, message: None }));
    let (reply, body) = match change {
        Change::Add(change) => (change.reply, Reply::AddVoter(result)),
        Change::Remove(change) => (Some(change.reply), Reply::RemoveVoter(result)),
    };
    if let Some(reply) = reply {
        effects.push(Effect::Reply { reply, body });
    }
}
