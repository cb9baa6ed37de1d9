//! AlterPartitionReassignments (45), versions 0-1: moves replicas; forwarded to the controller. v1 can forbid a change of the replication factor.

use protocol::ErrorCode;
use protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use protocol::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(AlterPartitionReassignments, AlterPartitionReassignmentsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: AlterPartitionReassignmentsRequest<'_>,
) -> AlterPartitionReassignmentsResponse<'static> {
    let failed = |error: ErrorCode| AlterPartitionReassignmentsResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::Alter, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, AlterPartitionReassignments(request.into_owned())).unwrap_or_else(failed)
}
