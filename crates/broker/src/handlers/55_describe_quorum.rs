//! DescribeQuorum (55), versions 0-2: leader, epoch, voters and observers of the metadata log.

use protocol::ErrorCode;
use protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;

use crate::authorizer::{Operation, Resource};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(DescribeQuorum, DescribeQuorumRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: DescribeQuorumRequest<'_>,
) -> DescribeQuorumResponse<'static> {
    let failed = |error: ErrorCode| DescribeQuorumResponse {
        error_code: error.code(),
        error_message: (context.version >= 2).then(|| error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::Describe, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    if let Some(error) = context.submit_failure() {
        return failed(error);
    }
    let asked = QuorumRequest::DescribeQuorum(request.into_owned());
    match context.node.quorum.ask(asked, context.asker()).await {
        Ok(QuorumResponse::DescribeQuorum(response)) => response,
        _ => failed(ErrorCode::UnknownServerError),
    }
}
