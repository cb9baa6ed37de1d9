//! DescribeProducers (61), version 0: the producers whose sequences a partition remembers.

use base::{LeaderEpoch, Offset, PartitionIndex};
use controller::why_topic_name_invalid;
use protocol::ErrorCode;
use protocol::messages::describe_producers_request::DescribeProducersRequest;
use protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

use crate::authorizer::{Operation, Resource};
use crate::partitions::Use;
use crate::request::RequestContext;

crate::handler!(DescribeProducers, DescribeProducersRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: DescribeProducersRequest<'_>,
) -> DescribeProducersResponse<'static> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in &topic.partition_indexes {
            let invalid = why_topic_name_invalid(&topic.name);
            // Kafka words these two, and says nothing more than the code for a partition that a known topic lacks.
            let message = invalid.clone().or_else(|| {
                let unknown = context.node.image().topics.by_name(&topic.name).is_none();
                unknown.then(|| ErrorCode::UnknownTopicOrPartition.message().to_owned())
            });
            let described = if invalid.is_some() {
                Err(ErrorCode::InvalidTopicException)
            } else if !context.allows(Operation::Read, Resource::Topic(&topic.name)) {
                Err(ErrorCode::TopicAuthorizationFailed)
            } else {
                describe(context, &topic.name, PartitionIndex(*index)).await
            };
            partitions.push(match described {
                Ok(active_producers) => PartitionResponse {
                    partition_index: *index,
                    active_producers,
                    ..Default::default()
                },
                Err(error) => PartitionResponse {
                    partition_index: *index,
                    error_code: error.code(),
                    error_message: message
                        .filter(|_| error != ErrorCode::TopicAuthorizationFailed)
                        .map(Into::into),
                    ..Default::default()
                },
            });
        }
        topics.push(TopicResponse {
            name: topic.name.to_string().into(),
            partitions,
            ..Default::default()
        });
    }
    DescribeProducersResponse { topics, ..Default::default() }
}

async fn describe(
    context: &RequestContext,
    topic: &str,
    index: PartitionIndex,
) -> Result<Vec<ProducerState>, ErrorCode> {
    let node = &context.node;
    let partition = node.replica(topic, index)?;
    // Any replica tells what its own log knows.
    let look = || partition.as_replica(LeaderEpoch::NONE, |log| Ok(log.active_producers()));
    let active = partition.enter(Use::Read, look).await;
    let active = active.map_err(|error| error.code())?;
    let row = |producer: storage::log::ActiveProducer| ProducerState {
        producer_id: producer.producer_id.get(),
        producer_epoch: producer.producer_epoch.get().into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.txn_start_offset.map_or(-1, Offset::get),
        ..Default::default()
    };
    Ok(active.into_iter().map(row).collect())
}
