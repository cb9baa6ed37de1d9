//! Requests of other nodes, one module each: what Kafka's own controller answers.

pub(crate) mod epoch;
pub(crate) mod fetch;
pub(crate) mod snapshot;
pub(crate) mod vote;
pub(crate) mod voters;

use base::{DirectoryId, NodeId};

use crate::{LeaderAnswer, Raft, RaftError};

impl Raft {
    pub(crate) fn answer(&self, error: Option<RaftError>) -> LeaderAnswer {
        let endpoints = self.leader_endpoints().to_vec();
        LeaderAnswer { error, leader: self.leader(), epoch: self.epoch(), endpoints }
    }

    pub(crate) fn knows_cluster(&self, cluster_id: Option<&str>) -> bool {
        cluster_id.is_none_or(|id| id == self.config.cluster_id)
    }

    /// A request that only a voter may send: not from an older epoch, from a real node.
    pub(crate) fn check_voter_request(&self, remote: NodeId, epoch: i32) -> Result<(), RaftError> {
        if epoch < self.epoch() {
            Err(RaftError::FencedLeaderEpoch)
        } else if !remote.is_some() || epoch == i32::MAX {
            // The last epoch cannot be outbid by any later election, so no node may bring it up.
            Err(RaftError::InvalidRequest)
        } else {
            Ok(())
        }
    }

    /// A request that only the leader of that epoch may answer.
    pub(crate) fn check_leader_request(&self, epoch: i32) -> Result<(), RaftError> {
        if epoch < self.epoch() {
            Err(RaftError::FencedLeaderEpoch)
        } else if epoch > self.epoch() {
            Err(RaftError::UnknownLeaderEpoch)
        } else if !self.is_leader() {
            Err(RaftError::NotLeaderOrFollower)
        } else if self.is_shutting_down() {
            Err(RaftError::BrokerNotAvailable)
        } else {
            Ok(())
        }
    }

    /// Whether the request means this very replica.
    pub(crate) fn is_asked(&self, voter: Option<(NodeId, DirectoryId)>) -> bool {
        let local = self.config.local.key;
        voter.is_none_or(|(id, directory)| {
            id == local.id && (directory.is_zero() || Some(directory) == local.directory_id)
        })
    }
}
