//! EndQuorumEpoch (54), versions 0-1: a leader resigns; controllers only.

use protocol::ErrorCode;
use protocol::messages::end_quorum_epoch_request::EndQuorumEpochRequest;
use protocol::messages::end_quorum_epoch_response::EndQuorumEpochResponse;

use crate::authorizer::{Operation, Resource};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(EndQuorumEpoch, EndQuorumEpochRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: EndQuorumEpochRequest<'_>,
) -> EndQuorumEpochResponse<'static> {
    let failed = |error: ErrorCode| EndQuorumEpochResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    let asked = QuorumRequest::EndQuorumEpoch(request.into_owned());
    match context.node.quorum.ask(asked, context.asker()).await {
        Ok(QuorumResponse::EndQuorumEpoch(response)) => response,
        _ => failed(ErrorCode::UnknownServerError),
    }
}
