//! ConsumerGroupHeartbeat (68), versions 0-1: a member of a consumer group joins, goes on, or leaves (KIP-848).
//!
//! v1 has clients make their member ids, and adds patterns of topics.

use group::consumer::{self, Refusal, refused};
use group::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use crate::authorizer::{Operation, Resource};
use crate::coordinators::{consumer_groups, serves_consumer_groups};
use crate::request::RequestContext;

crate::handler!(ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: ConsumerGroupHeartbeatRequest<'_>,
) -> ConsumerGroupHeartbeatResponse<'static> {
    if let Err(refusal) = check(context, &request) {
        return refused(refusal);
    }
    let group = request.group_id.to_string();
    let request = request.into_owned();
    let ask = consumer::Request::Heartbeat { caller: context.caller(), request };
    let (coordinators, node) = (&context.node.coordinators, &context.node);
    match coordinators.request(node, &group, Request::Consumer(ask)).await {
        Ok(Reply::Consumer(consumer::Reply::Heartbeat(response))) => response,
        Ok(_) | Err(ErrorCode::UnknownServerError) => {
            refused(Refusal::plain(ErrorCode::UnknownServerError))
        }
        Err(error) => refused(Refusal::new(error, error.message())),
    }
}

/// What can be told without the group.
fn check(
    context: &RequestContext,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) -> Result<(), Refusal> {
    if !serves_consumer_groups(&context.node) {
        return Err(Refusal::plain(ErrorCode::UnsupportedVersion));
    }
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        return Err(Refusal::plain(ErrorCode::GroupAuthorizationFailed));
    }
    let mut names = request.subscribed_topic_names.iter().flatten();
    if !names.all(|name| context.allows(Operation::Describe, Resource::Topic(name))) {
        return Err(Refusal::plain(ErrorCode::TopicAuthorizationFailed));
    }
    let config = consumer_groups(&context.node.config());
    consumer::validate(request, context.version, &config)
}
