//! What must hold of the cluster's state, whoever changed it: shared by tests and simulation.
//!
//! Some of it holds from one record to the next, some from one decision of the controller to the next: the records of
//! one decision are all made from the state before it.

use std::collections::BTreeSet;

use base::{NodeId, PartitionIndex};
use metadata::{ConfigResource, ConfigResourceType, Image, LeaderRecoveryState, Partition, Topic};
use protocol::metadata_records::MetadataRecord;

use crate::effective::MIN_INSYNC_REPLICAS;

type Checked = Result<(), String>;

/// Checks everything that holds between decisions: all partitions, topics and brokers of `after`, and how they came
/// from `before`, one decision (or none) earlier.
pub fn check(before: &Image, after: &Image) -> Checked {
    for topic in after.topics.iter() {
        names_lead_to_topics(after, topic)?;
        for (index, new) in topic.partitions() {
            let old = before.topics.partition(topic.id, index);
            if old == Some(new) && before.cluster == after.cluster {
                continue;
            }
            Change { before, after, topic, old, new }.tell(index, Change::check_decision)?;
        }
    }
    directories_belong_to_one_broker(after)
}

/// Checks what `record` alone changed: `before` and `after` are one record apart.
pub fn check_record(before: &Image, after: &Image, record: &MetadataRecord<'_>) -> Checked {
    let (topic, index) = match record {
        MetadataRecord::Partition(r) => (r.topic_id, r.partition_id),
        MetadataRecord::PartitionChange(r) => (r.topic_id, r.partition_id),
        _ => return Ok(()),
    };
    let index = PartitionIndex(index);
    let Some(topic) = after.topics.by_id(topic) else { return Ok(()) };
    let Some(new) = topic.partition(index) else { return Ok(()) };
    let old = before.topics.partition(topic.id, index);
    Change { before, after, topic, old, new }.tell(index, Change::check_record)
}

/// One partition before and after a record.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub before: &'a Image,
    pub after: &'a Image,
    pub topic: &'a Topic,
    /// `None` for a new partition.
    pub old: Option<&'a Partition>,
    pub new: &'a Partition,
}

impl Change<'_> {
    /// From one record to the next.
    pub fn check_record(&self) -> Checked {
        self.check_state()?;
        self.epochs_count_changes()?;
        self.a_new_leader_has_a_new_epoch()
    }

    /// From one decision to the next.
    pub fn check_decision(&self) -> Checked {
        self.check_state()?;
        leader_is_unfenced(self.after, self.new)?;
        self.a_new_leader_has_a_new_epoch()?;
        self.isr_empties_only_with_elr()?;
        self.only_active_brokers_enter_the_isr()?;
        self.elr_only_below_min_isr()?;
        self.clean_leaders_were_in_sync_or_eligible()?;
        self.nobody_becomes_eligible_from_outside()
    }

    /// At any time.
    pub fn check_state(&self) -> Checked {
        replicas_are_distinct(self.new)?;
        isr_is_among_replicas(self.new)?;
        elr_and_isr_are_apart(self.new)?;
        leader_is_in_sync(self.new)?;
        every_replica_has_a_directory(self.new)?;
        recovering_leaders_are_alone(self.new)
    }

    fn tell(&self, index: PartitionIndex, check: impl Fn(&Self) -> Checked) -> Checked {
        let Self { topic, old, new, .. } = self;
        check(self).map_err(|why| format!("{}-{index}: {why}: {old:?} -> {new:?}", topic.name))
    }

    /// The partition epoch grows by one with each change, the leader epoch by at most one, and neither goes back.
    pub fn epochs_count_changes(&self) -> Checked {
        let Some(old) = self.old else { return Ok(()) };
        let steps = self.new.partition_epoch.0.checked_sub(old.partition_epoch.0);
        let wanted = i32::from(old != self.new);
        hold(steps == Some(wanted), "the partition epoch does not count the change")?;
        let steps = self.new.leader_epoch.0.checked_sub(old.leader_epoch.0);
        hold(matches!(steps, Some(0 | 1)), "the leader epoch leaps or goes back")
    }

    /// Only where replicas can be eligible does the last one leave the in-sync set.
    pub fn isr_empties_only_with_elr(&self) -> Checked {
        let was_empty = self.old.is_some_and(|old| old.isr.is_empty());
        let may = was_empty || self.after.features.elr_enabled();
        hold(may || !self.new.isr.is_empty(), "nobody is in sync")
    }

    /// No two leaders in one epoch.
    pub fn a_new_leader_has_a_new_epoch(&self) -> Checked {
        let Some(old) = self.old else { return Ok(()) };
        let same_epoch = old.leader_epoch == self.new.leader_epoch;
        hold(!same_epoch || old.leader == self.new.leader, "two leaders in one epoch")
    }

    /// Neither fenced nor leaving brokers enter the in-sync set; they may be left in it as the last ones.
    ///
    /// One exception is Kafka's: a broker that asked to shut down, was let go, and then wants to be unfenced without
    /// registering anew, still counts as leaving; it may lead what nobody led.
    pub fn only_active_brokers_enter_the_isr(&self) -> Checked {
        let was_in = |id: &NodeId| self.old.is_some_and(|old| old.isr.contains(id));
        let came_back = |id: NodeId| {
            let unled = self.old.is_some_and(|old| !old.has_leader());
            unled && id == self.new.leader && self.after.cluster.is_unfenced(id)
        };
        let may =
            |id: &NodeId| self.after.cluster.is_active(*id) || came_back(*id) || self.reverted(*id);
        let mut entering = self.new.isr.iter().filter(|id| !was_in(id));
        hold(entering.all(may), "an inactive broker enters the ISR")
    }

    /// A reassignment was cancelled with none of the original replicas in sync: the first of them is put there, whether
    /// it lives or not. Only where unclean elections are allowed.
    fn reverted(&self, id: NodeId) -> bool {
        let cancelled = |old: &Partition| old.is_reassigning() && !self.new.is_reassigning();
        self.old.is_some_and(cancelled) && *self.new.isr == [id]
    }

    /// Once enough replicas are in sync nobody else is eligible; checked where an in-sync set changes under its leader.
    /// (An election from the ELR leaves the others there, whatever the minimum.)
    pub fn elr_only_below_min_isr(&self) -> Checked {
        let changes = |old: &Partition| old.isr != self.new.isr && old.leader == self.new.leader;
        if !self.old.is_some_and(changes) {
            return Ok(());
        }
        let Some(min_isr) = configured_min_isr(self.before, self.topic) else { return Ok(()) };
        let enough = self.new.isr.len() >= min_isr.min(factor(self.before, self.topic));
        hold(!enough || self.new.elr.is_empty(), "eligible replicas beside a sufficient ISR")
    }

    /// Who takes over without having to recover held everything that was committed.
    pub fn clean_leaders_were_in_sync_or_eligible(&self) -> Checked {
        let Some(old) = self.old else { return Ok(()) };
        let leader = self.new.leader;
        let stays = !self.new.has_leader() || leader == old.leader;
        let unclean = self.new.leader_recovery_state == LeaderRecoveryState::Recovering;
        let complete = old.isr.contains(&leader) || old.elr.contains(&leader);
        // The leader itself reported its successor as in sync: one that a reassignment takes away, or whose directory
        // broke.
        let reported = old.has_leader()
            && self.new.isr.contains(&leader)
            && (self.new.isr.contains(&old.leader)
                || !self.new.is_reassigning() && old.is_reassigning());
        let complete = complete || reported || self.reverted(leader);
        hold(stays || unclean || complete, "a leader from outside without recovery")
    }

    /// Eligible is only who was in sync or eligible before, and not as a new replica: replicas that a reassignment
    /// took away may still stand in the ELR, and hold nothing when they come back.
    pub fn nobody_becomes_eligible_from_outside(&self) -> Checked {
        let known =
            |id: &NodeId| self.old.is_some_and(|old| old.isr.contains(id) || old.elr.contains(id));
        hold(self.new.elr.iter().all(known), "eligible without having been in sync")
    }
}

