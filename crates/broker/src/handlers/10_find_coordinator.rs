//! FindCoordinator (10), versions 0-6: which broker coordinates a group, a transactional id or a share partition.
//!
//! v1 adds the type of key, v4 several keys in one request, v6 share partitions. Groups are coordinated by the leaders of the
//! partitions of `__consumer_offsets`, transactional ids by those of `__transaction_state`; the topics are created when they are asked
//! for first. Share partitions have no coordinators yet: COORDINATOR_NOT_AVAILABLE, what Kafka says while its own are not ready.

use std::sync::Arc;

use base::NodeId;
use group::GroupShard;
use protocol::ErrorCode;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use transaction::TransactionShard;

use crate::authorizer::{Operation, Resource};
use crate::coordinators::{Coordinators, Hosted};
use crate::request::RequestContext;
use crate::topics::auto_create;

crate::handler!(FindCoordinator, FindCoordinatorRequest<'_>, handle);

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

async fn handle(
    context: &RequestContext,
    request: FindCoordinatorRequest<'_>,
) -> FindCoordinatorResponse<'static> {
    let kind = request.key_type;
    if context.version < 4 {
        let found = find(context, kind, &request.key).await;
        return FindCoordinatorResponse {
            error_message: Some(ErrorCode::from_code(found.error_code).message().into()),
            error_code: found.error_code,
            node_id: found.node_id,
            host: found.host,
            port: found.port,
            ..Default::default()
        };
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in &request.coordinator_keys {
        coordinators.push(find(context, kind, key).await);
    }
    FindCoordinatorResponse { coordinators, ..Default::default() }
}

async fn find(context: &RequestContext, kind: i8, key: &str) -> Coordinator<'static> {
    let allowed = match kind {
        GROUP => context.allows(Operation::Describe, Resource::Group(key)),
        TRANSACTION => context.allows(Operation::Describe, Resource::TransactionalId(key)),
        _ => context.allows(Operation::ClusterAction, Resource::Cluster),
    };
    let is_known = [GROUP, TRANSACTION, SHARE].contains(&kind);
    let row = Coordinator { key: key.to_owned().into(), ..Default::default() };
    let found = match refusal(context.version, kind, key, allowed) {
        Some(error) => Err(error),
        None if kind == TRANSACTION => coordinator::<TransactionShard>(context, key).await,
        None => coordinator::<GroupShard>(context, key).await,
    };
    match found {
        Ok((id, host, port)) => Coordinator {
            node_id: id.get(),
            host: host.to_string().into(),
            port: i32::from(port),
            error_message: Some("".into()),
            ..row
        },
        Err(error) => Coordinator {
            node_id: -1,
            port: -1,
            error_code: error.code(),
            error_message: Some(
                if is_known { "" } else { ErrorCode::InvalidRequest.message() }.into(),
            ),
            ..row
        },
    }
}

/// The leader of the key's partition of the coordinator's topic, on the asker's listener.
async fn coordinator<S: Hosted>(
    context: &RequestContext,
    key: &str,
) -> Result<(NodeId, Arc<str>, u16), ErrorCode> {
    let node = &context.node;
    let partition = || Coordinators::<S>::partition_of(node, key);
    if partition().is_none() {
        auto_create(context, &[(0, S::TOPIC.to_owned())]).await;
    }
    let at = partition().ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let image = node.image();
    let topic = image.topics.by_name(S::TOPIC);
    let partition = topic.and_then(|topic| image.topics.partition(topic.id, at));
    let leader = partition.and_then(|partition| image.cluster.broker(partition.leader));
    let alive = leader.filter(|broker| !broker.fenced);
    alive
        .and_then(|broker| Some((broker.id, broker.endpoint(&context.connection.listener)?)))
        .map(|(id, endpoint)| (id, Arc::clone(&endpoint.host), endpoint.port))
        .ok_or(ErrorCode::CoordinatorNotAvailable)
}

/// Why there is no coordinator for a key, in the order in which Kafka looks.
fn refusal(version: i16, kind: i8, key: &str, allowed: bool) -> Option<ErrorCode> {
    let error = match kind {
        SHARE if version < 6 => ErrorCode::InvalidRequest,
        GROUP if !allowed => ErrorCode::GroupAuthorizationFailed,
        TRANSACTION if !allowed => ErrorCode::TransactionalIdAuthorizationFailed,
        SHARE if !allowed => ErrorCode::ClusterAuthorizationFailed,
        SHARE if !is_share_key(key) => ErrorCode::InvalidRequest,
        GROUP | TRANSACTION => return None,
        SHARE => ErrorCode::CoordinatorNotAvailable,
        _ => ErrorCode::InvalidRequest,
    };
    Some(error)
}

/// `group:topicId:partition`, where the group may contain colons.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().is_some_and(|part| part.parse::<i32>().is_ok());
    let topic = parts.next().is_some_and(|part| part.parse::<base::Uuid>().is_ok());
    partition && topic && parts.next().is_some_and(|group| !group.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_refused_as_kafka_does() {
        let share = "my:group:AAAAAAAAAAAAAAAAAAAAAQ:0";
        let cases = [
            (1, GROUP, "g", true, ErrorCode::None),
            (4, GROUP, "", true, ErrorCode::None),
            (4, GROUP, "g", false, ErrorCode::GroupAuthorizationFailed),
            (6, TRANSACTION, "t", true, ErrorCode::None),
            (6, TRANSACTION, "t", false, ErrorCode::TransactionalIdAuthorizationFailed),
            (5, SHARE, share, true, ErrorCode::InvalidRequest),
            (6, SHARE, share, true, ErrorCode::CoordinatorNotAvailable),
            (6, SHARE, share, false, ErrorCode::ClusterAuthorizationFailed),
            (6, SHARE, "group:0", true, ErrorCode::InvalidRequest),
            (6, SHARE, "group:topic:0", true, ErrorCode::InvalidRequest),
            (6, 3, "g", true, ErrorCode::InvalidRequest),
            (6, -1, "g", true, ErrorCode::InvalidRequest),
        ];
        for (version, kind, key, allowed, expected) in cases {
            let refused = refusal(version, kind, key, allowed).unwrap_or(ErrorCode::None);
            assert_eq!(refused, expected, "v{version} {kind} {key}");
        }
    }
}
