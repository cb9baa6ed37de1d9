//! The votes of one election, or of one round of pre-votes.

use std::collections::BTreeMap;

use base::NodeId;

use crate::{ReplicaKey, VoterSet};

#[derive(Clone, Debug)]
pub(crate) struct Votes {
    voters: BTreeMap<NodeId, (ReplicaKey, Option<bool>)>,
}

impl Votes {
    /// An election among `voters` in which `local` has voted for itself.
    pub(crate) fn new(voters: &VoterSet, local: NodeId) -> Self {
        let entry = |key: ReplicaKey| (key.id, (key, (key.id == local).then_some(true)));
        Self { voters: voters.iter().map(|voter| entry(voter.key)).collect() }
    }

    /// A voter's answer; the first one counts.
    pub(crate) fn record(&mut self, voter: NodeId, granted: bool) {
        if let Some((_, vote)) = self.voters.get_mut(&voter) {
            vote.get_or_insert(granted);
        }
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.count(|vote| vote == Some(true)) >= self.majority()
    }

    /// Even all votes still to come would not be enough.
    pub(crate) fn is_rejected(&self) -> bool {
        self.count(|vote| vote != Some(false)) < self.majority()
    }

    pub(crate) fn granting(&self) -> Vec<NodeId> {
        let granted = self.voters.iter().filter(|(_, (_, vote))| *vote == Some(true));
        granted.map(|(id, _)| *id).collect()
    }

    /// Voters that have not answered.
    pub(crate) fn missing(&self) -> Vec<ReplicaKey> {
        let missing = self.voters.values().filter(|(_, vote)| vote.is_none());
        missing.map(|(key, _)| *key).collect()
    }

    fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    fn count(&self, of_interest: impl Fn(Option<bool>) -> bool) -> usize {
        self.voters.values().filter(|(_, vote)| of_interest(*vote)).count()
    }
}
