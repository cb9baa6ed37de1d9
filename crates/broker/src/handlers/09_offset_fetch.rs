//! OffsetFetch (9), versions 1-10: how far groups have come.
//!
//! v2 gives all topics for none named, v5 adds leader epochs, v7 `require_stable`, v8 asks for several groups at once, v9 has members
//! of consumer groups, v10 names topics by id.

use std::borrow::Cow;

use base::Uuid;
use group::{Query, Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(OffsetFetch, OffsetFetchRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: OffsetFetchRequest<'_>,
) -> OffsetFetchResponse<'static> {
    let request = request.into_owned();
    let stable = request.require_stable;
    if context.version >= 8 {
        let mut response = OffsetFetchResponse::default();
        for group in request.groups {
            response.groups.push(of_group(context, group, stable).await);
        }
        return response;
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..Default::default()
        });
        topics.collect()
    });
    let group =
        OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    single(context.version, of_group(context, group, stable).await)
}

/// The answer as before v8. Until v1 a group's error stood at each partition.
fn single(version: i16, group: OffsetFetchResponseGroup<'static>) -> OffsetFetchResponse<'static> {
    let topics = group.topics.into_iter().map(|topic| {
        let partitions =
            topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
                ..Default::default()
            });
        OffsetFetchResponseTopic {
            name: topic.name,
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: if version >= 2 { group.error_code } else { 0 },
        ..Default::default()
    }
}

async fn of_group(
    context: &RequestContext,
    mut asked: OffsetFetchRequestGroup<'static>,
    stable: bool,
) -> OffsetFetchResponseGroup<'static> {
    let group = asked.group_id.to_string();
    if !context.allows(Operation::Describe, Resource::Group(&group)) {
        return group_failed(context.version, &asked, ErrorCode::GroupAuthorizationFailed);
    }
    let all = asked.topics.is_none();
    let mut refused = Vec::new();
    if let Some(topics) = asked.topics.take() {
        let mut kept = Vec::new();
        for topic in topics {
            match resolve(context, topic) {
                Ok(topic) => kept.push(topic),
                Err(row) => refused.push(row),
            }
        }
        asked.topics = Some(kept);
    }
    let back = asked.clone();
    let (coordinators, node) = (&context.node.coordinators, &context.node);
    let reply = if stable {
        coordinators.request(node, &group, Request::OffsetFetch(asked)).await
    } else {
        coordinators.query(node, &group, Query::OffsetFetch(asked)).await
    };
    let mut answer = match reply {
        Ok(Reply::OffsetFetch(answer)) => answer,
        Ok(_) => return group_failed(context.version, &back, ErrorCode::UnknownServerError),
        Err(error) => return group_failed(context.version, &back, error),
    };
    if all {
        show_all(context, &mut answer);
    }
    answer.topics.extend(refused);
    answer
}

/// The topic by its name, or the row that says why not.
fn resolve(
    context: &RequestContext,
    mut topic: OffsetFetchRequestTopics<'static>,
) -> Result<OffsetFetchRequestTopics<'static>, OffsetFetchResponseTopics<'static>> {
    if context.version >= 10 {
        let image = context.node.image();
        let Some(known) = image.topics.by_id(topic.topic_id) else {
            return Err(topic_failed(&topic, ErrorCode::UnknownTopicId));
        };
        topic.name = known.name.to_string().into();
    }
    if !context.allows(Operation::Describe, Resource::Topic(&topic.name)) {
        return Err(topic_failed(&topic, ErrorCode::TopicAuthorizationFailed));
    }
    Ok(topic)
}

/// Of all topics of a group those that the asker may see; by id, those that exist.
fn show_all(context: &RequestContext, answer: &mut OffsetFetchResponseGroup<'static>) {
    let image = context.node.image();
    answer.topics.retain_mut(|topic| {
        if context.version >= 10 {
            topic.topic_id = image.topics.by_name(&topic.name).map_or(Uuid::ZERO, |known| known.id);
            if topic.topic_id.is_zero() {
                return false;
            }
        }
        context.allows(Operation::Describe, Resource::Topic(&topic.name))
    });
}

/// A group's error: at the group, and before v2 at each partition.
fn group_failed(
    version: i16,
    asked: &OffsetFetchRequestGroup<'_>,
    error: ErrorCode,
) -> OffsetFetchResponseGroup<'static> {
    let mut response = OffsetFetchResponseGroup {
        group_id: asked.group_id.to_string().into(),
        error_code: error.code(),
        ..Default::default()
    };
    if version < 2 {
        let topics = asked.topics.iter().flatten();
        response.topics = topics.map(|topic| topic_failed(topic, error)).collect();
    }
    response
}

fn topic_failed(
    topic: &OffsetFetchRequestTopics<'_>,
    error: ErrorCode,
) -> OffsetFetchResponseTopics<'static> {
    let partitions = topic.partition_indexes.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        metadata: Some(Cow::Borrowed("")),
        error_code: error.code(),
        ..Default::default()
    });
    OffsetFetchResponseTopics {
        name: topic.name.to_string().into(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..Default::default()
    }
}
