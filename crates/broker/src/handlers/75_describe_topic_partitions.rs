//! DescribeTopicPartitions (75), version 0 (KIP-966): topics page by page, with their eligible leader replicas.
//!
//! Topics come in the order of their names. A response holds at most as many partitions as asked for and as
//! `max.request.partition.size.limit` allows, and a cursor where there are more.

use std::collections::BTreeSet;

use metadata::{Image, Topic};
use protocol::ErrorCode;
use protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};

use super::metadata::{OPERATIONS_NOT_ASKED, numbers, shown};
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;
use crate::topics::{is_internal, is_valid_name};

crate::handler!(DescribeTopicPartitions, DescribeTopicPartitionsRequest<'_>, handle);

type Response = DescribeTopicPartitionsResponse<'static>;
type ResponseTopic = DescribeTopicPartitionsResponseTopic<'static>;

async fn handle(context: &RequestContext, request: DescribeTopicPartitionsRequest<'_>) -> Response {
    let image = context.node.image();
    let cursor = request.cursor.as_ref();
    let from = cursor.map_or("", |cursor| &cursor.topic_name);
    let names: BTreeSet<&str> = if request.topics.is_empty() {
        image.topics.from_name(from).map(|topic| &*topic.name).collect()
    } else {
        request.topics.iter().map(|topic| &*topic.name).filter(|name| *name >= from).collect()
    };
    // A cursor stands in a topic that is asked for, and at a partition.
    let listed = request.topics.is_empty() || cursor.is_none_or(|c| names.contains(&*c.topic_name));
    if !listed || cursor.is_some_and(|cursor| cursor.partition_index < 0) {
        return invalid(&request);
    }
    let limit = context.node.config().fetch.max_request_partition_size_limit;
    let mut left = request.response_partition_limit.min(limit).max(1) as usize;
    let mut response = Response::default();
    for name in names {
        let first = cursor.filter(|c| c.topic_name == name).map_or(0, |c| c.partition_index);
        if !context.allows(Operation::Describe, Resource::Topic(name)) {
            if !request.topics.is_empty() {
                response.topics.push(failed(ErrorCode::TopicAuthorizationFailed, name));
            }
            continue;
        }
        let Some(topic) = image.topics.by_name(name) else {
            let error = if is_valid_name(name) {
                ErrorCode::UnknownTopicOrPartition
            } else {
                ErrorCode::InvalidTopicException
            };
            let resource = Resource::Topic(name);
            response.topics.push(ResponseTopic {
                topic_authorized_operations: context
                    .node
                    .authorizer
                    .allowed_operations(&context.principal, resource),
                ..failed(error, name)
            });
            continue;
        };
        if left == 0 {
            response.next_cursor = Some(cursor_at(name, first));
            return response;
        }
        let (described, next) = describe(context, &image, topic, first, left);
        left -= described.partitions.len();
        response.topics.push(described);
        if let Some(next) = next {
            response.next_cursor = Some(cursor_at(name, next));
            return response;
        }
    }
    response
}

fn invalid(request: &DescribeTopicPartitionsRequest<'_>) -> Response {
    let topics = request.topics.iter();
    Response {
        topics: topics
            .map(|topic| ResponseTopic {
                is_internal: false,
                ..failed(ErrorCode::InvalidRequest, &topic.name)
            })
            .collect(),
        ..Default::default()
    }
}

fn cursor_at(name: &str, partition_index: i32) -> Cursor<'static> {
    Cursor { topic_name: name.to_owned().into(), partition_index, ..Default::default() }
}

fn failed(error: ErrorCode, name: &str) -> ResponseTopic {
    ResponseTopic {
        error_code: error.code(),
        name: Some(name.to_owned().into()),
        is_internal: is_internal(name),
        topic_authorized_operations: OPERATIONS_NOT_ASKED,
        ..Default::default()
    }
}

/// At most `limit` partitions from `first` on, and the index of the next one where there are more.
fn describe(
    context: &RequestContext,
    image: &Image,
    topic: &Topic,
    first: i32,
    limit: usize,
) -> (ResponseTopic, Option<i32>) {
    let mut rest = topic.partitions().skip_while(|(index, _)| index.get() < first);
    let row = |(index, partition): (base::PartitionIndex, &metadata::Partition)| {
        let shown = shown(context, image, partition);
        DescribeTopicPartitionsResponsePartition {
            error_code: shown.error.code(),
            partition_index: index.get(),
            leader_id: shown.leader.get(),
            leader_epoch: partition.leader_epoch.get(),
            replica_nodes: numbers(&partition.replicas),
            isr_nodes: numbers(&partition.isr),
            eligible_leader_replicas: Some(numbers(&partition.elr)),
            last_known_elr: Some(numbers(&partition.last_known_elr)),
            offline_replicas: shown.offline,
            ..Default::default()
        }
    };
    let partitions = rest.by_ref().take(limit).map(row).collect();
    let resource = Resource::Topic(&topic.name);
    let described = ResponseTopic {
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: context
            .node
            .authorizer
            .allowed_operations(&context.principal, resource),
        ..Default::default()
    };
    (described, rest.next().map(|(index, _)| index.get()))
}
