//! AddRaftVoter (80), versions 0-1: a controller becomes a voter of the metadata quorum (KIP-853).

use protocol::ErrorCode;
use protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;

use crate::authorizer::Operation;
use crate::forward;
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(AddRaftVoter, AddRaftVoterRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: AddRaftVoterRequest<'_>,
) -> AddRaftVoterResponse<'static> {
    let failed = |error: ErrorCode| AddRaftVoterResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    let asked = QuorumRequest::AddRaftVoter(request.into_owned());
    match forward::ask_quorum(context, Operation::Alter, asked).await {
        Ok(QuorumResponse::AddRaftVoter(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}
