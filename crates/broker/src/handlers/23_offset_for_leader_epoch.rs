//! OffsetForLeaderEpoch (23), versions 2-4: where an epoch ends in the leader's log (KIP-101, KIP-320), so that a client or follower
//! notices that its own log has diverged.

use base::{LeaderEpoch, PartitionIndex};
use protocol::ErrorCode;
use protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
use protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use crate::authorizer::{Operation, Resource};
use crate::partitions::Use;
use crate::request::RequestContext;

crate::handler!(OffsetForLeaderEpoch, OffsetForLeaderEpochRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: OffsetForLeaderEpochRequest<'_>,
) -> OffsetForLeaderEpochResponse<'static> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let allowed = context.allows(Operation::Describe, Resource::Topic(&topic.topic));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let index = PartitionIndex(asked.partition);
            let current = LeaderEpoch(asked.current_leader_epoch);
            let wanted = LeaderEpoch(asked.leader_epoch);
            let found = if allowed {
                end_offset(context, &topic.topic, index, current, wanted).await
            } else {
                Err(ErrorCode::TopicAuthorizationFailed)
            };
            let (epoch, end) = found.ok().flatten().unwrap_or((-1, -1));
            partitions.push(EpochEndOffset {
                error_code: found.err().map_or(0, ErrorCode::code),
                partition: asked.partition,
                leader_epoch: epoch,
                end_offset: end,
                ..Default::default()
            });
        }
        topics.push(OffsetForLeaderTopicResult {
            topic: topic.topic.to_string().into(),
            partitions,
            ..Default::default()
        });
    }
    OffsetForLeaderEpochResponse { topics, ..Default::default() }
}

/// The largest epoch of our log up to `wanted` and where it ends; `None` when all of ours are newer.
async fn end_offset(
    context: &RequestContext,
    topic: &str,
    index: PartitionIndex,
    current: LeaderEpoch,
    wanted: LeaderEpoch,
) -> Result<Option<(i32, i64)>, ErrorCode> {
    let node = &context.node;
    let partition = node.replica(topic, index)?;
    let look = || partition.as_leader(current, |log| Ok(log.end_offset_for_epoch(wanted)));
    let found = partition.enter(Use::Read, look).await.map_err(|error| error.code())?;
    Ok(found.map(|(epoch, end)| (epoch.get(), end.get())))
}
