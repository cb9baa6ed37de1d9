//! Telling the controller in which directories this broker's replicas lie, where the metadata does not say so yet (KIP-858).
//!
//! Partitions collect here while metadata is applied; the upkeep sends them in one request a tick. What the controller refuses is
//! asked again with the next change of the partition.

use std::collections::BTreeMap;

use base::{BrokerEpoch, DirectoryId, NodeId, TopicId, TopicIdPartition};
use controller::{ControllerReply, ControllerRequest};
use parking_lot::Mutex;
use protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};
use tracing::warn;

use super::Node;

/// At most so many replicas in one request, as Kafka.
const REPLICAS_MAX: usize = 2_250;

/// By partition, so that a later choice replaces an earlier one; never more than the node has partitions.
#[derive(Debug, Default)]
pub struct Assignments(Mutex<BTreeMap<TopicIdPartition, DirectoryId>>);

impl Assignments {
    pub fn add(&self, partition: TopicIdPartition, directory: DirectoryId) {
        self.0.lock().insert(partition, directory);
    }

    fn take(&self) -> Vec<(TopicIdPartition, DirectoryId)> {
        let mut waiting = self.0.lock();
        let mut taken = Vec::new();
        while taken.len() < REPLICAS_MAX
            && let Some(next) = waiting.pop_first()
        {
            taken.push(next);
        }
        taken
    }
}

/// Sends what has collected.
pub async fn send(node: &Node, epoch: BrokerEpoch) {
    loop {
        let taken = node.assignments.take();
        if taken.is_empty() {
            return;
        }
        let request = request(node.static_config.node_id, epoch, &taken);
        let reply = node.controller.submit(ControllerRequest::AssignReplicasToDirs(request)).await;
        match reply {
            Ok(ControllerReply::AssignReplicasToDirs(reply)) if reply.error_code == 0 => {}
            other => warn!("the controller does not take the replicas' directories: {other:?}"),
        }
    }
}

fn request(
    node: NodeId,
    epoch: BrokerEpoch,
    replicas: &[(TopicIdPartition, DirectoryId)],
) -> AssignReplicasToDirsRequest {
    let mut by_dir: BTreeMap<DirectoryId, BTreeMap<TopicId, Vec<PartitionData>>> = BTreeMap::new();
    for (replica, directory) in replicas {
        let topics = by_dir.entry(*directory).or_default();
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
