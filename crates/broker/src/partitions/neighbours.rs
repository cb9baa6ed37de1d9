//! What a partition sees of the cluster, and where it leaves what it wants of the controller.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use base::{BrokerEpoch, NodeId, TopicIdPartition};
use metadata::Image;
use parking_lot::Mutex;
use replication::{Brokers, IsrProposal};
use storage::log::LogError;
use tokio::sync::Notify;

use super::flusher::Flusher;
use super::lane::Lanes;
use super::throttle::Throttle;
use super::truncations::Truncations;
use crate::clock::Clock;

/// Shared by all partitions of a node.
pub struct Neighbours {
    image: Arc<ArcSwap<Image>>,
    pub proposals: Proposals,
    pub failed: FailedLogs,
    /// What this node gives to followers, and takes from leaders.
    pub leader_throttle: Throttle,
    pub follower_throttle: Throttle,
    pub flusher: Flusher,
    /// To the log directories' disks.
    pub lanes: Lanes,
    pub truncations: Truncations,
    pub clock: Clock,
    pub own: NodeId,
}

impl Neighbours {
    pub fn new(own: NodeId, image: Arc<ArcSwap<Image>>, clock: Clock) -> Self {
        Self {
            image,
            proposals: Proposals::default(),
            failed: FailedLogs::default(),
            leader_throttle: Throttle::default(),
            follower_throttle: Throttle::default(),
            flusher: Flusher::default(),
            lanes: Lanes::new(clock),
            truncations: Truncations::default(),
            clock,
            own,
        }
    }
}

impl Brokers for Neighbours {
    fn alive_epoch(&self, id: NodeId) -> Option<BrokerEpoch> {
        let image = self.image.load();
        image.cluster.broker(id).filter(|broker| !broker.fenced).map(|broker| broker.epoch)
    }

    fn is_leaving(&self, id: NodeId) -> bool {
        let image = self.image.load();
        image.cluster.broker(id).is_some_and(|broker| broker.in_controlled_shutdown)
    }
}

/// What the leader of one partition sees.
pub struct Others<'a> {
    pub neighbours: &'a Neighbours,
    pub partition: TopicIdPartition,
}

impl Brokers for Others<'_> {
    fn alive_epoch(&self, id: NodeId) -> Option<BrokerEpoch> {
        self.neighbours.alive_epoch(id)
    }

    fn is_leaving(&self, id: NodeId) -> bool {
        self.neighbours.is_leaving(id)
    }

    fn has_lost_disk(&self, id: NodeId) -> bool {
        let image = self.neighbours.image.load();
        let partition = image.topics.partition(self.partition.topic_id, self.partition.partition);
        let directory = partition.and_then(|partition| partition.directory(id));
        let broker = image.cluster.broker(id);
        directory.zip(broker).is_some_and(|(dir, broker)| !broker.has_online_directory(dir))
    }
}

/// Changes of in-sync replicas that the controller is to be asked for: at most one of each partition, the newest.
#[derive(Default)]
pub struct Proposals {
    waiting: Mutex<HashMap<TopicIdPartition, IsrProposal>>,
    come: Notify,
}

impl Proposals {
    pub fn add(&self, partition: TopicIdPartition, proposal: IsrProposal) {
        self.waiting.lock().insert(partition, proposal);
        self.come.notify_one();
    }

    /// Waits until there are any, and takes all.
    pub async fn take(&self) -> Vec<(TopicIdPartition, IsrProposal)> {
        loop {
            let taken: Vec<_> = self.waiting.lock().drain().collect();
            if !taken.is_empty() {
                return taken;
            }
            self.come.notified().await;
        }
    }
}

/// Partitions whose disk failed: their log directories are to go offline.
#[derive(Default)]
pub struct FailedLogs {
    waiting: Mutex<Vec<(TopicIdPartition, String)>>,
    /// Directories went offline otherwise.
    dirs: AtomicBool,
    come: Notify,
}

impl FailedLogs {
    /// Where the error is the disk's.
    pub fn add(&self, partition: TopicIdPartition, error: &LogError) {
        if error.is_disk_failure() {
            self.waiting.lock().push((partition, error.to_string()));
            self.come.notify_one();
        }
    }

    /// A directory has been taken offline: whoever waits here is to look.
    pub fn add_dir(&self) {
        self.dirs.store(true, Ordering::Relaxed);
        self.come.notify_one();
    }

    /// Waits until there are any, and takes all, with what went wrong; none, when a directory went offline otherwise.
    pub async fn take(&self) -> Vec<(TopicIdPartition, String)> {
        loop {
            let dirs = self.dirs.swap(false, Ordering::Relaxed);
            let taken = std::mem::take(&mut *self.waiting.lock());
            if dirs || !taken.is_empty() {
                return taken;
            }
            self.come.notified().await;
        }
    }
}
