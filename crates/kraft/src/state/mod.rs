//! The states of a replica, one module each.

pub(crate) mod candidate;
pub(crate) mod change;
pub(crate) mod follower;
pub(crate) mod leader;
pub(crate) mod progress;
pub(crate) mod prospective;
pub(crate) mod resigned;
pub(crate) mod unattached;
pub(crate) mod votes;

use base::{MonoMs, NodeId};

use crate::{Endpoint, ReplicaKey, VoteRequest};
pub(crate) use candidate::Candidate;
pub(crate) use change::{Addition, Change, Removal};
pub(crate) use follower::{Download, Follower};
pub(crate) use leader::Leader;
pub(crate) use prospective::Prospective;
pub(crate) use resigned::Resigned;
pub(crate) use unattached::Unattached;
pub(crate) use votes::Votes;

#[derive(Clone, Debug)]
pub(crate) enum State {
    Unattached(Unattached),
    Prospective(Prospective),
    Candidate(Candidate),
    Follower(Follower),
    Leader(Leader),
    Resigned(Resigned),
}

impl State {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unattached(_) => "Unattached",
            Self::Prospective(_) => "Prospective",
            Self::Candidate(_) => "Candidate",
            Self::Follower(_) => "Follower",
            Self::Leader(_) => "Leader",
            Self::Resigned(_) => "Resigned",
        }
    }

    pub(crate) fn epoch(&self) -> i32 {
        match self {
            Self::Unattached(state) => state.epoch,
            Self::Prospective(state) => state.epoch,
            Self::Candidate(state) => state.epoch,
            Self::Follower(state) => state.epoch,
            Self::Leader(state) => state.epoch,
            Self::Resigned(state) => state.epoch,
        }
    }

    pub(crate) fn leader(&self, local: NodeId) -> Option<NodeId> {
        match self {
            Self::Unattached(state) => state.leader,
            Self::Prospective(state) => state.leader,
            Self::Candidate(_) => None,
            Self::Follower(state) => Some(state.leader),
            Self::Leader(_) | Self::Resigned(_) => Some(local),
        }
    }

    /// Where the leader listens, as far as this state knows; `local` are this node's own endpoints.
    pub(crate) fn leader_endpoints<'a>(&'a self, local: &'a [Endpoint]) -> &'a [Endpoint] {
        match self {
            Self::Unattached(_) | Self::Candidate(_) => &[],
            Self::Prospective(state) => &state.endpoints,
            Self::Follower(state) => &state.endpoints,
            Self::Leader(_) | Self::Resigned(_) => local,
        }
    }

    pub(crate) fn voted(&self) -> Option<ReplicaKey> {
        match self {
            Self::Unattached(state) => state.voted,
            Self::Prospective(state) => state.voted,
            Self::Candidate(state) => Some(state.voted),
            Self::Follower(state) => state.voted,
            Self::Leader(_) | Self::Resigned(_) => None,
        }
    }

    /// The end of the election time-out that runs, to be kept when only the epoch changes.
    pub(crate) fn election_at(&self) -> Option<MonoMs> {
        match self {
            Self::Unattached(state) => Some(state.election_at),
            Self::Prospective(state) if !state.votes.is_rejected() => Some(state.election_at),
            Self::Candidate(state) => Some(state.election_at),
            Self::Resigned(state) => Some(state.election_at),
            Self::Prospective(_) | Self::Follower(_) | Self::Leader(_) => None,
        }
    }

    /// Whether to vote for the candidate in this state's own epoch.
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        match self {
            Self::Unattached(state) => state.grants(request, log_up_to_date),
            Self::Prospective(state) => state.grants(request, log_up_to_date),
            Self::Candidate(state) => state.grants(request, log_up_to_date),
            Self::Follower(state) => state.grants(request, log_up_to_date),
            Self::Resigned(state) => state.grants(request, log_up_to_date),
            Self::Leader(_) => false,
        }
    }
}
