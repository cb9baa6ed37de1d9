//! Topics and their partitions, by id and by name.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Bound;
use std::sync::Arc;

use base::{PartitionIndex, TopicId};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync, VectorSync};

use crate::ReplayError;
use crate::partition::Partition;

/// Seeded the same everywhere, so that every run walks a map in the same order.
type FixedHasher = BuildHasherDefault<DefaultHasher>;
type IdMap<V> = HashTrieMapSync<TopicId, V, FixedHasher>;

/// How far a partition may lie beyond the last known one: records of one topic arrive nearly in order.
const MAX_PARTITION_GAP: usize = 1_000;

/// A topic. O(1) to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    pub id: TopicId,
    pub name: Arc<str>,
    /// By index. A hole is a partition whose record has not come yet.
    partitions: VectorSync<Option<Partition>>,
}

impl Topic {
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.0).ok()?)?.as_ref()
    }

    /// All partitions, ascending.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionIndex, &Partition)> {
        let indexed = (0..).map(PartitionIndex).zip(self.partitions.iter());
        indexed.filter_map(|(index, partition)| Some((index, partition.as_ref()?)))
    }

    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    fn put(&mut self, index: PartitionIndex, partition: Partition) -> Result<(), ReplayError> {
        let out_of_range = || ReplayError::PartitionIndex { topic_id: self.id, partition: index.0 };
        let position = usize::try_from(index.0).map_err(|_| out_of_range())?;
        if position > self.partitions.len() + MAX_PARTITION_GAP {
            return Err(out_of_range());
        }
        while self.partitions.len() <= position {
            self.partitions.push_back_mut(None);
        }
        self.partitions.set_mut(position, Some(partition));
        Ok(())
    }
}

/// All topics.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    by_id: IdMap<Topic>,
    by_name: RedBlackTreeMapSync<Arc<str>, TopicId>,
}

impl PartialEq for Topics {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id
    }
}

impl Topics {
    pub fn by_id(&self, id: TopicId) -> Option<&Topic> {
        self.by_id.get(&id)
    }

    pub fn by_name(&self, name: &str) -> Option<&Topic> {
        self.by_id.get(self.by_name.get(name)?)
    }

    pub fn id_of(&self, name: &str) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    pub fn partition(&self, id: TopicId, index: PartitionIndex) -> Option<&Partition> {
        self.by_id(id)?.partition(index)
    }

    pub fn len(&self) -> usize {
        self.by_id.size()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All topics, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// The topics from `name` on (included), sorted by name.
    pub fn from_name(&self, name: &str) -> impl Iterator<Item = &Topic> {
        let range = self.by_name.range::<str, _>((Bound::Included(name), Bound::Unbounded));
        range.filter_map(|(_, id)| self.by_id.get(id))
    }

    /// Adds a topic without partitions; its name and id must be new.
    pub(crate) fn create(&mut self, name: &str, id: TopicId) -> Result<(), ReplayError> {
        if self.by_id.contains_key(&id) || self.by_name.contains_key(name) {
            return Err(ReplayError::TopicExists { name: name.to_owned(), topic_id: id });
        }
        let name: Arc<str> = name.into();
        self.by_name.insert_mut(Arc::clone(&name), id);
        self.by_id.insert_mut(id, Topic { id, name, partitions: VectorSync::new_sync() });
        Ok(())
    }

    pub(crate) fn put_partition(
        &mut self,
        id: TopicId,
        index: PartitionIndex,
        partition: Partition,
    ) -> Result<(), ReplayError> {
        let topic = self.by_id.get_mut(&id).ok_or(ReplayError::UnknownTopicId { topic_id: id })?;
        topic.put(index, partition)
    }

    /// Takes a topic out and returns its last state.
    pub(crate) fn remove(&mut self, id: TopicId) -> Result<Topic, ReplayError> {
        let topic =
            self.by_id.get(&id).cloned().ok_or(ReplayError::UnknownTopicId { topic_id: id })?;
        self.by_id.remove_mut(&id);
        self.by_name.remove_mut(&*topic.name);
        Ok(topic)
    }
}