fn hold(holds: bool, otherwise: &str) -> Checked {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn are_distinct(ids: &[NodeId]) -> bool {
    ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
}

/// There are replicas, each once.
pub fn replicas_are_distinct(partition: &Partition) -> Checked {
    let replicas = &partition.replicas;
    hold(!replicas.is_empty() && are_distinct(replicas), "replicas are missing or doubled")
}

pub fn isr_is_among_replicas(partition: &Partition) -> Checked {
    let among = partition.isr.iter().all(|id| partition.replicas.contains(id));
    hold(among && are_distinct(&partition.isr), "the ISR is not a part of the replicas")
}

pub fn elr_and_isr_are_apart(partition: &Partition) -> Checked {
    let overlaps = partition.elr.iter().any(|id| partition.isr.contains(id));
    hold(!overlaps && are_distinct(&partition.elr), "the ELR overlaps the ISR or itself")
}

pub fn leader_is_in_sync(partition: &Partition) -> Checked {
    let in_sync = partition.isr.contains(&partition.leader);
    hold(!partition.has_leader() || in_sync, "the leader is not in sync")
}

pub fn every_replica_has_a_directory(partition: &Partition) -> Checked {
    let complete = partition.directories.len() == partition.replicas.len();
    hold(complete, "replicas without a directory")
}

/// A leader that lost records has nobody in sync with it until it has recovered.
pub fn recovering_leaders_are_alone(partition: &Partition) -> Checked {
    let recovering = partition.leader_recovery_state == LeaderRecoveryState::Recovering;
    hold(!recovering || partition.isr.len() <= 1, "a recovering leader is not alone in the ISR")
}

/// Fenced brokers lead nothing, and are in sync only as the last ones.
pub fn leader_is_unfenced(image: &Image, partition: &Partition) -> Checked {
    let unfenced = |id: NodeId| image.cluster.is_unfenced(id);
    hold(!partition.has_leader() || unfenced(partition.leader), "a fenced broker leads")?;
    let all = partition.isr.iter().all(|id| unfenced(*id));
    hold(partition.isr.len() <= 1 || all, "a fenced broker is in sync")
}

pub fn names_lead_to_topics(image: &Image, topic: &Topic) -> Checked {
    hold(image.topics.id_of(&topic.name) == Some(topic.id), "a name leads to another topic")
}

pub fn directories_belong_to_one_broker(image: &Image) -> Checked {
    let mut seen = BTreeSet::new();
    let mut directories = image.cluster.brokers.values().flat_map(|broker| &*broker.directories);
    hold(directories.all(|directory| seen.insert(*directory)), "two brokers share a directory")
}

/// What the topic or the cluster says; `None` where a node's own configuration decides.
fn configured_min_isr(image: &Image, topic: &Topic) -> Option<usize> {
    let cluster = ConfigResource::new(ConfigResourceType::Broker, "");
    let layers = [ConfigResource::topic(&*topic.name), cluster];
    let mut found =
        layers.iter().filter_map(|layer| image.configs.value(layer, MIN_INSYNC_REPLICAS));
    found.next()?.trim().parse().ok()
}

fn factor(image: &Image, topic: &Topic) -> usize {
    let first = image.topics.partition(topic.id, PartitionIndex(0));
    first.map_or(0, |partition| partition.replicas.len())
}
