//! The group coordinators of this node: one owner task per led partition of `__consumer_offsets`.
//!
//! The pure runtime (`coordinator`) decides; an owner awaits, appends and tells. Leadership comes from [`crate::apply`].

mod caller;
mod owner;
mod view;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{LeaderEpoch, PartitionIndex};
use group::{DeletedTopic, Query, Reply, Request, consumer};
use parking_lot::RwLock;
use protocol::ErrorCode;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

pub use self::view::consumer_groups;
use crate::node::Node;
use crate::partitions::Partition;

/// The topic that holds groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Requests that may wait at one shard; more wait on their connections.
const REQUESTS_MAX: usize = 1_000;
/// When a shard is told again what it could not take in.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What an owner is told by handlers.
pub(super) enum Ask {
    Request(Request),
    Query(Query),
}

/// The answer of a shard, when there is one.
pub type Owed = oneshot::Receiver<Result<Reply, ErrorCode>>;

pub(super) struct Call {
    pub ask: Ask,
    pub answer: oneshot::Sender<Result<Reply, ErrorCode>>,
}

struct Shard {
    status: Arc<Status>,
    calls: mpsc::Sender<Call>,
    /// Dropped to end the owner.
    _alive: oneshot::Sender<()>,
}

/// What an owner and those who look for it share.
pub(super) struct Status {
    /// Under which this node leads the partition.
    epoch: AtomicI32,
    /// The log was read, whatever came of it.
    loaded: AtomicBool,
    /// It could not be replayed.
    failed: AtomicBool,
}

impl Status {
    fn new(epoch: LeaderEpoch) -> Self {
        let epoch = AtomicI32::new(epoch.get());
        Self { epoch, loaded: AtomicBool::new(false), failed: AtomicBool::new(false) }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.epoch.load(Ordering::Acquire))
    }

    pub fn set_loaded(&self, well: bool) {
        self.failed.store(!well, Ordering::Release);
        self.loaded.store(true, Ordering::Release);
    }
}

impl Shard {
    /// The way to the owner, once it serves.
    fn calls(&self) -> Option<mpsc::Sender<Call>> {
        self.status.loaded.load(Ordering::Acquire).then(|| self.calls.clone())
    }

