//! RemoveRaftVoter (81), version 0: a controller is no voter of the metadata quorum any more (KIP-853).

use protocol::ErrorCode;
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;

use crate::authorizer::{Operation, Resource};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(RemoveRaftVoter, RemoveRaftVoterRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: RemoveRaftVoterRequest<'_>,
) -> RemoveRaftVoterResponse<'static> {
    let failed = |error: ErrorCode| RemoveRaftVoterResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::Alter, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    if let Some(error) = context.submit_failure() {
        return failed(error);
    }
    let asked = QuorumRequest::RemoveRaftVoter(request.into_owned());
    match context.node.quorum.ask(asked, context.asker()).await {
        Ok(QuorumResponse::RemoveRaftVoter(response)) => response,
        _ => failed(ErrorCode::UnknownServerError),
    }
}
