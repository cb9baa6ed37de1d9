//! JoinGroup (11), versions 0-9: a member comes into a classic group, and waits for the others.
//!
//! v1 adds the rebalance timeout, v4 asks members without id to come again with the one they are given, v5 has static members, v7
//! tells the protocol's type, v8 gives a reason, v9 tells a leader that its assignment stays.

use std::sync::Arc;

use group::{Reply, Request, classic};
use net::{Frame, Handled};
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::{ApiKey, ErrorCode};

use crate::authorizer::{Operation, Resource};
use crate::coordinators::GroupCoordinators;
use crate::request::{Handler, HandlerFuture, RequestContext, Run};

pub const HANDLER: Handler = Handler { api: ApiKey::JoinGroup, run: Run::Takes(run) };

/// From this version on the protocol's name may be missing.
const VERSION_OF_NO_PROTOCOL_NAME: i16 = 7;

fn run(context: Arc<RequestContext>, frame: Frame) -> HandlerFuture {
    Box::pin(handle(context, frame))
}

async fn handle(context: Arc<RequestContext>, frame: Frame) -> Handled {
    let mut request: JoinGroupRequest<'static> = match context.decode(&frame) {
        Ok(request) => JoinGroupRequest::into_owned(request),
        Err(closing) => return closing,
    };
    drop(frame);
    if context.version == 0 {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        return respond(&context, failed("", ErrorCode::GroupAuthorizationFailed));
    }
    let member_id = request.member_id.to_string();
    if request.group_id.is_empty() {
        return respond(&context, failed(&member_id, ErrorCode::InvalidGroupId));
    }
    let group = request.group_id.to_string();
    let ask = Request::Classic(classic::Request::JoinGroup { caller: context.caller(), request });
    match context.node.coordinators.begin(&context.node, &group, ask).await {
        Err(error) => respond(&context, failed("", error)),
        Ok(owed) => Handled::Later(Box::pin(async move {
            let response = match GroupCoordinators::answer(owed).await {
                Ok(Reply::Classic(classic::Reply::JoinGroup(response))) => response,
                Ok(_) => failed("", ErrorCode::UnknownServerError),
                Err(error) => failed("", error),
            };
            context.encode(&fit(&context, response), &mut [])
        })),
    }
}

fn respond(context: &RequestContext, response: JoinGroupResponse<'static>) -> Handled {
    context.respond(&fit(context, response))
}

fn fit(
    context: &RequestContext,
    mut response: JoinGroupResponse<'static>,
) -> JoinGroupResponse<'static> {
    if context.version < VERSION_OF_NO_PROTOCOL_NAME {
        response.protocol_name.get_or_insert_default();
    }
    response
}

fn failed(member_id: &str, error: ErrorCode) -> JoinGroupResponse<'static> {
    JoinGroupResponse {
        error_code: error.code(),
        member_id: member_id.to_owned().into(),
        protocol_name: None,
        ..Default::default()
    }
}
