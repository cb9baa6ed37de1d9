//! One change of a partition as a record: where elections, eligible leaders and finished reassignments are decided.
//! Everything that changes a partition comes through here.

use std::collections::{BTreeMap, BTreeSet};

use base::{DirectoryId, NodeId, PartitionIndex, Uuid};
use metadata::{LeaderRecoveryState, Partition, Topic};
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;

use crate::effective;
use crate::handle::Controller;

/// In the record: the leader stays.
const NO_CHANGE: i32 = -2;

/// Who may be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Election {
    /// The preferred leader if it can, though another one leads.
    Preferred,
    /// Whoever leads, or the first in sync.
    Online,
    /// If nobody in sync can lead, whoever is there: records may be lost.
    Unclean,
}

/// A change in the making; without further ado it repairs what is broken and is nothing otherwise.
pub(crate) struct PartitionChange<'a> {
    controller: &'a Controller,
    topic: &'a Topic,
    index: PartitionIndex,
    partition: &'a Partition,
    acceptable: Box<dyn Fn(NodeId) -> bool + 'a>,
    election: Election,
    elr_enabled: bool,
    min_isr: usize,
    isr: Vec<NodeId>,
    replicas: Vec<NodeId>,
    removing: Vec<NodeId>,
    adding: Vec<NodeId>,
    elr: Vec<NodeId>,
    lost_by_unclean_shutdown: Option<NodeId>,
    lost_directories: (NodeId, &'a [DirectoryId]),
    recovery: LeaderRecoveryState,
    directories: BTreeMap<NodeId, DirectoryId>,
}

impl<'a> PartitionChange<'a> {
    /// A change of an existing partition; `None` when there is none with this index.
    pub(crate) fn of(
        controller: &'a Controller,
        topic: &'a Topic,
        index: PartitionIndex,
    ) -> Option<Self> {
        let partition = topic.partition(index)?;
        let pairs = partition.replicas.iter().copied().zip(partition.directories.iter().copied());
        Some(Self {
            controller,
            topic,
            index,
            partition,
            acceptable: Box::new(move |id| controller.image().cluster.is_active(id)),
            election: Election::Online,
            elr_enabled: controller.image().features.elr_enabled(),
            min_isr: effective::min_insync_replicas(controller, topic),
            isr: partition.isr.to_vec(),
            replicas: partition.replicas.to_vec(),
            removing: partition.removing_replicas.to_vec(),
            adding: partition.adding_replicas.to_vec(),
            elr: partition.elr.to_vec(),
            lost_by_unclean_shutdown: None,
            lost_directories: (NodeId::NONE, &[]),
            recovery: partition.leader_recovery_state,
            directories: pairs.collect(),
        })
    }

    /// Other rules for who may lead than being active.
    pub(crate) fn accepting(mut self, acceptable: impl Fn(NodeId) -> bool + 'a) -> Self {
        self.acceptable = Box::new(acceptable);
        self
    }

    pub(crate) fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    /// Unclean elections where the topic's configuration allows them.
    pub(crate) fn unclean_where_allowed(self) -> Self {
        if effective::unclean_leader_election(self.controller, &self.topic.name) {
            self.election(Election::Unclean)
        } else {
            self
        }
    }

    pub(crate) fn isr(mut self, isr: Vec<NodeId>) -> Self {
        self.isr = isr;
        self
    }

    pub(crate) fn replicas(mut self, replicas: Vec<NodeId>) -> Self {
        self.replicas = replicas;
        self
    }

    pub(crate) fn removing(mut self, removing: Vec<NodeId>) -> Self {
        self.removing = removing;
        self
    }

    pub(crate) fn adding(mut self, adding: Vec<NodeId>) -> Self {
        self.adding = adding;
        self
    }

    pub(crate) fn recovery(mut self, state: LeaderRecoveryState) -> Self {
        self.recovery = state;
        self
    }

