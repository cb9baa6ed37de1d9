//! Vote (52), versions 0-2: a voter asks for votes (KIP-595, pre-vote KIP-996); controllers only.

use protocol::ErrorCode;
use protocol::messages::vote_request::VoteRequest;
use protocol::messages::vote_response::VoteResponse;

use crate::authorizer::{Operation, Resource};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(Vote, VoteRequest<'_>, handle);

async fn handle(context: &RequestContext, request: VoteRequest<'_>) -> VoteResponse<'static> {
    let failed = |error: ErrorCode| VoteResponse { error_code: error.code(), ..Default::default() };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    let asked = QuorumRequest::Vote(request.into_owned());
    match context.node.quorum.ask(asked, context.asker()).await {
        Ok(QuorumResponse::Vote(response)) => response,
        _ => failed(ErrorCode::UnknownServerError),
    }
}
