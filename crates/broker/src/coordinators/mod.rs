//! The group coordinators of this node: one owner task per led partition of `__consumer_offsets`.
//!
//! The pure runtime (`coordinator`) decides; an owner awaits, appends and tells. Leadership comes from [`crate::apply`].

mod owner;
mod view;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use base::{LeaderEpoch, PartitionIndex};
use group::{DeletedTopic, Query, Reply, Request};
use parking_lot::RwLock;
use protocol::ErrorCode;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::node::Node;
use crate::partitions::Partition;

/// The topic that holds groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Requests that may wait at one shard; more wait on their connections.
const REQUESTS_MAX: usize = 1_000;

/// What an owner is told by handlers.
pub(super) enum Ask {
    Request(Request),
    Query(Query),
}

pub(super) struct Call {
    pub ask: Ask,
    pub answer: oneshot::Sender<Result<Reply, ErrorCode>>,
}

struct Shard {
    epoch: LeaderEpoch,
    calls: mpsc::Sender<Call>,
    /// Its log was read.
    loaded: Arc<AtomicBool>,
    /// Dropped to end the owner.
    _alive: oneshot::Sender<()>,
}

impl Shard {
    /// The way to the owner, once it serves.
    fn calls(&self) -> Option<mpsc::Sender<Call>> {
        self.loaded.load(Ordering::Acquire).then(|| self.calls.clone())
    }
}

/// All shards that this node leads.
pub struct Coordinators {
    shards: RwLock<HashMap<PartitionIndex, Shard>>,
    /// Owners are started from the quorum's thread, too.
    runtime: Handle,
}

impl Coordinators {
    /// Within the runtime that is to run the owners.
    pub fn new() -> Self {
        Self { shards: RwLock::default(), runtime: Handle::current() }
    }

    /// The partition of the offsets topic that holds a group; `None` while there is no such topic.
    pub fn partition_of(node: &Node, group: &str) -> Option<PartitionIndex> {
        let image = node.image();
        let topic = image.topics.by_name(OFFSETS_TOPIC)?;
        let count = i32::try_from(topic.partitions().count()).unwrap_or(i32::MAX);
        Some(PartitionIndex(group::partition_for(group, count)))
    }

    pub async fn request(
        &self,
        node: &Node,
        group: &str,
        request: Request,
    ) -> Result<Reply, ErrorCode> {
        self.call(Self::partition_of(node, group), Ask::Request(request)).await
    }

    pub async fn query(&self, node: &Node, group: &str, query: Query) -> Result<Reply, ErrorCode> {
        self.call(Self::partition_of(node, group), Ask::Query(query)).await
    }

    async fn call(&self, at: Option<PartitionIndex>, ask: Ask) -> Result<Reply, ErrorCode> {
        let calls = match at.and_then(|at| self.shards.read().get(&at).map(Shard::calls)) {
            None => return Err(ErrorCode::NotCoordinator),
            Some(None) => return Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Some(calls)) => calls,
        };
        let (answer, reply) = oneshot::channel();
        let gone = |_| ErrorCode::NotCoordinator;
        calls.send(Call { ask, answer }).await.map_err(|_| ErrorCode::NotCoordinator)?;
        reply.await.map_err(gone)?
    }

    /// This node leads a partition of the offsets topic: its owner starts, and loads.
    pub fn lead(&self, node: &Arc<Node>, partition: &Arc<Partition>, epoch: LeaderEpoch) {
        let index = partition.id().partition;
        let mut shards = self.shards.write();
        if shards.get(&index).is_some_and(|shard| shard.epoch >= epoch) {
            return;
        }
        let (calls, inbox) = mpsc::channel(REQUESTS_MAX);
        let (alive, ended) = oneshot::channel();
        let loaded = Arc::new(AtomicBool::new(false));
        let owner = owner::Owner::new(Arc::downgrade(node), Arc::clone(partition), epoch);
        self.runtime.spawn(owner.run(inbox, ended, Arc::clone(&loaded)));
        shards.insert(index, Shard { epoch, calls, loaded, _alive: alive });
    }

    /// This node does not lead it any more: its owner ends, who waits is told to look elsewhere.
    pub fn resign(&self, index: PartitionIndex) {
        self.shards.write().remove(&index);
    }

    /// The node ends: so do all owners.
    pub fn stop(&self) {
        self.shards.write().clear();
    }

    /// Offsets of topics that are gone are removed from every shard.
    pub fn topics_deleted(&self, topics: Vec<DeletedTopic>) {
        if topics.is_empty() {
            return;
        }
        for shard in self.shards.read().values() {
            let (answer, _nobody_waits) = oneshot::channel();
            let call = Call { ask: Ask::Request(Request::TopicsDeleted(topics.clone())), answer };
            let calls = shard.calls.clone();
            self.runtime.spawn(async move {
                // An error means that the shard has gone to another node, which does the same.
                let _gone = calls.send(call).await;
            });
        }
    }
}

impl Default for Coordinators {
    fn default() -> Self {
        Self::new()
    }
}

/// The node while it runs.
pub(super) type WeakNode = Weak<Node>;
