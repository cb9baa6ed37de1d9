//! LeaveGroup (13), versions 0-5: members go from a classic group. v3 has several, also by instance id, v5 gives reasons.

use group::{Reply, Request, classic};
use protocol::ErrorCode;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::LeaveGroupResponse;

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(LeaveGroup, LeaveGroupRequest<'_>, handle);

/// From this version on several members leave at once.
const VERSION_OF_MEMBERS: i16 = 3;

async fn handle(
    context: &RequestContext,
    request: LeaveGroupRequest<'_>,
) -> LeaveGroupResponse<'static> {
    let failed =
        |error: ErrorCode| LeaveGroupResponse { error_code: error.code(), ..Default::default() };
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    if request.group_id.is_empty() {
        return failed(ErrorCode::InvalidGroupId);
    }
    let mut request = request.into_owned();
    let single = context.version < VERSION_OF_MEMBERS;
    if single {
        let member_id = std::mem::take(&mut request.member_id);
        request.members = vec![MemberIdentity { member_id, ..Default::default() }];
    }
    let group = request.group_id.to_string();
    let ask = Request::Classic(classic::Request::LeaveGroup { caller: context.caller(), request });
    match context.node.coordinators.request(&context.node, &group, ask).await {
        Ok(Reply::Classic(classic::Reply::LeaveGroup(response))) if single => {
            let of_member = response.members.first().map_or(0, |member| member.error_code);
            let error_code = if response.error_code == 0 { of_member } else { response.error_code };
            LeaveGroupResponse { error_code, ..Default::default() }
        }
        Ok(Reply::Classic(classic::Reply::LeaveGroup(response))) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}
