//! The state of one partition.

use base::{DirectoryId, LeaderEpoch, NodeId, PartitionEpoch, TopicId, Uuid};
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;
use protocol::metadata_records::partition_record::PartitionRecord;

use crate::ReplayError;

/// Whether the leader still has to recover from an unclean election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(i8)]
pub enum LeaderRecoveryState {
    #[default]
    Recovered = 0,
    Recovering = 1,
}

impl LeaderRecoveryState {
    pub const fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }

    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// Where a partition lives and who leads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The first one is the preferred leader.
    pub replicas: Box<[NodeId]>,
    /// The log directory of each replica, in the order of `replicas`.
    pub directories: Box<[DirectoryId]>,
    pub isr: Box<[NodeId]>,
    pub removing_replicas: Box<[NodeId]>,
    pub adding_replicas: Box<[NodeId]>,
    /// Out of the in-sync set, yet complete up to the high watermark (KIP-966).
    pub elr: Box<[NodeId]>,
    pub last_known_elr: Box<[NodeId]>,
    /// `NodeId::NONE` while nobody leads.
    pub leader: NodeId,
    pub leader_recovery_state: LeaderRecoveryState,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
}

/// In `PartitionChangeRecord`: the leader stays.
pub(crate) const NO_LEADER_CHANGE: i32 = -2;
/// In `PartitionChangeRecord`: the recovery state stays.
const NO_RECOVERY_CHANGE: i8 = -1;

fn nodes(ids: &[i32]) -> Box<[NodeId]> {
    ids.iter().copied().map(NodeId).collect()
}

fn numbers(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

/// Directories never told, or all "migrating", become one "migrating" per replica.
fn or_migrating(directories: &[DirectoryId], replicas: usize) -> Box<[DirectoryId]> {
    if directories.iter().all(|directory| *directory == Uuid::DIR_MIGRATING) {
        vec![Uuid::DIR_MIGRATING; replicas].into()
    } else {
        directories.into()
    }
}

impl Partition {
    pub fn has_leader(&self) -> bool {
        self.leader != NodeId::NONE
    }

    pub fn preferred_leader(&self) -> NodeId {
        self.replicas.first().copied().unwrap_or(NodeId::NONE)
    }

    pub fn has_preferred_leader(&self) -> bool {
        self.leader == self.preferred_leader()
    }

    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }

    /// The log directory of a replica; `None` for a node that holds none.
    pub fn directory(&self, replica: NodeId) -> Option<DirectoryId> {
        let position = self.replicas.iter().position(|id| *id == replica)?;
        self.directories.get(position).copied()
    }

    /// As a record says, checked as Kafka does.
    pub fn from_record(record: &PartitionRecord) -> Result<Self, ReplayError> {
        Self {
            replicas: nodes(&record.replicas),
            directories: or_migrating(&record.directories, record.replicas.len()),
            isr: nodes(&record.isr),
            removing_replicas: nodes(&record.removing_replicas),
            adding_replicas: nodes(&record.adding_replicas),
            elr: nodes(record.eligible_leader_replicas.as_deref().unwrap_or_default()),
            last_known_elr: nodes(record.last_known_elr.as_deref().unwrap_or_default()),
            leader: NodeId(record.leader),
            leader_recovery_state: recovery_state(record.leader_recovery_state)?,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
        }
        .checked(record.topic_id, record.partition_id)
    }

    /// After a change: absent fields stay, the partition epoch counts up, and the leader epoch whenever the record
    /// names a leader.
    pub fn changed(&self, record: &PartitionChangeRecord) -> Result<Self, ReplayError> {
        let or_old = |new: &Option<Vec<i32>>, old: &[NodeId]| {
            new.as_deref().map_or_else(|| old.into(), nodes)
        };
        let replicas = or_old(&record.replicas, &self.replicas);
        let directories = record.directories.as_deref().unwrap_or(&self.directories);
        let names_leader = record.leader != NO_LEADER_CHANGE;
        Self {
            directories: or_migrating(directories, replicas.len()),
            replicas,
            isr: or_old(&record.isr, &self.isr),
            removing_replicas: or_old(&record.removing_replicas, &self.removing_replicas),
            adding_replicas: or_old(&record.adding_replicas, &self.adding_replicas),
            elr: or_old(&record.eligible_leader_replicas, &self.elr),
            last_known_elr: or_old(&record.last_known_elr, &self.last_known_elr),
            leader: if names_leader { NodeId(record.leader) } else { self.leader },
            leader_recovery_state: match record.leader_recovery_state {
                NO_RECOVERY_CHANGE => self.leader_recovery_state,
                code => recovery_state(code)?,
            },
            leader_epoch: LeaderEpoch(self.leader_epoch.0.saturating_add(i32::from(names_leader))),
            partition_epoch: PartitionEpoch(self.partition_epoch.0.saturating_add(1)),
        }
        .checked(record.topic_id, record.partition_id)
    }

    fn checked(self, topic_id: TopicId, partition: i32) -> Result<Self, ReplayError> {
        let (replicas, directories) = (self.replicas.len(), self.directories.len());
        if directories > 0 && directories != replicas {
            return Err(ReplayError::Directories { topic_id, partition, replicas, directories });
        }
        Ok(self)
    }

    /// The whole state as a record. The eligible leaders are written only where the feature is on, the directories
    /// only where the log can hold them.
    pub fn to_record(
        &self,
        topic_id: TopicId,
        partition: i32,
        elr: bool,
        directories: bool,
    ) -> PartitionRecord {
        let elr_of = |ids: &[NodeId]| (elr && !ids.is_empty()).then(|| numbers(ids));
        PartitionRecord {
            partition_id: partition,
            topic_id,
            replicas: numbers(&self.replicas),
            isr: numbers(&self.isr),
            removing_replicas: numbers(&self.removing_replicas),
            adding_replicas: numbers(&self.adding_replicas),
            leader: self.leader.0,
            leader_recovery_state: self.leader_recovery_state.code(),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch.0,
            directories: if directories { self.directories.to_vec() } else { Vec::new() },
            eligible_leader_replicas: elr_of(&self.elr),
            last_known_elr: elr_of(&self.last_known_elr),
            ..Default::default()
        }
    }
}

fn recovery_state(code: i8) -> Result<LeaderRecoveryState, ReplayError> {
    LeaderRecoveryState::from_code(code).ok_or(ReplayError::LeaderRecoveryState { code })
}
