//! What a shard remembers of consumer groups besides its log: which metadata was looked at, which work waits.
//!
//! Nothing here survives a reload, and nothing here makes two states differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use super::counts::Topics;
use crate::view::View;
use crate::{group_hash, topic_hash};

/// Of one group.
#[derive(Clone, Debug)]
pub struct GroupMemory {
    /// The version of the metadata that the group's hash was made of.
    seen: Option<i64>,
    /// The version that it must be made of.
    wanted: i64,
    /// Its patterns are about to be resolved.
    pub resolving: bool,
    /// Classic members that were called to join again.
    pub joining: RedBlackTreeSetSync<Arc<str>>,
}

impl Default for GroupMemory {
    fn default() -> Self {
        let joining = RedBlackTreeSetSync::new_sync();
        Self { seen: None, wanted: 0, resolving: false, joining }
    }
}

impl GroupMemory {
    /// Its hash may not be that of the metadata any more.
    pub fn is_stale(&self) -> bool {
        self.seen.is_none_or(|seen| seen < self.wanted)
    }

    pub fn refreshed(&mut self, version: i64) {
        self.seen = Some(version);
    }
}

/// Of all groups.
#[derive(Clone, Default, Debug)]
pub struct Memory {
    /// The version of the last change to topics that was told.
    changed: i64,
    /// The version of the last change that brought new topics.
    pub new_topics: i64,
    hashes: RedBlackTreeMapSync<Arc<str>, i64>,
    groups: RedBlackTreeMapSync<Arc<str>, GroupMemory>,
}

impl PartialEq for Memory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Memory {
    pub fn of(&self, group: &Arc<str>) -> GroupMemory {
        self.groups.get(group).cloned().unwrap_or_default()
    }

    pub fn put(&mut self, group: &Arc<str>, memory: GroupMemory) {
        self.groups.insert_mut(Arc::clone(group), memory);
    }

    pub fn forget(&mut self, group: &Arc<str>) {
        self.groups.remove_mut(group);
    }

    /// Topics changed with this version of the metadata.
    pub fn topics_changed(&mut self, version: i64, topics: &[Arc<str>], new: bool) {
        self.changed = self.changed.max(version);
        if new {
            self.new_topics = self.new_topics.max(version);
        }
        for topic in topics {
            self.hashes.remove_mut(topic);
        }
    }

    /// The group has to look at that version of the metadata.
    pub fn want(&mut self, group: &Arc<str>, version: i64) {
        let mut memory = self.of(group);
        memory.wanted = memory.wanted.max(version);
        self.put(group, memory);
    }

    /// Kafka's hash of those of the topics that exist.
    pub fn hash(&mut self, topics: &Topics, view: &View) -> i64 {
        // What was told of may not be visible yet.
        let lasting = view.metadata.version() >= self.changed;
        let mut hashes = BTreeMap::new();
        for name in topics.keys() {
            if let Some(hash) = self.hashes.get(name) {
                hashes.insert(Arc::clone(name), *hash);
                continue;
            }
            let Some(topic) = view.metadata.topic(name) else { continue };
            let racks: Vec<_> =
                (0..topic.partitions).map(|index| view.metadata.racks(topic.id, index)).collect();
            let hash = topic_hash(name, topic.id, &racks);
            hashes.insert(Arc::clone(name), hash);
            if lasting {
                self.hashes.insert_mut(Arc::clone(name), hash);
            }
        }
        group_hash(&hashes)
    }
}
