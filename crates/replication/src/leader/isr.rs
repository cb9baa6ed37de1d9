//! The in-sync replicas as the leader knows them: what is committed, and a change that the controller was asked for.
//!
//! While a change is under way nobody knows whether it holds already. The watermark therefore waits for everyone who may be in
//! sync, the "maximal ISR": an addition counts from its proposal on, a removal from its commit on.

use base::{BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch};

/// What the controller is asked to commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsrProposal {
    /// Counts this leader's proposals; an answer names the one that it answers.
    pub id: u64,
    pub leader_epoch: LeaderEpoch,
    /// The state that is changed; the controller refuses when it has a newer one.
    pub partition_epoch: PartitionEpoch,
    /// With the registration under which each of them fetches; the leader's own is for the sender to fill in.
    pub isr: Vec<(NodeId, BrokerEpoch)>,
}

/// What came of a proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IsrAnswer {
    /// The partition's state at the controller; the proposal is part of it.
    Committed { leader_epoch: LeaderEpoch, partition_epoch: PartitionEpoch, isr: Vec<NodeId> },
    /// Refused for certain, and never applied: INELIGIBLE_REPLICA, OPERATION_NOT_ATTEMPTED.
    Refused,
    /// The controller knows another state, which the metadata log will tell: FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION,
    /// INVALID_REQUEST, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, NEW_LEADER_ELECTED.
    Outdated,
    /// It is not known whether it was applied; it is asked again.
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    Expand(NodeId),
    Shrink,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Pending {
    change: Change,
    proposal: IsrProposal,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct InSync {
    committed: Vec<NodeId>,
    partition_epoch: PartitionEpoch,
    pending: Option<Pending>,
    proposals: u64,
}

impl InSync {
    pub fn new(committed: Vec<NodeId>, partition_epoch: PartitionEpoch) -> Self {
        Self { committed, partition_epoch, pending: None, proposals: 0 }
    }

    pub fn committed(&self) -> &[NodeId] {
        &self.committed
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    pub fn proposal(&self) -> Option<&IsrProposal> {
        self.pending.as_ref().map(|pending| &pending.proposal)
    }

    /// Whether the replica is, or may be by now, in sync.
    pub fn maximal_contains(&self, id: NodeId) -> bool {
        self.committed.contains(&id) || self.joining() == Some(id)
    }

    pub fn maximal_len(&self) -> usize {
        let joins = self.joining().is_some_and(|id| !self.committed.contains(&id));
        self.committed.len() + usize::from(joins)
    }

    fn joining(&self) -> Option<NodeId> {
        match self.pending.as_ref()?.change {
            Change::Expand(id) => Some(id),
            Change::Shrink => None,
        }
    }

    /// The metadata log says so: whatever was asked for is answered by it.
    pub fn commit(&mut self, committed: Vec<NodeId>, partition_epoch: PartitionEpoch) {
        self.committed = committed;
        self.partition_epoch = partition_epoch;
        self.pending = None;
    }

    pub fn expand(
        &mut self,
        id: NodeId,
        leader_epoch: LeaderEpoch,
        epoch_of: impl Fn(NodeId) -> BrokerEpoch,
    ) -> IsrProposal {
        let mut isr = self.committed.clone();
        isr.push(id);
        self.propose(Change::Expand(id), isr, leader_epoch, epoch_of)
    }

    pub fn shrink(
        &mut self,
        gone: &[NodeId],
        leader_epoch: LeaderEpoch,
        epoch_of: impl Fn(NodeId) -> BrokerEpoch,
    ) -> IsrProposal {
        let isr = self.committed.iter().copied().filter(|id| !gone.contains(id)).collect();
        self.propose(Change::Shrink, isr, leader_epoch, epoch_of)
    }

    fn propose(
        &mut self,
        change: Change,
        isr: Vec<NodeId>,
        leader_epoch: LeaderEpoch,
        epoch_of: impl Fn(NodeId) -> BrokerEpoch,
    ) -> IsrProposal {
        self.proposals += 1;
        let proposal = IsrProposal {
            id: self.proposals,
            leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: isr.into_iter().map(|id| (id, epoch_of(id))).collect(),
        };
        self.pending = Some(Pending { change, proposal: proposal.clone() });
        proposal
    }

    /// Takes the answer to the proposal `id`. Gives the proposal when it is to be sent again.
    pub fn answered(
        &mut self,
        id: u64,
        leader_epoch: LeaderEpoch,
        answer: IsrAnswer,
    ) -> Option<IsrProposal> {
        // What the metadata log has overtaken is not waited for any more.
        let proposal = self.proposal().filter(|proposal| proposal.id == id)?.clone();
        match answer {
            IsrAnswer::Committed { leader_epoch: epoch, partition_epoch, isr } => {
                if epoch == leader_epoch && partition_epoch >= self.partition_epoch {
                    self.commit(isr, partition_epoch);
                }
                None
            }
            IsrAnswer::Refused => {
                self.pending = None;
                None
            }
            IsrAnswer::Outdated => None,
            IsrAnswer::Unknown => Some(proposal),
        }
    }
}
