//! What an update means for the replicas of one broker.

use base::{DirectoryId, NodeId, PartitionIndex, TopicIdPartition};

use crate::loader::Update;
use crate::partition::Partition;
use crate::topics::Topic;

/// A partition with its topic, borrowed from an image.
#[derive(Clone, Copy, Debug)]
pub struct LocalPartition<'a> {
    pub topic: &'a Topic,
    pub index: PartitionIndex,
    pub partition: &'a Partition,
}

/// What a broker has to do with its replicas, as Kafka's `LocalReplicaChanges`.
#[derive(Debug, Default)]
pub struct LocalReplicaChanges<'a> {
    /// Partitions of which it held a replica and holds none any more (from the image before).
    pub deletes: Vec<LocalPartition<'a>>,
    /// Partitions it leads that are new or changed.
    pub leaders: Vec<LocalPartition<'a>>,
    /// Those of `leaders` with a new leader epoch.
    pub elected_leaders: Vec<LocalPartition<'a>>,
    /// Partitions it holds without leading that are new or changed.
    pub followers: Vec<LocalPartition<'a>>,
    /// Its replicas whose log directory was told or changed.
    pub directories: Vec<(TopicIdPartition, DirectoryId)>,
}

impl Update {
    /// The changes for the replicas of `node`.
    pub fn local_changes(&self, node: NodeId) -> LocalReplicaChanges<'_> {
        let mut changes = LocalReplicaChanges::default();
        for (id, touched) in &self.delta.topics {
            let before = self.before.topics.by_id(*id);
            let Some(topic) = self.after.topics.by_id(*id) else {
                let gone = before
                    .into_iter()
                    .flat_map(|topic| topic.partitions().map(move |entry| (topic, entry)));
                let held = gone.filter(|(_, (_, partition))| partition.replicas.contains(&node));
                let held = held.map(|(topic, (index, partition))| LocalPartition {
                    topic,
                    index,
                    partition,
                });
                changes.deletes.extend(held);
                continue;
            };
            for index in touched {
                if let Some(partition) = topic.partition(*index) {
                    let now = LocalPartition { topic, index: *index, partition };
                    let old = before.and_then(|topic| {
                        let partition = topic.partition(*index)?;
                        Some(LocalPartition { topic, index: *index, partition })
                    });
                    changes.add(node, now, old);
                }
            }
        }
        changes
    }
}

impl<'a> LocalReplicaChanges<'a> {
    fn add(&mut self, node: NodeId, now: LocalPartition<'a>, before: Option<LocalPartition<'a>>) {
        let Some(directory) = now.partition.directory(node) else {
            self.deletes.extend(before.filter(|before| before.partition.replicas.contains(&node)));
            return;
        };
        let old = before.map(|before| before.partition);
        if old.is_none_or(|old| old.partition_epoch != now.partition.partition_epoch) {
            if now.partition.leader == node {
                self.leaders.push(now);
                if old.is_none_or(|old| old.leader_epoch != now.partition.leader_epoch) {
                    self.elected_leaders.push(now);
                }
            } else {
                self.followers.push(now);
            }
        }
        if old.and_then(|old| old.directory(node)) != Some(directory) {
            self.directories.push((TopicIdPartition::new(now.topic.id, now.index), directory));
        }
    }
}
