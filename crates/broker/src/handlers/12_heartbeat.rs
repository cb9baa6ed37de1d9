//! Heartbeat (12), versions 0-4: a member of a classic group is alive. v3 has static members.

use group::{Reply, Request, classic};
use protocol::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(Heartbeat, HeartbeatRequest<'_>, handle);

async fn handle(context: &RequestContext, request: HeartbeatRequest<'_>) -> HeartbeatResponse {
    let failed =
        |error: ErrorCode| HeartbeatResponse { error_code: error.code(), ..Default::default() };
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    if request.group_id.is_empty() {
        return failed(ErrorCode::InvalidGroupId);
    }
    let request = request.into_owned();
    let group = request.group_id.to_string();
    let ask = Request::Classic(classic::Request::Heartbeat { caller: context.caller(), request });
    match context.node.coordinators.request(&context.node, &group, ask).await {
        Ok(Reply::Classic(classic::Reply::Heartbeat(response))) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        // Its session begins anew when the group is loaded: nothing is wrong.
        Err(ErrorCode::CoordinatorLoadInProgress) => failed(ErrorCode::None),
        Err(error) => failed(error),
    }
}
