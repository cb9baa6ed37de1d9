//! BeginQuorumEpoch (53), versions 0-1: a voter says that it leads; controllers only.

use protocol::ErrorCode;
use protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;

use crate::authorizer::{Operation, Resource};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(BeginQuorumEpoch, BeginQuorumEpochRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: BeginQuorumEpochRequest<'_>,
) -> BeginQuorumEpochResponse<'static> {
    let failed = |error: ErrorCode| BeginQuorumEpochResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    let asked = QuorumRequest::BeginQuorumEpoch(request.into_owned());
    match context.node.quorum.ask(asked, context.asker()).await {
        Ok(QuorumResponse::BeginQuorumEpoch(response)) => response,
        _ => failed(ErrorCode::UnknownServerError),
    }
}
