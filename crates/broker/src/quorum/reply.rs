//! Requests of other nodes on their way through consensus, and what this node tells of itself.

use base::NodeId;
use base::machine::ReplyId;
use kraft::{Endpoint, Reply};

use super::QuorumError;
use super::driver::Driver;
use super::handle::{Answer, Permit};
use super::machine::Machine;
use super::wire::{self, Asker, QuorumRequest, QuorumResponse, Wanted};

/// A request that consensus has not answered yet.
pub(super) struct Asked {
    asker: Asker,
    answer: Answer<QuorumResponse>,
    _permit: Permit,
}

impl<M: Machine> Driver<M> {
    pub(super) fn asked_by_another(
        &mut self,
        request: QuorumRequest,
        asker: Asker,
        answer: Answer<QuorumResponse>,
        permit: Permit,
    ) -> Result<(), QuorumError> {
        let reply = ReplyId(self.fresh_id());
        match request.into_event(reply, &asker, |id| self.log.snapshot_size(id)) {
            Ok(event) => {
                self.asked.insert(reply, Asked { asker, answer, _permit: permit });
                self.event(event)
            }
            Err(response) => {
                // The client may have gone away.
                let _ = answer.send(response);
                Ok(())
            }
        }
    }

    pub(super) fn reply(&mut self, reply: ReplyId, body: Reply) -> Result<(), QuorumError> {
        let body = match body {
            Reply::UpgradeKRaftVersion(decided) => {
                self.upgrade_decided(reply, decided);
                return Ok(());
            }
            body => body,
        };
        let Some(Asked { asker, answer, _permit }) = self.asked.remove(&reply) else {
            return Ok(());
        };
        let bytes = match wire::wanted(&body) {
            Wanted::Nothing => Vec::new(),
            Wanted::Records { offset, max_bytes } => {
                self.log.read_for_fetch(offset, u32::try_from(max_bytes).unwrap_or(0))?
            }
            Wanted::Snapshot { id, position, len } => self.log.snapshot_slice(id, position, len)?,
        };
        let endpoints = match body {
            Reply::DescribeQuorum(_) => self.voter_endpoints(),
            _ => Vec::new(),
        };
        if let Some(response) = wire::response(body, bytes, &asker, &endpoints) {
            // The client may have gone away.
            let _ = answer.send(response);
        }
        Ok(())
    }

    /// Kafka tells this node's own listeners, and those of others as the voter set knows them.
    fn voter_endpoints(&self) -> Vec<(NodeId, Vec<Endpoint>)> {
        let (voters, _) = self.raft.voters().last();
        let endpoints = |voter: &kraft::Voter| {
            let own = voter.key.id == self.config.node_id;
            let list = if own { &self.config.endpoints } else { &voter.endpoints };
            (voter.key.id, list.clone())
        };
        voters.iter().map(endpoints).collect()
    }

    /// Another epoch, or another leader of it: those who talk to the active controller learn where it is.
    pub(super) fn leader_changed(
        &mut self,
        epoch: i32,
        leader: Option<NodeId>,
        endpoints: &[Endpoint],
    ) {
        let leader_id = leader.unwrap_or(NodeId::NONE);
        tracing::info!(epoch, leader = %leader_id, "the metadata quorum's leader");
        self.leader_address = match leader {
            Some(leader) if leader == self.config.node_id => {
                self.config.address_of(&self.config.endpoints)
            }
            Some(_) => self.config.address_of(endpoints),
            None => None,
        };
        self.update_status();
    }

    pub(super) fn update_status(&self) {
        let (epoch, leader) = (self.raft.epoch(), self.raft.leader());
        let (active, level) = (self.active.is_some(), self.kraft_version);
        // Consensus tells of a leader by an effect; until that is executed the address is of another one.
        let address = self.leader_address.as_ref().filter(|_| leader.is_some());
        self.status.send_if_modified(|status| {
            let changed = (status.epoch, status.leader, status.active) != (epoch, leader, active)
                || status.leader_address.as_ref() != address
                || status.kraft_version != level;
            (status.epoch, status.leader, status.active) = (epoch, leader, active);
            status.leader_address = address.cloned();
            status.kraft_version = level;
            changed
        });
    }
}
