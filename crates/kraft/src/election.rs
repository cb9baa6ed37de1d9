//! What a node must remember across restarts so that it never votes twice in one epoch: the `quorum-state` file.

use base::NodeId;

use crate::{ReplicaKey, VoterSet};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElectionState {
    pub epoch: i32,
    pub leader: Option<NodeId>,
    pub voted: Option<ReplicaKey>,
    /// Only informative, written by version 0 of the file.
    pub voters: Vec<NodeId>,
}

impl ElectionState {
    /// Before the first election.
    pub fn initial(voters: &VoterSet) -> Self {
        Self { epoch: 0, leader: None, voted: None, voters: voters.ids() }
    }

    pub(crate) fn voted_for(&self, key: ReplicaKey) -> bool {
        self.voted.is_some_and(|voted| {
            voted.id == key.id
                && (voted.directory_id.is_none() || voted.directory_id == key.directory_id)
        })
    }
}
