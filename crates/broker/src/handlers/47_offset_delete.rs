//! OffsetDelete (47), version 0: forgets committed offsets of a group (KIP-496).

use std::collections::HashMap;

use group::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_delete_request::{OffsetDeleteRequest, OffsetDeleteRequestTopic};
use protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(OffsetDelete, OffsetDeleteRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: OffsetDeleteRequest<'_>,
) -> OffsetDeleteResponse<'static> {
    let failed =
        |error: ErrorCode| OffsetDeleteResponse { error_code: error.code(), ..Default::default() };
    let mut request = request.into_owned();
    let group = request.group_id.to_string();
    if !context.allows(Operation::Delete, Resource::Group(&group)) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    if group.is_empty() {
        return failed(ErrorCode::InvalidGroupId);
    }
    let mut refused = Vec::new();
    for topic in &mut request.topics {
        refused.extend(sort_out(context, topic));
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let delete = Request::OffsetDelete(request);
    let mut response = match context.node.coordinators.request(&context.node, &group, delete).await
    {
        Ok(Reply::OffsetDelete(response)) => response,
        Ok(_) => return failed(ErrorCode::UnknownServerError),
        Err(error) => return failed(error),
    };
    if response.error_code != 0 {
        return response;
    }
    response.topics = one_row_each(refused.into_iter().chain(response.topics));
    response
}

/// One row per topic, refused partitions first.
fn one_row_each(
    rows: impl Iterator<Item = OffsetDeleteResponseTopic<'static>>,
) -> Vec<OffsetDeleteResponseTopic<'static>> {
    let mut topics: Vec<OffsetDeleteResponseTopic<'static>> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let at = *places.entry(row.name.clone()).or_insert(topics.len());
        match topics.get_mut(at) {
            Some(topic) => topic.partitions.extend(row.partitions),
            None => topics.push(row),
        }
    }
    topics
}

/// Takes out of a topic what cannot be asked for, as rows of the answer.
fn sort_out(
    context: &RequestContext,
    topic: &mut OffsetDeleteRequestTopic<'static>,
) -> Option<OffsetDeleteResponseTopic<'static>> {
    let image = context.node.image();
    let known = image.topics.by_name(&topic.name);
    let (there, refused): (Vec<_>, Vec<_>) = topic.partitions.drain(..).partition(|partition| {
        let index = partition.partition_index.into();
        known.is_some_and(|known| image.topics.partition(known.id, index).is_some())
            && context.allows(Operation::Read, Resource::Topic(&topic.name))
    });
    topic.partitions = there;
    let error = if context.allows(Operation::Read, Resource::Topic(&topic.name)) {
        ErrorCode::UnknownTopicOrPartition
    } else {
        ErrorCode::TopicAuthorizationFailed
    };
    let rows = refused.into_iter().map(|partition| OffsetDeleteResponsePartition {
        partition_index: partition.partition_index,
        error_code: error.code(),
    });
    let partitions: Vec<_> = rows.collect();
    (!partitions.is_empty())
        .then(|| OffsetDeleteResponseTopic { name: topic.name.clone(), partitions })
}
