//! AlterPartition (56), versions 2-3: a leader asks for another set of in-sync replicas; v3 names their broker epochs (KIP-903);
//! controllers only.

use protocol::ErrorCode;
use protocol::messages::alter_partition_request::AlterPartitionRequest;
use protocol::messages::alter_partition_response::AlterPartitionResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(AlterPartition, AlterPartitionRequest, handle);

async fn handle(
    context: &RequestContext,
    request: AlterPartitionRequest,
) -> AlterPartitionResponse {
    let failed = |error: ErrorCode| AlterPartitionResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, AlterPartition(request, context.version)).unwrap_or_else(failed)
}
