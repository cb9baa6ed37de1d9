//! AllocateProducerIds (67), version 0: a block of producer ids for a broker; controllers only.

use protocol::ErrorCode;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(AllocateProducerIds, AllocateProducerIdsRequest, handle);

async fn handle(
    context: &RequestContext,
    request: AllocateProducerIdsRequest,
) -> AllocateProducerIdsResponse {
    let failed = |error: ErrorCode| AllocateProducerIdsResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, AllocateProducerIds(request)).unwrap_or_else(failed)
}
