//! UpdateRaftVoter (82), version 0: a voter tells its endpoints and versions (KIP-853); controllers only.

use protocol::ErrorCode;
use protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;

use crate::authorizer::{Operation, Resource};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(UpdateRaftVoter, UpdateRaftVoterRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: UpdateRaftVoterRequest<'_>,
) -> UpdateRaftVoterResponse<'static> {
    let failed = |error: ErrorCode| UpdateRaftVoterResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    let asked = QuorumRequest::UpdateRaftVoter(request.into_owned());
    match context.node.quorum.ask(asked, context.asker()).await {
        Ok(QuorumResponse::UpdateRaftVoter(response)) => response,
        _ => failed(ErrorCode::UnknownServerError),
    }
}
