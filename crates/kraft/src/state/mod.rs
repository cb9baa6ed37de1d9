//! The states of a replica, one module each.

pub(crate) mod candidate;
pub(crate) mod leader;
pub(crate) mod resigned;
pub(crate) mod unattached;

use base::{MonoMs, NodeId};

use crate::{ReplicaKey, VoteRequest};
pub(crate) use candidate::Candidate;
pub(crate) use leader::Leader;
pub(crate) use resigned::Resigned;
pub(crate) use unattached::Unattached;

#[derive(Clone, Debug)]
pub(crate) enum State {
    Unattached(Unattached),
    Candidate(Candidate),
    Leader(Leader),
    Resigned(Resigned),
}

impl State {
    pub(crate) fn epoch(&self) -> i32 {
        match self {
            Self::Unattached(state) => state.epoch,
            Self::Candidate(state) => state.epoch,
            Self::Leader(state) => state.epoch,
            Self::Resigned(state) => state.epoch,
        }
    }

    pub(crate) fn leader(&self, local: NodeId) -> Option<NodeId> {
        match self {
            Self::Unattached(state) => state.leader,
            Self::Candidate(_) => None,
            Self::Leader(_) | Self::Resigned(_) => Some(local),
        }
    }

    pub(crate) fn voted(&self) -> Option<ReplicaKey> {
        match self {
            Self::Unattached(state) => state.voted,
            Self::Candidate(state) => Some(state.voted),
            Self::Leader(_) | Self::Resigned(_) => None,
        }
    }

    /// When the next election starts by itself.
    pub(crate) fn election_at(&self) -> MonoMs {
        match self {
            Self::Unattached(state) => state.election_at,
            Self::Resigned(state) => state.election_at,
            Self::Candidate(_) | Self::Leader(_) => MonoMs::NEVER,
        }
    }

    /// Whether to vote for the candidate in this state's own epoch.
    pub(crate) fn grants(&self, request: &VoteRequest, log_up_to_date: bool) -> bool {
        match self {
            Self::Unattached(state) => state.grants(request, log_up_to_date),
            Self::Resigned(state) => state.grants(request, log_up_to_date),
            Self::Candidate(_) | Self::Leader(_) => false,
        }
    }
}
