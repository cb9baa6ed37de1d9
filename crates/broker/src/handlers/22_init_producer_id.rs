//! InitProducerId (22), versions 0-5 (6 is unstable): an id for an idempotent producer.
//!
//! Without a transactional id every call gives a new id with epoch 0. Transactional ids need the transaction coordinator, which
//! this node does not have yet: COORDINATOR_NOT_AVAILABLE.

use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::authorizer::{Operation, Resource};
use crate::forward;
use crate::request::RequestContext;

crate::handler!(InitProducerId, InitProducerIdRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: InitProducerIdRequest<'_>,
) -> InitProducerIdResponse {
    let failed = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    if let Some(id) = &request.transactional_id {
        if !context.allows(Operation::Write, Resource::TransactionalId(id)) {
            return failed(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        let error = if id.is_empty() {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::CoordinatorNotAvailable
        };
        return failed(error);
    }
    if !context.allows(Operation::IdempotentWrite, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return failed(ErrorCode::InvalidRequest);
    }
    match context.node.producer_ids.next(|| forward::allocate_producer_ids(context)).await {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.get(),
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => failed(error),
    }
}
