//! UnregisterBroker (64), version 0: removes a broker's registration; forwarded to the controller.

use protocol::ErrorCode;
use protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(UnregisterBroker, UnregisterBrokerRequest, handle);

async fn handle(
    context: &RequestContext,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse<'static> {
    let failed = |error: ErrorCode| UnregisterBrokerResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::Alter, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, UnregisterBroker(request)).unwrap_or_else(failed)
}
