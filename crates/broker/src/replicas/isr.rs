//! In-sync replicas: looking for those that lag, and asking the controller for what leaders propose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{NodeId, TopicIdPartition};
use controller::{ControllerReply, ControllerRequest};
use protocol::ErrorCode;
use protocol::messages::alter_partition_request::AlterPartitionRequest;
use protocol::messages::alter_partition_response::AlterPartitionResponse;
use replication::{IsrAnswer, IsrProposal};
use tracing::{debug, info, warn};

use super::WeakNode;
use crate::node::Node;

/// How often partitions are looked at, unless `replica.lag.time.max.ms` is shorter than twice this.
const LOOK_EVERY_MS: u64 = 1_000;
/// Who holds a partition's locks may wait for its disk: it is tried so often, then left for the next look.
const TRIES: u32 = 4;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// The pause before the controller is asked again (Kafka's value).
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

type Proposed = Vec<(TopicIdPartition, IsrProposal)>;

/// Looks at all partitions from time to time.
pub async fn look(node: WeakNode) {
    loop {
        let Some(node) = node.upgrade() else { return };
        let lag_ms = u64::try_from(node.config().replication.lag_time_max_ms).unwrap_or(1);
        let mut partitions = node.partitions.all();
        for _ in 0..TRIES {
            partitions.retain(|partition| !partition.try_tick(node.clock.mono(), lag_ms));
            if partitions.is_empty() {
                break;
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
        drop((partitions, node));
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
            partition.isr_answered(proposal.leader_epoch, proposal.id, answer, node.clock);
        }
    }
}

fn request(node: &Node, proposed: &Proposed) -> Option<AlterPartitionRequest> {
    let image = node.image();
    let own = image.cluster.broker(node.static_config.node_id)?;
    let proposals = proposed.iter().map(|(id, proposal)| (*id, proposal));
    Some(IsrProposal::request((own.id, own.epoch), proposals))
}

async fn submit(
    node: &Node,
    request: AlterPartitionRequest,
) -> BTreeMap<TopicIdPartition, IsrAnswer> {
    let request = ControllerRequest::AlterPartition(request, IsrProposal::VERSION);
    match node.controller.submit(request).await {
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
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    for refused in partitions.filter(|partition| partition.error_code != 0) {
        let error = ErrorCode::from_code(refused.error_code).name();
        debug!(error, "a change of in-sync replicas is refused");
    }
    IsrAnswer::all_of(response)
}
