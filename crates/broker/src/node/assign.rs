//! Telling the controller in which directories this broker's replicas lie, where the metadata does not say so yet (KIP-858).
//!
//! Partitions collect here while metadata is applied and while replicas move. One task asks for all of them at a time, and asks
//! again for what the controller did not take; a later choice replaces an earlier one.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerEpoch, DirectoryId, NodeId, PartitionIndex, TopicId, TopicIdPartition};
use controller::{ControllerReply, ControllerRequest};
use parking_lot::Mutex;
use protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};
use protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use super::Node;
use crate::lifecycle::Lifecycle;

/// At most so many replicas in one request, as Kafka.
const REPLICAS_MAX: usize = 2_250;
/// The pause after a request that was not taken as a whole doubles between these (Kafka's values).
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// What comes in such a time goes together.
const GATHER: Duration = Duration::from_millis(5);

/// Where a replica is, or is going to be.
#[derive(Debug)]
struct Assignment {
    directory: DirectoryId,
    /// Who waits until the metadata says so.
    heard: Option<oneshot::Sender<()>>,
}

type Waiting = BTreeMap<TopicIdPartition, Assignment>;

/// By partition; never more than the node has partitions.
#[derive(Debug, Default)]
pub struct Assignments {
    waiting: Mutex<Waiting>,
    come: Notify,
}

impl Assignments {
    pub fn add(&self, partition: TopicIdPartition, directory: DirectoryId) {
        self.put(partition, Assignment { directory, heard: None });
    }

    /// The same; fires when the controller has taken it, ends when something else was said since.
    pub fn tell(
        &self,
        partition: TopicIdPartition,
        directory: DirectoryId,
    ) -> oneshot::Receiver<()> {
        let (heard, word) = oneshot::channel();
        self.put(partition, Assignment { directory, heard: Some(heard) });
        word
    }

    fn put(&self, partition: TopicIdPartition, assignment: Assignment) {
        self.waiting.lock().insert(partition, assignment);
        self.come.notify_one();
    }

    /// Those that a request did not settle, unless something else was said meanwhile.
    fn put_back(&self, unsettled: Waiting) {
        let mut waiting = self.waiting.lock();
        for (partition, assignment) in unsettled {
            waiting.entry(partition).or_insert(assignment);
        }
    }

    /// Some that are worth asking for: the replica is still here.
    fn take(&self, node: &Node) -> Waiting {
        let mut waiting = self.waiting.lock();
        let mut taken = Waiting::new();
        while taken.len() < REPLICAS_MAX
            && let Some((id, assignment)) = waiting.pop_first()
        {
            if node.partitions.get(id.topic_id, id.partition).is_some() {
                taken.insert(id, assignment);
            }
        }
        taken
    }
}

/// Sends what collects, one request after the other.
pub async fn run(node: Arc<Node>, lifecycle: Lifecycle) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let mut taken = node.assignments.take(&node);
        if taken.is_empty() {
            node.assignments.come.notified().await;
            tokio::time::sleep(GATHER).await;
            continue;
        }
        let own = node.static_config.node_id;
        let request = request(own, lifecycle.broker_epoch(), &taken);
        let reply = node.controller.submit(ControllerRequest::AssignReplicasToDirs(request)).await;
        match reply {
            Ok(ControllerReply::AssignReplicasToDirs(reply)) if reply.error_code == 0 => {
                for id in settled(&reply) {
                    if let Some(heard) = taken.remove(&id).and_then(|assignment| assignment.heard) {
                        // It may have lost interest.
                        let _gone = heard.send(());
                    }
                }
            }
            other => warn!("the controller does not take the replicas' directories: {other:?}"),
        }
        if taken.is_empty() {
            backoff = BACKOFF_MIN;
            continue;
        }
        info!(replicas = taken.len(), "directories of replicas are told again");
        node.assignments.put_back(taken);
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// The replicas whose directories were taken.
fn settled(reply: &AssignReplicasToDirsResponse) -> HashSet<TopicIdPartition> {
    let mut settled = HashSet::new();
    for topic in reply.directories.iter().flat_map(|directory| &directory.topics) {
        for partition in topic.partitions.iter().filter(|partition| partition.error_code == 0) {
            let partition_index = PartitionIndex(partition.partition_index);
            settled
                .insert(TopicIdPartition { topic_id: topic.topic_id, partition: partition_index });
        }
    }
    settled
}

fn request(node: NodeId, epoch: BrokerEpoch, replicas: &Waiting) -> AssignReplicasToDirsRequest {
    let mut by_dir: BTreeMap<DirectoryId, BTreeMap<TopicId, Vec<PartitionData>>> = BTreeMap::new();
    for (replica, assignment) in replicas {
        let topics = by_dir.entry(assignment.directory).or_default();
        let partition_index = replica.partition.get();
        let row = PartitionData { partition_index, ..Default::default() };
        topics.entry(replica.topic_id).or_default().push(row);
    }
    let topic = |(topic_id, partitions)| TopicData { topic_id, partitions, ..Default::default() };
    let directory = |(id, topics): (DirectoryId, BTreeMap<_, _>)| DirectoryData {
        id,
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    };
    AssignReplicasToDirsRequest {
        broker_id: node.get(),
        broker_epoch: epoch.get(),
        directories: by_dir.into_iter().map(directory).collect(),
        ..Default::default()
    }
}
