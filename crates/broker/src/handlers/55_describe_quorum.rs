//! DescribeQuorum (55), versions 0-2: leader, epoch, voters and observers of the metadata log.

use protocol::ErrorCode;
use protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;

use crate::authorizer::Operation;
use crate::forward;
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
    let asked = QuorumRequest::DescribeQuorum(request.into_owned());
    match forward::ask_quorum(context, Operation::Describe, asked).await {
        Ok(QuorumResponse::DescribeQuorum(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}
