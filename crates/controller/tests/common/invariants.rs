//! What must hold after every step, whatever was asked.

use std::collections::BTreeSet;

use base::NodeId;
use metadata::{Image, LeaderRecoveryState, Partition};

/// Checks every partition and broker of `after`, and how they came from `before`.
pub fn check(before: &Image, after: &Image) {
    for topic in after.topics.iter() {
        for (index, partition) in topic.partitions() {
            let what = format!("{}-{index}: {partition:?}", topic.name);
            replicas_are_distinct(partition, &what);
            isr_is_among_replicas(partition, &what);
            isr_is_not_empty_without_elr(after, partition, &what);
            leader_is_in_sync_or_none(partition, &what);
            leader_is_not_fenced(after, partition, &what);
            elr_and_isr_are_apart(partition, &what);
            every_replica_has_a_directory(partition, &what);
            recovering_leaders_are_alone(partition, &what);
            if let Some(old) = before.topics.partition(topic.id, index) {
                epochs_never_go_back(old, partition, &what);
                a_new_leader_has_a_new_epoch(old, partition, &what);
                every_change_counts(old, partition, &what);
            }
        }
        names_lead_to_topics(after, topic);
    }
    directories_belong_to_one_broker(after);
}

fn replicas_are_distinct(partition: &Partition, what: &str) {
    let distinct: BTreeSet<_> = partition.replicas.iter().collect();
    assert_eq!(distinct.len(), partition.replicas.len(), "{what}");
    assert!(!partition.replicas.is_empty(), "{what}");
}

fn isr_is_among_replicas(partition: &Partition, what: &str) {
    assert!(partition.isr.iter().all(|id| partition.replicas.contains(id)), "{what}");
    assert_eq!(partition.isr.iter().collect::<BTreeSet<_>>().len(), partition.isr.len(), "{what}");
}

fn isr_is_not_empty_without_elr(image: &Image, partition: &Partition, what: &str) {
    assert!(!partition.isr.is_empty() || image.features.elr_enabled(), "{what}");
}

fn leader_is_in_sync_or_none(partition: &Partition, what: &str) {
    assert!(!partition.has_leader() || partition.isr.contains(&partition.leader), "{what}");
}

fn leader_is_not_fenced(image: &Image, partition: &Partition, what: &str) {
    assert!(!partition.has_leader() || image.cluster.is_unfenced(partition.leader), "{what}");
    // Fenced brokers stay in sync only where they are the last ones.
    let fenced = |id: &NodeId| !image.cluster.is_unfenced(*id);
    assert!(partition.isr.len() <= 1 || !partition.isr.iter().any(fenced), "{what}");
}

fn elr_and_isr_are_apart(partition: &Partition, what: &str) {
    assert!(!partition.elr.iter().any(|id| partition.isr.contains(id)), "{what}");
}

fn every_replica_has_a_directory(partition: &Partition, what: &str) {
    assert_eq!(partition.directories.len(), partition.replicas.len(), "{what}");
}

fn recovering_leaders_are_alone(partition: &Partition, what: &str) {
    let recovering = partition.leader_recovery_state == LeaderRecoveryState::Recovering;
    assert!(!recovering || partition.isr.len() <= 1, "{what}");
}

fn epochs_never_go_back(old: &Partition, new: &Partition, what: &str) {
    assert!(new.partition_epoch >= old.partition_epoch, "{what}");
    assert!(new.leader_epoch >= old.leader_epoch, "{what}");
}

fn a_new_leader_has_a_new_epoch(old: &Partition, new: &Partition, what: &str) {
    assert!(old.leader == new.leader || new.leader_epoch > old.leader_epoch, "{what}");
}

fn every_change_counts(old: &Partition, new: &Partition, what: &str) {
    assert!(old == new || new.partition_epoch > old.partition_epoch, "{what}");
}

fn names_lead_to_topics(image: &Image, topic: &metadata::Topic) {
    assert_eq!(image.topics.id_of(&topic.name), Some(topic.id));
}

fn directories_belong_to_one_broker(image: &Image) {
    let mut seen = BTreeSet::new();
    for broker in image.cluster.brokers.values() {
        assert!(broker.directories.iter().all(|dir| seen.insert(*dir)), "{broker:?}");
    }
}