    pub(crate) fn directory(mut self, replica: NodeId, directory: DirectoryId) -> Self {
        self.directories.insert(replica, directory);
        self
    }

    /// Directories of `replica` that broke and are not known to be broken yet.
    pub(crate) fn losing(mut self, replica: NodeId, directories: &'a [DirectoryId]) -> Self {
        self.lost_directories = (replica, directories);
        self
    }

    /// `replica` came back without having shut down cleanly: it cannot be an eligible leader.
    pub(crate) fn lost_by_unclean_shutdown(mut self, replica: NodeId) -> Self {
        self.lost_by_unclean_shutdown = Some(replica);
        self
    }

    /// The record, or `None` when nothing changes.
    pub(crate) fn build(mut self) -> Option<PartitionChangeRecord> {
        let mut record = PartitionChangeRecord {
            partition_id: self.index.0,
            topic_id: self.topic.id,
            ..Default::default()
        };
        let nothing = record.clone();
        self.complete_reassignment();
        self.populate_elr();
        self.elect(&mut record);
        if record.leader == NO_CHANGE && !contains_all(&self.replicas, &self.partition.replicas) {
            // A replica was taken away: the new epoch keeps it from acting on.
            record.leader = self.partition.leader.0;
        }
        self.write_elr(&mut record);
        if record.isr.is_none()
            && (!self.isr.is_empty() || self.elr_enabled)
            && *self.isr != *self.partition.isr
        {
            record.isr = Some(numbers(&self.isr));
        }
        let shrinks = record.isr.is_some() && !contains_all(&self.isr, &self.partition.isr);
        if record.leader == NO_CHANGE
            && shrinks
            && self.controller.metadata_version().bumps_leader_epoch_on_isr_shrink()
        {
            record.leader = self.partition.leader.0;
        }
        self.write_last_known_leader(&mut record);
        self.write_assignment(&mut record);
        if self.recovery != self.partition.leader_recovery_state {
            record.leader_recovery_state = self.recovery.code();
        }
        (record != nothing).then_some(record)
    }

