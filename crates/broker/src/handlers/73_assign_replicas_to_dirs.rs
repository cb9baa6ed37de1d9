//! AssignReplicasToDirs (73), version 0: a broker tells in which directories its replicas are (KIP-858); controllers only.

use protocol::ErrorCode;
use protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use protocol::messages::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(AssignReplicasToDirs, AssignReplicasToDirsRequest, handle);

async fn handle(
    context: &RequestContext,
    request: AssignReplicasToDirsRequest,
) -> AssignReplicasToDirsResponse {
    let failed = |error: ErrorCode| AssignReplicasToDirsResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, AssignReplicasToDirs(request)).unwrap_or_else(failed)
}
