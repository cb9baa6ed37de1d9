//! RemoveRaftVoter (81), version 0: a controller is no voter of the metadata quorum any more (KIP-853).

use protocol::ErrorCode;
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;

use crate::authorizer::Operation;
use crate::forward;
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
    let asked = QuorumRequest::RemoveRaftVoter(request.into_owned());
    match forward::ask_quorum(context, Operation::Alter, asked).await {
        Ok(QuorumResponse::RemoveRaftVoter(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}
