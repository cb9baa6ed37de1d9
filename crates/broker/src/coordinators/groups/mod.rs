//! The group coordinators: shards of `__consumer_offsets`.

mod view;

use std::sync::Arc;
use std::time::Duration;

use base::{LeaderEpoch, PartitionIndex};
use config::BrokerConfig;
use coordinator::{Linger, Producer};
use group::{DeletedTopic, GroupShard, Reply, Request, View, consumer};
use metadata::Image;
use protocol::ErrorCode;
use records::Compression;
use storage::log::VerificationGuard;
use tokio::sync::oneshot;

pub use self::view::consumer_groups;
use super::{Ask, Call, Coordinators, Hosted, Owed, Settings};
use crate::node::Node;
use crate::partitions::TxnMarker;

/// The topic that holds groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// When a shard is told again what it could not take in.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(500);

pub type GroupCoordinators = Coordinators<GroupShard>;

impl Hosted for GroupShard {
    const TOPIC: &'static str = OFFSETS_TOPIC;
    const WHAT: &'static str = "groups";

    fn settings(config: &BrokerConfig) -> Settings {
        let codec = u8::try_from(config.offsets.topic_compression_codec).unwrap_or(0);
        Settings {
            linger: match u64::try_from(config.group.coordinator_append_linger_ms) {
                Ok(ms) => Linger::Ms(ms),
                Err(_negative) => Linger::Adaptive,
            },
            compression: Compression::from_id(codec).unwrap_or(Compression::None),
            load_bytes: u32::try_from(config.offsets.load_buffer_size).unwrap_or(1),
            append_timeout_ms: u64::try_from(config.offsets.commit_timeout_ms).unwrap_or(0),
        }
    }

    fn view(config: &BrokerConfig, image: &Arc<Image>) -> View {
        view::of(config, image)
    }

    fn size(&self) -> usize {
        self.groups().size()
    }

    fn carry_out(_: &Arc<Node>, _: PartitionIndex, _: LeaderEpoch, none: Self::Duty) {
        match none {}
    }

    fn forget_duties(_: &Arc<Node>, _: PartitionIndex, _: LeaderEpoch) {}
}

impl GroupCoordinators {
    /// A request whose records are part of a transaction.
    ///
    /// # Errors
    /// What the shard says, or that none of this node serves the group.
    pub async fn request_in_transaction(
        &self,
        at: PartitionIndex,
        request: Request,
        producer: Producer,
        guard: Option<VerificationGuard>,
    ) -> Result<Reply, ErrorCode> {
        let ask = Ask::InTransaction { request, producer, guard };
        Self::answer(self.send(Some(at), ask).await?).await
    }

    /// Ends a transaction: its offsets become visible, or go.
    ///
    /// # Errors
    /// When no shard of this node serves the partition.
    pub async fn end_transaction(
        &self,
        at: PartitionIndex,
        marker: TxnMarker,
    ) -> Result<Owed<Reply>, ErrorCode> {
        self.send(Some(at), Ask::EndTransaction { marker, reply: Reply::Done }).await
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
        for calls in self.all_calls() {
            let request = request.clone();
            self.runtime().spawn(async move {
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

/// The partition of the offsets topic that holds a group, or will, when there is one.
pub fn group_partition(node: &Node, group: &str) -> PartitionIndex {
    GroupCoordinators::partition_of(node, group).unwrap_or_else(|| {
        let count = node.config().offsets.topic_num_partitions;
        PartitionIndex(coordinator::partition_for(group, count))
    })
}

/// Consumer groups are served: they are switched on, and the cluster has come far enough.
pub fn serves_consumer_groups(node: &Node) -> bool {
    let protocols = &node.config().group.coordinator_rebalance_protocols;
    protocols.iter().any(|name| name == "consumer")
        && node.image().features.level("group.version") > 0
}
