//! ListPartitionReassignments (46), version 0: moves under way; forwarded to the controller.

use protocol::ErrorCode;
use protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(ListPartitionReassignments, ListPartitionReassignmentsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: ListPartitionReassignmentsRequest<'_>,
) -> ListPartitionReassignmentsResponse<'static> {
    let failed = |error: ErrorCode| ListPartitionReassignmentsResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::Describe, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, ListPartitionReassignments(request.into_owned())).unwrap_or_else(failed)
}