    /// Goes on in a newer epoch, if there is something to go on with.
    fn keeps(&self, epoch: LeaderEpoch) -> bool {
        if self.calls.is_closed() || self.status.failed.load(Ordering::Acquire) {
            return false;
        }
        self.status.epoch.store(epoch.get(), Ordering::Release);
        true
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
        let count = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
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

    /// Hands a request to its shard; what it answers may take as long as other members need.
    ///
    /// # Errors
    /// When no shard of this node serves the group.
    pub async fn begin(
        &self,
        node: &Node,
        group: &str,
        request: Request,
    ) -> Result<Owed, ErrorCode> {
        self.send(Self::partition_of(node, group), Ask::Request(request)).await
    }

    /// Asks every shard that this node leads and could load; a shard that is still loading is an error.
    ///
    /// # Errors
    /// When a shard cannot answer, other than by being gone.
    pub async fn query_all(&self, query: &Query) -> Result<Vec<Reply>, ErrorCode> {
        let mut led: Vec<PartitionIndex> = self.shards.read().keys().copied().collect();
        led.sort_unstable();
        let mut owed = Vec::with_capacity(led.len());
        for at in led {
            owed.push(self.send(Some(at), Ask::Query(query.clone())).await);
        }
        let mut replies = Vec::with_capacity(owed.len());
        for sent in owed {
            let answered = match sent {
                Ok(reply) => Self::answer(reply).await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(reply) => replies.push(reply),
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(replies)
    }

    /// What a shard has answered.
    ///
    /// # Errors
    /// What the shard says, or that it is gone.
    pub async fn answer(owed: Owed) -> Result<Reply, ErrorCode> {
        owed.await.map_err(|_| ErrorCode::NotCoordinator)?
    }

    async fn call(&self, at: Option<PartitionIndex>, ask: Ask) -> Result<Reply, ErrorCode> {
        Self::answer(self.send(at, ask).await?).await
    }

    async fn send(&self, at: Option<PartitionIndex>, ask: Ask) -> Result<Owed, ErrorCode> {
        let calls = match at.and_then(|at| self.shards.read().get(&at).map(Shard::calls)) {
            None => return Err(ErrorCode::NotCoordinator),
            Some(None) => return Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Some(calls)) => calls,
        };
        let (answer, owed) = oneshot::channel();
        calls.send(Call { ask, answer }).await.map_err(|_| ErrorCode::NotCoordinator)?;
        Ok(owed)
    }

    /// This node leads a partition of the offsets topic: its owner starts, and loads. One that runs goes on: while this node did
    /// not follow ([`Self::resign`]), nobody else wrote to the log that it remembers.
    pub fn lead(&self, node: &Arc<Node>, partition: &Arc<Partition>, epoch: LeaderEpoch) {
        let index = partition.id().partition;
        let mut shards = self.shards.write();
        if shards
            .get(&index)
            .is_some_and(|shard| shard.status.epoch() >= epoch || shard.keeps(epoch))
        {
            return;
        }
        let (calls, inbox) = mpsc::channel(REQUESTS_MAX);
        let (alive, ended) = oneshot::channel();
        let status = Arc::new(Status::new(epoch));
        let owner = owner::Owner::new(node, Arc::clone(partition), Arc::clone(&status));
        self.runtime.spawn(owner.run(inbox, ended));
        shards.insert(index, Shard { status, calls, _alive: alive });
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
        if !topics.is_empty() {
            self.tell_all(&Request::TopicsDeleted(topics));
        }
    }

    /// Groups that subscribe to these topics look at them again, at this version of the metadata or a later one.
    pub fn topics_changed(&self, version: i64, topics: Arc<[Arc<str>]>, new: bool) {
        if !topics.is_empty() {
            let told = consumer::Request::MetadataChanged { version, topics, new };
            self.tell_all(&Request::Consumer(told));
        }
    }

    /// Every shard is told, again and again until it has taken note or is gone to another node, which tells its own.
    fn tell_all(&self, request: &Request) {
        for shard in self.shards.read().values() {
            let (calls, request) = (shard.calls.clone(), request.clone());
            self.runtime.spawn(async move {
                loop {
                    let (answer, reply) = oneshot::channel();
                    let call = Call { ask: Ask::Request(request.clone()), answer };
                    if calls.send(call).await.is_err() {
                        return;
                    }
                    match reply.await {
                        Ok(Ok(_)) | Ok(Err(ErrorCode::NotCoordinator)) | Err(_) => return,
                        Ok(Err(_)) => tokio::time::sleep(TELL_AGAIN_AFTER).await,
                    }
                }
            });
        }
    }
}

/// Consumer groups are served: they are switched on, and the cluster has come far enough.
pub fn serves_consumer_groups(node: &Node) -> bool {
    let protocols = &node.config().group.coordinator_rebalance_protocols;
    protocols.iter().any(|name| name == "consumer")
        && node.image().features.level("group.version") > 0
}

impl Default for Coordinators {
    fn default() -> Self {
        Self::new()
    }
}

/// The node while it runs.
pub(super) type WeakNode = Weak<Node>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_epoch_goes_on_with_what_is_loaded_and_nothing_else() {
        let status = Arc::new(Status::new(LeaderEpoch(3)));
        let (calls, inbox) = mpsc::channel(1);
        let (alive, _ended) = oneshot::channel();
        let shard = Shard { status: Arc::clone(&status), calls, _alive: alive };
        assert!(shard.keeps(LeaderEpoch(4)), "also while it loads");
        assert_eq!(status.epoch(), LeaderEpoch(4));
        status.set_loaded(false);
        assert!(!shard.keeps(LeaderEpoch(5)), "the log could not be read: try again");
        status.set_loaded(true);
        assert!(shard.keeps(LeaderEpoch(5)));
        drop(inbox);
        assert!(!shard.keeps(LeaderEpoch(6)), "its owner has ended");
        assert_eq!(status.epoch(), LeaderEpoch(5));
    }
}