    /// Drops the replicas to remove once all that were to be added are in sync.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |id: &NodeId| !self.removing.contains(id);
        let isr: Vec<NodeId> = self.isr.iter().copied().filter(stays).collect();
        let replicas: Vec<NodeId> = self.replicas.iter().copied().filter(stays).collect();
        if !self.removing.is_empty() && (isr.is_empty() || replicas.is_empty())
            || !contains_all(&isr, &self.adding)
        {
            return;
        }
        // Fewer replicas than before: do not go below what the new set promises.
        if self.adding.len() < self.removing.len() && !contains_all(&isr, &replicas) {
            return;
        }
        (self.isr, self.replicas) = (isr, replicas);
        self.removing.clear();
        self.adding.clear();
    }

    /// Below `min.insync.replicas` those who leave the in-sync set stay eligible (KIP-966).
    fn populate_elr(&mut self) {
        if !self.elr_enabled {
            return;
        }
        if self.isr.len() >= self.min_isr {
            self.elr.clear();
            return;
        }
        let candidates: BTreeSet<NodeId> =
            self.elr.iter().chain(&*self.partition.isr).copied().collect();
        // Who was taken away by a reassignment may still stand here; coming back, it holds nothing.
        let is_new =
            |id: &NodeId| self.replicas.contains(id) && !self.partition.replicas.contains(id);
        let eligible = |id: &NodeId| {
            !self.isr.contains(id) && self.lost_by_unclean_shutdown != Some(*id) && !is_new(id)
        };
        self.elr = candidates.into_iter().filter(eligible).collect();
    }

    /// Acceptable, and its directory is not broken.
    fn is_acceptable(&self, id: NodeId) -> bool {
        let online = |directory| {
            let broker = self.controller.image().cluster.broker(id);
            let (losing, lost) = self.lost_directories;
            broker.is_some_and(|broker| broker.has_online_directory(directory))
                && !(losing == id && lost.contains(&directory))
        };
        (self.acceptable)(id) && self.partition.directory(id).is_some_and(online)
    }

    fn can_lead(&self, id: NodeId) -> bool {
        let in_sync = self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
        in_sync && self.is_acceptable(id)
    }

    /// With nobody in sync or eligible, the only leader known last may come back: its loss is the least.
    fn last_known_leader(&self) -> Option<NodeId> {
        match &*self.partition.last_known_elr {
            [last] if self.elr_enabled && self.elr.is_empty() && self.isr.is_empty() => {
                self.is_acceptable(*last).then_some(*last)
            }
            _ => None,
        }
    }

    /// Who shall lead, and whether that may lose records.
    fn choose_leader(&self) -> (NodeId, bool) {
        let preferred = (self.election == Election::Preferred)
            .then(|| self.replicas.first().copied())
            .flatten();
        let mut clean = preferred
            .into_iter()
            .chain([self.partition.leader])
            .chain(self.replicas.iter().copied());
        if let Some(leader) = clean.find(|id| self.can_lead(*id)) {
            return (leader, false);
        }
        if let Some(last) = self.last_known_leader() {
            return (last, true);
        }
        let anyone = || self.replicas.iter().copied().find(|id| self.is_acceptable(*id));
        match (self.election == Election::Unclean).then(anyone).flatten() {
            Some(leader) => (leader, true),
            None => (NodeId::NONE, false),
        }
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let (leader, unclean) = self.choose_leader();
        if leader == self.partition.leader {
            return;
        }
        if self.elr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|id| *id != leader);
        }
        record.leader = leader.0;
        if unclean {
            record.isr = Some(vec![leader.0]);
            if self.partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                record.leader_recovery_state = LeaderRecoveryState::Recovering.code();
            }
        }
    }

    fn write_elr(&mut self, record: &mut PartitionChangeRecord) {
        // An unclean election has set the in-sync set already: nobody else is eligible any more.
        if record.isr.is_some() || !self.elr_enabled {
            self.elr.clear();
        }
        if *self.elr != *self.partition.elr {
            record.eligible_leader_replicas = Some(numbers(&self.elr));
        }
    }

    fn write_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.elr_enabled {
            return;
        }
        let none_known = self.partition.last_known_elr.is_empty();
        if record.leader == NodeId::NONE.0 && none_known {
            record.last_known_elr = Some(vec![self.partition.leader.0]);
        } else if record.leader >= 0 && !none_known {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn write_assignment(&self, record: &mut PartitionChangeRecord) {
        if !self.replicas.is_empty() {
            if self.controller.metadata_version().supports_directory_assignment() {
                let directory = |id: &NodeId| {
                    let known = self.directories.get(id).copied();
                    known.unwrap_or_else(|| default_directory(self.controller, *id))
                };
                let directories: Vec<DirectoryId> = self.replicas.iter().map(directory).collect();
                if *directories != *self.partition.directories {
                    record.directories = Some(directories);
                }
            }
            if *self.replicas != *self.partition.replicas {
                record.replicas = Some(numbers(&self.replicas));
            }
        }
        if *self.removing != *self.partition.removing_replicas {
            record.removing_replicas = Some(numbers(&self.removing));
        }
        if *self.adding != *self.partition.adding_replicas {
            record.adding_replicas = Some(numbers(&self.adding));
        }
    }
}

/// The directory of a new replica, as far as the controller can know it.
pub(crate) fn default_directory(controller: &Controller, id: NodeId) -> DirectoryId {
    if !controller.metadata_version().supports_directory_assignment() {
        return Uuid::DIR_MIGRATING;
    }
    let broker = controller.image().cluster.broker(id);
    broker.map_or(Uuid::DIR_UNASSIGNED, metadata::BrokerRegistration::default_directory)
}

fn contains_all(set: &[NodeId], wanted: &[NodeId]) -> bool {
    wanted.iter().all(|id| set.contains(id))
}

fn numbers(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}
