//! Replication between brokers: fetchers that follow the leaders of partitions, and what leaders ask the controller for.
//!
//! A partition's machine says what to ask its leader and what an answer means; here stands when, over which connection, and
//! together with which others.

mod fetcher;
mod isr;
mod offsets;
mod request;
mod session;

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use base::{NodeId, TopicIdPartition};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::info;

use crate::node::Node;
use crate::partitions::Partition;

/// Which fetcher follows: by the leader, and `num.replica.fetchers` of each for each log directory, so that a slow one keeps none of
/// the others from being in sync.
type FetcherId = (NodeId, u16);

/// All fetchers of a node.
pub struct Replicas {
    fetchers: Mutex<HashMap<FetcherId, Fetcher>>,
    leaders: Mutex<HashMap<TopicIdPartition, FetcherId>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Fetchers are started from the quorum's thread, too.
    runtime: Handle,
}

struct Fetcher {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What a fetcher is told from outside.
#[derive(Default)]
struct Shared {
    changes: Mutex<Vec<Change>>,
    changed: Notify,
}

enum Change {
    Follow(Arc<Partition>),
    Leave(TopicIdPartition),
    /// It may want something else by now.
    Look(TopicIdPartition),
}

impl Shared {
    fn tell(&self, change: Change) {
        self.changes.lock().push(change);
        self.changed.notify_one();
    }

    /// For the next round: no fetch that waits is given up for it.
    fn tell_later(&self, change: Change) {
        self.changes.lock().push(change);
    }

    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.lock())
    }
}

impl Replicas {
    /// Within the runtime that is to run the fetchers.
    pub fn new() -> Self {
        Self {
            fetchers: Mutex::default(),
            leaders: Mutex::default(),
            tasks: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    /// Begins what leaders need: looking for replicas that lag, and asking the controller.
    pub fn start(&self, node: &Arc<Node>) {
        let tasks = [
            self.runtime.spawn(isr::look(Arc::downgrade(node))),
            self.runtime.spawn(isr::ask(Arc::downgrade(node))),
        ];
        self.tasks.lock().extend(tasks);
    }

    /// The partition follows `leader` in a new epoch.
    pub fn follow(&self, node: &Arc<Node>, partition: &Arc<Partition>, leader: NodeId) {
        let id = partition.id();
        let fetcher_id = (leader, number(partition, fetchers_per_leader(node)));
        let before = self.leaders.lock().insert(id, fetcher_id);
        if let Some(before) = before.filter(|before| *before != fetcher_id) {
            self.leave(before, id);
        }
        let mut fetchers = self.fetchers.lock();
        let fetcher = fetchers.entry(fetcher_id).or_insert_with(|| {
            let shared = Arc::new(Shared::default());
            let run = fetcher::run(Arc::downgrade(node), fetcher_id, Arc::clone(&shared));
            Fetcher { shared, task: self.runtime.spawn(run) }
        });
        fetcher.shared.tell(Change::Follow(Arc::clone(partition)));
    }

    /// `num.replica.fetchers` may have changed: partitions move to the fetchers that are theirs now, fetchers that are too many end.
    pub fn resize(&self, node: &Arc<Node>) {
        let count = fetchers_per_leader(node);
        let followed: Vec<(TopicIdPartition, FetcherId)> = {
            let leaders = self.leaders.lock();
            leaders.iter().map(|(id, fetcher)| (*id, *fetcher)).collect()
        };
        for (id, fetcher) in followed {
            if let Some(partition) = node.partitions.get(id.topic_id, id.partition)
                && number(&partition, count) != fetcher.1
            {
                self.follow(node, &partition, fetcher.0);
            }
        }
        let used: HashSet<FetcherId> = self.leaders.lock().values().copied().collect();
        for (id, fetcher) in self.fetchers.lock().extract_if(|id, _| !used.contains(id)) {
            fetcher.task.abort();
            info!(leader = %id.0, fetcher = id.1, "fetching ends");
        }
    }

    /// The partition follows nobody.
    pub fn forget(&self, id: TopicIdPartition) {
        if let Some(before) = self.leaders.lock().remove(&id) {
            self.leave(before, id);
        }
    }

    /// The starts of these logs may have moved: those that are followed tell their leaders with the next fetch.
    pub fn tell_starts(&self, logs: &[TopicIdPartition]) {
        let leaders = self.leaders.lock();
        let fetchers = self.fetchers.lock();
        for id in logs {
            let fetcher = leaders.get(id).and_then(|fetcher| fetchers.get(fetcher));
            if let Some(fetcher) = fetcher {
                fetcher.shared.tell_later(Change::Look(*id));
            }
        }
    }

    fn leave(&self, fetcher: FetcherId, id: TopicIdPartition) {
        if let Some(fetcher) = self.fetchers.lock().get(&fetcher) {
            fetcher.shared.tell(Change::Leave(id));
        }
    }

    /// The node ends: nobody follows any more.
    pub fn stop(&self) {
        for (_, fetcher) in self.fetchers.lock().drain() {
            fetcher.task.abort();
        }
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        self.leaders.lock().clear();
    }
}

impl Default for Replicas {
    fn default() -> Self {
        Self::new()
    }
}

/// `num.replica.fetchers`
fn fetchers_per_leader(node: &Node) -> u16 {
    let count = node.config().replication.num_replica_fetchers.max(1);
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Which of a leader's fetchers a partition belongs to.
fn number(partition: &Partition, count: u16) -> u16 {
    let within = u16::try_from(hash(partition.id()) % u64::from(count.max(1))).unwrap_or(0);
    partition.lane().index().saturating_mul(count).saturating_add(within)
}

fn hash(id: TopicIdPartition) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

type WeakNode = Weak<Node>;

#[cfg(test)]
mod tests {
    use base::Uuid;

    use super::*;

    fn fetcher(replicas: &Replicas, id: FetcherId, follows: TopicIdPartition) -> Arc<Shared> {
        let shared = Arc::new(Shared::default());
        let task = replicas.runtime.spawn(std::future::pending());
        replicas.fetchers.lock().insert(id, Fetcher { shared: Arc::clone(&shared), task });
        replicas.leaders.lock().insert(follows, id);
        shared
    }

    #[tokio::test]
    async fn a_start_that_moved_is_looked_at_by_whoever_follows() {
        let replicas = Replicas::new();
        let [first, second, led] = [0, 1, 2].map(|n| TopicIdPartition::new(Uuid::ONE, n));
        let own = fetcher(&replicas, (NodeId(1), 0), first);
        let other = fetcher(&replicas, (NodeId(2), 0), second);
        replicas.tell_starts(&[first, led]);
        assert!(matches!(own.take()[..], [Change::Look(id)] if id == first));
        assert!(other.take().is_empty());
        // What waits with the leader goes on; other news would end it.
        let news = || tokio::time::timeout(std::time::Duration::ZERO, own.changed.notified());
        assert!(news().await.is_err());
        own.tell(Change::Look(first));
        assert!(news().await.is_ok());
        replicas.stop();
    }
}
