//! OffsetDelete (47), version 0: forgets committed offsets of a group (KIP-496).

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
    for row in refused {
        match response.topics.iter_mut().find(|topic| topic.name == row.name) {
            Some(topic) => topic.partitions.extend(row.partitions),
            None => response.topics.push(row),
        }
    }
    response
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
