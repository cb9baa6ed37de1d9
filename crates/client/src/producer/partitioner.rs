//! Where records without a key go: one partition until a batch is full, then another (KIP-794, without its weighing of
//! slow brokers). Pure: its random numbers follow from a seed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::metadata::TopicMetadata;

/// The current partition of each topic.
#[derive(Debug)]
pub struct Partitioner {
    batch_size: usize,
    random: u64,
    current: HashMap<Arc<str>, Current>,
}

#[derive(Debug)]
struct Current {
    partition: i32,
    bytes: usize,
}

impl Partitioner {
    pub fn new(batch_size: usize, seed: u64) -> Self {
        Self { batch_size, random: seed | 1, current: HashMap::new() }
    }

    /// The partition for the next record without a key. Those with a leader are preferred.
    pub fn sticky(&mut self, topic: &TopicMetadata) -> i32 {
        if let Some(current) = self.current.get(&topic.name)
            && current.bytes < self.batch_size
            && topic.partition(current.partition).is_some()
        {
            return current.partition;
        }
        let with_leader = topic.partitions.iter().filter(|p| p.leader.is_some()).count();
        let able = |p: &&crate::metadata::PartitionMetadata| with_leader == 0 || p.leader.is_some();
        let count = if with_leader == 0 { topic.partitions.len() } else { with_leader };
        let at = (self.next_random() % count.max(1) as u64) as usize;
        let partition = topic.partitions.iter().filter(able).nth(at).map_or(0, |p| p.index);
        self.current.insert(Arc::clone(&topic.name), Current { partition, bytes: 0 });
        partition
    }

    /// Counts what went to the current partition.
    pub fn sent(&mut self, topic: &str, bytes: usize) {
        if let Some(current) = self.current.get_mut(topic) {
            current.bytes = current.bytes.saturating_add(bytes);
        }
    }

    /// Xorshift: good enough to spread, and the same for the same seed.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
