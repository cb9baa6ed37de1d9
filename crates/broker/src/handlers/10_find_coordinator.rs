//! FindCoordinator (10), versions 0-6: which broker coordinates a group, a transactional id or a share partition.
//!
//! v1 adds the type of key, v4 several keys in one request, v6 share partitions. This node has no coordinators yet, and says what
//! Kafka says while its coordinators are not ready: COORDINATOR_NOT_AVAILABLE, to be asked again. So clients that name a group
//! but assign themselves their partitions work; Java's would otherwise take the missing API for a fatal error.

use protocol::ErrorCode;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(FindCoordinator, FindCoordinatorRequest<'_>, handle);

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

async fn handle(
    context: &RequestContext,
    request: FindCoordinatorRequest<'_>,
) -> FindCoordinatorResponse<'static> {
    let (version, kind) = (context.version, request.key_type);
    let error_of = |key: &str| {
        let allowed = match kind {
            GROUP => context.allows(Operation::Describe, Resource::Group(key)),
            TRANSACTION => context.allows(Operation::Describe, Resource::TransactionalId(key)),
            _ => context.allows(Operation::ClusterAction, Resource::Cluster),
        };
        refusal(version, kind, key, allowed)
    };
    if version < 4 {
        let error = error_of(&request.key);
        return FindCoordinatorResponse {
            error_code: error.code(),
            error_message: Some(error.message().into()),
            node_id: -1,
            port: -1,
            ..Default::default()
        };
    }
    let is_known = [GROUP, TRANSACTION, SHARE].contains(&kind);
    let row = |key: &std::borrow::Cow<'_, str>| Coordinator {
        key: key.to_string().into(),
        node_id: -1,
        port: -1,
        error_code: error_of(key).code(),
        error_message: Some(if is_known { "" } else { ErrorCode::InvalidRequest.message() }.into()),
        ..Default::default()
    };
    let coordinators = request.coordinator_keys.iter().map(row).collect();
    FindCoordinatorResponse { coordinators, ..Default::default() }
}

/// Why there is no coordinator for a key, in the order in which Kafka looks.
fn refusal(version: i16, kind: i8, key: &str, allowed: bool) -> ErrorCode {
    match kind {
        SHARE if version < 6 => ErrorCode::InvalidRequest,
        GROUP if !allowed => ErrorCode::GroupAuthorizationFailed,
        TRANSACTION if !allowed => ErrorCode::TransactionalIdAuthorizationFailed,
        SHARE if !allowed => ErrorCode::ClusterAuthorizationFailed,
        SHARE if !is_share_key(key) => ErrorCode::InvalidRequest,
        GROUP | TRANSACTION | SHARE => ErrorCode::CoordinatorNotAvailable,
        _ => ErrorCode::InvalidRequest,
    }
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
            (1, GROUP, "g", true, ErrorCode::CoordinatorNotAvailable),
            (4, GROUP, "", true, ErrorCode::CoordinatorNotAvailable),
            (4, GROUP, "g", false, ErrorCode::GroupAuthorizationFailed),
            (6, TRANSACTION, "t", true, ErrorCode::CoordinatorNotAvailable),
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
            assert_eq!(refusal(version, kind, key, allowed), expected, "v{version} {kind} {key}");
        }
    }
}
