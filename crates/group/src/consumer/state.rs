//! A consumer group as its log tells it. Persistent maps: cloning costs little.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Uuid;
use rpds::RedBlackTreeMapSync;

use super::counts::{Counts, Topics};
use super::member::Member;
use crate::assignor::{Partitions, SubscriptionType};
use crate::record::{ConsumerRecord, GroupRecord};

/// The topics that matched a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    pub topics: BTreeSet<Arc<str>>,
    /// Of the metadata that was looked at.
    pub version: i64,
    pub timestamp_ms: i64,
}

/// A group, its members, and what they are to own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumer {
    /// Grows with every change that may need a new assignment.
    pub epoch: i32,
    /// Of the subscribed topics.
    pub metadata_hash: i64,
    /// The group epoch that the target assignment was made for.
    pub assignment_epoch: i32,
    /// When; 0 for never.
    pub assignment_ms: i64,
    pub(crate) members: RedBlackTreeMapSync<Arc<str>, Arc<Member>>,
    pub(crate) targets: RedBlackTreeMapSync<Arc<str>, Arc<Partitions>>,
    pub(crate) resolved: RedBlackTreeMapSync<Arc<str>, Arc<Resolved>>,
    /// A record of older versions that is to be deleted.
    pub(crate) has_partition_metadata: bool,
    // The rest follows from the members and patterns above.
    /// By instance id, the member.
    pub(crate) static_members: RedBlackTreeMapSync<Arc<str>, Arc<str>>,
    pub(crate) topics: Topics,
    /// By pattern, its members.
    pub(crate) patterns: Counts,
    /// By assignor, the members that ask for it.
    pub(crate) assignors: Counts,
    /// By protocol, the classic members that offer it.
    pub(crate) classic_protocols: Counts,
    pub(crate) classic_members: usize,
    /// By partition, the epoch of the member that owns it or has not given it up.
    pub(crate) partition_epochs: RedBlackTreeMapSync<(Uuid, i32), i32>,
}

impl Default for Consumer {
    fn default() -> Self {
        Self {
            epoch: 1,
            metadata_hash: 0,
            assignment_epoch: 1,
            assignment_ms: 0,
            members: RedBlackTreeMapSync::new_sync(),
            targets: RedBlackTreeMapSync::new_sync(),
            resolved: RedBlackTreeMapSync::new_sync(),
            has_partition_metadata: false,
            static_members: RedBlackTreeMapSync::new_sync(),
            topics: RedBlackTreeMapSync::new_sync(),
            patterns: RedBlackTreeMapSync::new_sync(),
            assignors: RedBlackTreeMapSync::new_sync(),
            classic_protocols: RedBlackTreeMapSync::new_sync(),
            classic_members: 0,
            partition_epochs: RedBlackTreeMapSync::new_sync(),
        }
    }
}

impl Consumer {
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Kafka's name of the group's state.
    pub fn state(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(|one| one.is_reconciled_to(self.assignment_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// By id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|member| &**member)
    }

    pub fn member(&self, id: &str) -> Option<&Arc<Member>> {
        self.members.get(id)
    }

    pub fn static_member(&self, instance_id: &str) -> Option<&Arc<Member>> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// Somebody names the topic, or has a pattern that matches it.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// What a member is to own; nothing while it has no target.
    pub fn target(&self, member: &str) -> Arc<Partitions> {
        self.targets.get(member).cloned().unwrap_or_default()
    }

    /// The records that end the group.
    pub(crate) fn tombstones(&self, group: &Arc<str>) -> Vec<GroupRecord> {
        self.tombstones_renamed(group, |member| member)
    }

    /// The same, with other ids for some members.
    pub(super) fn tombstones_renamed<'a>(
        &'a self,
        group: &Arc<str>,
        renamed: impl Fn(&'a Arc<str>) -> &'a Arc<str>,
    ) -> Vec<GroupRecord> {
        let members = || self.members.keys().map(|id| Arc::clone(renamed(id)));
        let current = members().map(|member| ConsumerRecord::Current { member, value: None });
        let targets = members().map(|member| ConsumerRecord::Target { member, value: None });
        let subscriptions =
            members().map(|member| ConsumerRecord::Subscription { member, value: None });
        let patterns = self.resolved.keys();
        let patterns =
            patterns.map(|regex| ConsumerRecord::Regex { regex: Arc::clone(regex), value: None });
        let all = current
            .chain(targets)
            .chain([ConsumerRecord::TargetMetadata { value: None }])
            .chain(subscriptions)
            .chain(patterns)
            .chain([
                ConsumerRecord::PartitionMetadata { present: false },
                ConsumerRecord::EpochTombstone,
            ]);
        all.map(|record| GroupRecord::Consumer { group: Arc::clone(group), record }).collect()
    }

    /// How many partitions somebody holds.
    pub fn held_partitions(&self) -> usize {
        self.partition_epochs.size()
    }

    /// The epoch of whoever holds a partition.
    pub fn partition_epoch(&self, topic: Uuid, partition: i32) -> Option<i32> {
        self.partition_epochs.get(&(topic, partition)).copied()
    }
}

/// Whether all members want the same topics, by Kafka's way of counting.
pub(super) fn subscription_type(
    patterns: &Counts,
    topics: &Topics,
    members: usize,
) -> SubscriptionType {
    let all = |count: u32| usize::try_from(count).is_ok_and(|count| count == members);
    let same = match patterns.first() {
        None => topics.values().all(|count| all(count.by_name)),
        Some((_, count)) if all(*count) => {
            topics.values().all(|count| count.by_regex == 1 && count.by_name == 0)
        }
        Some(_) => false,
    };
    if same { SubscriptionType::Homogeneous } else { SubscriptionType::Heterogeneous }
}
