//! ConsumerGroupDescribe (69), versions 0-1: consumer groups, their members and assignments.
//!
//! v1 tells which protocol a member speaks.

use group::consumer;
use group::{Query, Reply};
use protocol::ErrorCode;
use protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use protocol::messages::consumer_group_describe_response::{
    ConsumerGroupDescribeResponse, DescribedGroup, Member,
};

use crate::authorizer::{Operation, Resource};
use crate::coordinators::serves_consumer_groups;
use crate::request::RequestContext;

crate::handler!(ConsumerGroupDescribe, ConsumerGroupDescribeRequest<'_>, handle);

const TOPICS_HIDDEN: &str =
    "The group has described topic(s) that the client is not authorized to describe.";

async fn handle(
    context: &RequestContext,
    request: ConsumerGroupDescribeRequest<'_>,
) -> ConsumerGroupDescribeResponse<'static> {
    let serves = serves_consumer_groups(&context.node);
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for id in &request.group_ids {
        let mut group = if serves {
            describe(context, id).await
        } else {
            failed(id, ErrorCode::UnsupportedVersion)
        };
        if request.include_authorized_operations && group.error_code == 0 {
            group.authorized_operations =
                context.node.authorizer.allowed_operations(&context.principal, Resource::Group(id));
        }
        groups.push(group);
    }
    // Those that were refused come first.
    groups.sort_by_key(|group| group.error_code != ErrorCode::GroupAuthorizationFailed.code());
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}

async fn describe(context: &RequestContext, id: &str) -> DescribedGroup<'static> {
    if !context.allows(Operation::Describe, Resource::Group(id)) {
        return failed(id, ErrorCode::GroupAuthorizationFailed);
    }
    if id.is_empty() {
        return failed(id, ErrorCode::InvalidGroupId);
    }
    let query = Query::Consumer(consumer::Query::Describe { groups: vec![id.to_owned()] });
    let reply = context.node.coordinators.query(&context.node, id, query).await;
    let mut described = match reply {
        Ok(Reply::Consumer(consumer::Reply::Described(described))) => described,
        Ok(_) => Vec::new(),
        Err(error) => return failed(id, error),
    };
    let Some(group) = described.pop() else { return failed(id, ErrorCode::UnknownServerError) };
    if group.members.iter().all(|member| may_see(context, member)) {
        return group;
    }
    DescribedGroup {
        error_code: ErrorCode::TopicAuthorizationFailed.code(),
        error_message: Some(TOPICS_HIDDEN.into()),
        members: Vec::new(),
        ..group
    }
}

/// All topics of its assignments.
fn may_see(context: &RequestContext, member: &Member<'_>) -> bool {
    let assignments = [&member.assignment, &member.target_assignment];
    let mut topics = assignments.iter().flat_map(|assignment| &assignment.topic_partitions);
    topics.all(|topic| context.allows(Operation::Describe, Resource::Topic(&topic.topic_name)))
}

fn failed(id: &str, error: ErrorCode) -> DescribedGroup<'static> {
    DescribedGroup {
        group_id: id.to_owned().into(),
        error_code: error.code(),
        ..Default::default()
    }
}
