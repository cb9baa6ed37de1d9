//! In-sync replicas: looking for those that lag, and asking the controller for what leaders propose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, TopicId, TopicIdPartition};
use controller::{ControllerReply, ControllerRequest};
use protocol::ErrorCode;
use protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use protocol::messages::alter_partition_response::{self, AlterPartitionResponse};
use replication::{IsrAnswer, IsrProposal};
use tracing::{debug, info, warn};

use super::WeakNode;
use crate::node::Node;

/// How often partitions are looked at, unless `replica.lag.time.max.ms` is shorter than twice this.
const LOOK_EVERY_MS: u64 = 1_000;
/// The pause before the controller is asked again (Kafka's value).
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// From this version on AlterPartition names the epochs of brokers.
const VERSION: i16 = 3;

type Proposed = Vec<(TopicIdPartition, IsrProposal)>;

/// Looks at all partitions from time to time.
pub async fn look(node: WeakNode) {
    loop {
        let Some(node) = node.upgrade() else { return };
        let lag_ms = u64::try_from(node.config().replication.lag_time_max_ms).unwrap_or(1);
        for partition in node.partitions.all() {
            partition.tick(node.clock.mono(), lag_ms);
        }
        drop(node);
        tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS.min(lag_ms / 2).max(1))).await;
    }
}

/// Asks the controller for what leaders propose, all at a time, one request after the other.
pub async fn ask(node: WeakNode) {
    loop {
        let Some(neighbours) = node.upgrade().map(|node| Arc::clone(&node.neighbours)) else {
            return;
        };
        let proposed = neighbours.proposals.take().await;
        let Some(node) = node.upgrade() else { return };
        let answers = match request(&node, &proposed) {
            Some(request) => submit(&node, request).await,
            None => BTreeMap::new(), // not registered yet
        };
        let again = proposed
            .iter()
            .any(|(id, _)| answers.get(id).is_none_or(|answer| *answer == IsrAnswer::Unknown));
        if again {
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
        for (id, proposal) in proposed {
            let answer = answers.get(&id).cloned().unwrap_or(IsrAnswer::Unknown);
            let Some(partition) = node.partitions.get(id.topic_id, id.partition) else { continue };
            if let IsrAnswer::Committed { isr, partition_epoch, .. } = &answer {
                let name = format_args!("{}-{}", partition.topic(), id.partition);
                let shown = |ids: &[NodeId]| {
                    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
                };
                info!(partition = %name, isr = shown(isr), %partition_epoch, "in-sync replicas changed");
            }
            partition.isr_answered(proposal.leader_epoch, proposal.id, answer, node.clock.mono());
        }
    }
}

fn request(node: &Node, proposed: &Proposed) -> Option<AlterPartitionRequest> {
    let image = node.image();
    let own = image.cluster.broker(node.static_config.node_id)?;
    let state = |(id, epoch): &(NodeId, BrokerEpoch)| BrokerState {
        broker_id: id.get(),
        broker_epoch: if *id == own.id { own.epoch.get() } else { epoch.get() },
        ..Default::default()
    };
    let mut topics: BTreeMap<TopicId, Vec<PartitionData>> = BTreeMap::new();
    for (id, proposal) in proposed {
        topics.entry(id.topic_id).or_default().push(PartitionData {
            partition_index: id.partition.get(),
            leader_epoch: proposal.leader_epoch.get(),
            new_isr_with_epochs: proposal.isr.iter().map(state).collect(),
            partition_epoch: proposal.partition_epoch.get(),
            ..Default::default()
        });
    }
    let topics = topics.into_iter().map(|(topic_id, partitions)| TopicData {
        topic_id,
        partitions,
        ..Default::default()
    });
    Some(AlterPartitionRequest {
        broker_id: own.id.get(),
        broker_epoch: own.epoch.get(),
        topics: topics.collect(),
        ..Default::default()
    })
}

async fn submit(
    node: &Node,
    request: AlterPartitionRequest,
) -> BTreeMap<TopicIdPartition, IsrAnswer> {
    let reply = node.controller.submit(ControllerRequest::AlterPartition(request, VERSION)).await;
    match reply {
        Ok(ControllerReply::AlterPartition(response)) => answers(&response),
        Ok(_) => BTreeMap::new(),
        Err(error) => {
            debug!("the controller is not reached for a change of in-sync replicas: {error}");
            BTreeMap::new()
        }
    }
}

fn answers(response: &AlterPartitionResponse) -> BTreeMap<TopicIdPartition, IsrAnswer> {
    let error = ErrorCode::from_code(response.error_code);
    if error != ErrorCode::None {
        warn!(error = error.name(), "the controller refuses changes of in-sync replicas");
        return BTreeMap::new();
    }
    let rows = response.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let id = TopicIdPartition::new(topic.topic_id, partition.partition_index);
            (id, answer(partition))
        })
    });
    rows.collect()
}

fn answer(partition: &alter_partition_response::PartitionData) -> IsrAnswer {
    let error = ErrorCode::from_code(partition.error_code);
    if error != ErrorCode::None {
        debug!(error = error.name(), "a change of in-sync replicas is refused");
    }
    match error {
        ErrorCode::None => IsrAnswer::Committed {
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            partition_epoch: PartitionEpoch(partition.partition_epoch),
            isr: partition.isr.iter().copied().map(NodeId).collect(),
        },
        ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => IsrAnswer::Refused,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::InvalidRequest
        | ErrorCode::NewLeaderElected => IsrAnswer::Outdated,
        _ => IsrAnswer::Unknown,
    }
}
