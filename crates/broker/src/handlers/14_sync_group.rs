//! SyncGroup (14), versions 0-5: the leader of a classic group assigns, members take what is theirs.
//!
//! v3 has static members, v5 names the protocol that is assigned by.

use std::sync::Arc;

use group::{Reply, Request, classic};
use net::{Frame, Handled};
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;
use protocol::{ApiKey, ErrorCode};

use crate::authorizer::{Operation, Resource};
use crate::coordinators::GroupCoordinators;
use crate::request::{Handler, HandlerFuture, RequestContext, Run};

pub const HANDLER: Handler = Handler { api: ApiKey::SyncGroup, run: Run::Takes(run) };

/// From this version on members must name the protocol.
const VERSION_OF_PROTOCOL: i16 = 5;

fn run(context: Arc<RequestContext>, frame: Frame) -> HandlerFuture {
    Box::pin(handle(context, frame))
}

async fn handle(context: Arc<RequestContext>, frame: Frame) -> Handled {
    let request: SyncGroupRequest<'static> = match context.decode(&frame) {
        Ok(request) => SyncGroupRequest::into_owned(request),
        Err(closing) => return closing,
    };
    drop(frame);
    if let Some(error) = refusal(&context, &request) {
        return context.respond(&failed(error));
    }
    let group = request.group_id.to_string();
    let ask = Request::Classic(classic::Request::SyncGroup { caller: context.caller(), request });
    match context.node.coordinators.begin(&context.node, &group, ask).await {
        Err(error) => context.respond(&failed(error)),
        Ok(owed) => Handled::Later(Box::pin(async move {
            let response = match GroupCoordinators::answer(owed).await {
                Ok(Reply::Classic(classic::Reply::SyncGroup(response))) => response,
                Ok(_) => failed(ErrorCode::UnknownServerError),
                Err(error) => failed(error),
            };
            context.encode(&response, &mut [])
        })),
    }
}

fn refusal(context: &RequestContext, request: &SyncGroupRequest<'_>) -> Option<ErrorCode> {
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.version >= VERSION_OF_PROTOCOL && !named {
        Some(ErrorCode::InconsistentGroupProtocol)
    } else if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        Some(ErrorCode::GroupAuthorizationFailed)
    } else if request.group_id.is_empty() {
        Some(ErrorCode::InvalidGroupId)
    } else {
        None
    }
}

fn failed(error: ErrorCode) -> SyncGroupResponse<'static> {
    SyncGroupResponse { error_code: error.code(), ..Default::default() }
}
