//! The coordinators of this node: one owner task per led partition of a coordinator's topic.
//!
//! The pure runtime (`coordinator`) decides; an owner awaits, appends and tells. Which coordinator it is stands in [`Hosted`].
//! Leadership comes from [`crate::apply`].

mod caller;
mod groups;
mod hosted;
mod owner;
mod transactions;
mod view;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Weak};

use base::{LeaderEpoch, PartitionIndex};
use coordinator::Producer;
use parking_lot::RwLock;
use protocol::ErrorCode;
use storage::log::VerificationGuard;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

pub use self::groups::{
    GroupCoordinators, OFFSETS_TOPIC, consumer_groups, group_partition, serves_consumer_groups,
};
pub use self::hosted::{Hosted, Settings};
pub use self::transactions::TransactionCoordinators;
use crate::node::Node;
use crate::partitions::{Partition, TxnMarker};
use crate::transactions::TRANSACTIONS_TOPIC;

/// Requests that may wait at one shard; more wait on their connections.
const REQUESTS_MAX: usize = 1_000;
/// What an owner is told by handlers.
pub(super) enum Ask<S: Hosted> {
    Request(S::Request),
    Query(S::Query),
    /// What it writes is part of a transaction, which begins here with the guard.
    InTransaction {
        request: S::Request,
        producer: Producer,
        guard: Option<VerificationGuard>,
    },
    /// A transaction ends.
    EndTransaction {
        marker: TxnMarker,
        reply: S::Reply,
    },
}

type Answered<S> = Result<<S as coordinator::Shard>::Reply, ErrorCode>;
/// The answer of a shard, when there is one.
pub type Owed<R> = oneshot::Receiver<Result<R, ErrorCode>>;

pub(super) struct Call<S: Hosted> {
    pub ask: Ask<S>,
    pub answer: oneshot::Sender<Answered<S>>,
}

struct Shard<S: Hosted> {
    status: Arc<Status>,
    calls: mpsc::Sender<Call<S>>,
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

impl<S: Hosted> Shard<S> {
    /// The way to the owner, once it serves.
    fn calls(&self) -> Option<mpsc::Sender<Call<S>>> {
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

/// All shards of one coordinator that this node leads.
pub struct Coordinators<S: Hosted> {
    shards: RwLock<HashMap<PartitionIndex, Shard<S>>>,
    /// Owners are started from the quorum's thread, too.
    runtime: Handle,
}

impl<S: Hosted> Coordinators<S> {
    /// Within the runtime that is to run the owners.
    pub fn new() -> Self {
        Self { shards: RwLock::default(), runtime: Handle::current() }
    }

    /// The partition of the topic that holds a name; `None` while there is no such topic.
    pub fn partition_of(node: &Node, name: &str) -> Option<PartitionIndex> {
        let image = node.image();
        let topic = image.topics.by_name(S::TOPIC)?;
        let count = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
        Some(PartitionIndex(coordinator::partition_for(name, count)))
    }

    pub async fn request(
        &self,
        node: &Node,
        name: &str,
        request: S::Request,
    ) -> Result<S::Reply, ErrorCode> {
        self.call(Self::partition_of(node, name), Ask::Request(request)).await
    }

    pub async fn query(
        &self,
        node: &Node,
        name: &str,
        query: S::Query,
    ) -> Result<S::Reply, ErrorCode> {
        self.call(Self::partition_of(node, name), Ask::Query(query)).await
    }

    /// Hands a request to its shard; what it answers may take as long as others need.
    ///
    /// # Errors
    /// When no shard of this node serves the name.
    pub async fn begin(
        &self,
        node: &Node,
        name: &str,
        request: S::Request,
    ) -> Result<Owed<S::Reply>, ErrorCode> {
        self.send(Self::partition_of(node, name), Ask::Request(request)).await
    }

    /// The same for a query.
    ///
    /// # Errors
    /// When no shard of this node serves the name.
    pub async fn begin_query(
        &self,
        node: &Node,
        name: &str,
        query: S::Query,
    ) -> Result<Owed<S::Reply>, ErrorCode> {
        self.send(Self::partition_of(node, name), Ask::Query(query)).await
    }

    /// A request to the shard of a partition.
    ///
    /// # Errors
    /// What the shard says, or that none of this node serves it.
    pub async fn request_at(
        &self,
        at: PartitionIndex,
        request: S::Request,
    ) -> Result<S::Reply, ErrorCode> {
        self.call(Some(at), Ask::Request(request)).await
    }

    /// Asks every shard that this node leads and could load; a shard that is still loading is an error.
    ///
    /// # Errors
    /// When a shard cannot answer, other than by being gone.
    pub async fn query_all(&self, query: &S::Query) -> Result<Vec<S::Reply>, ErrorCode> {
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
    pub async fn answer(owed: Owed<S::Reply>) -> Answered<S> {
        owed.await.map_err(|_| ErrorCode::NotCoordinator)?
    }

    async fn call(&self, at: Option<PartitionIndex>, ask: Ask<S>) -> Answered<S> {
        Self::answer(self.send(at, ask).await?).await
    }

    pub(super) async fn send(
        &self,
        at: Option<PartitionIndex>,
        ask: Ask<S>,
    ) -> Result<Owed<S::Reply>, ErrorCode> {
        let calls = match at.and_then(|at| self.shards.read().get(&at).map(Shard::calls)) {
            None => return Err(ErrorCode::NotCoordinator),
            Some(None) => return Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Some(calls)) => calls,
        };
        let (answer, owed) = oneshot::channel();
        calls.send(Call { ask, answer }).await.map_err(|_| ErrorCode::NotCoordinator)?;
        Ok(owed)
    }

    /// This node leads a partition of the topic: its owner starts, and loads. One that runs goes on: while this node did
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

    /// The ways to all owners, loaded or not.
    pub(super) fn all_calls(&self) -> Vec<mpsc::Sender<Call<S>>> {
        self.shards.read().values().map(|shard| shard.calls.clone()).collect()
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// This node leads a partition in a new epoch: the coordinator of its topic, if there is one, begins.
pub fn lead(node: &Arc<Node>, partition: &Arc<Partition>, epoch: LeaderEpoch) {
    match &**partition.topic() {
        OFFSETS_TOPIC => node.coordinators.lead(node, partition, epoch),
        TRANSACTIONS_TOPIC => node.transactions.lead(node, partition, epoch),
        _ => {}
    }
}

/// Whoever coordinates by this partition does not any more.
pub fn resign(node: &Node, partition: &Partition) {
    let at = partition.id().partition;
    match &**partition.topic() {
        OFFSETS_TOPIC => node.coordinators.resign(at),
        TRANSACTIONS_TOPIC => node.transactions.resign(at),
        _ => {}
    }
}

impl<S: Hosted> Default for Coordinators<S> {
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
        let shard =
            Shard::<group::GroupShard> { status: Arc::clone(&status), calls, _alive: alive };
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
