//! UnregisterController (94), version 0: removes a controller's registration (KIP-1312); forwarded to the controller.

use protocol::ErrorCode;
use protocol::messages::unregister_controller_request::UnregisterControllerRequest;
use protocol::messages::unregister_controller_response::UnregisterControllerResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(UnregisterController, UnregisterControllerRequest, handle);

async fn handle(
    context: &RequestContext,
    request: UnregisterControllerRequest,
) -> UnregisterControllerResponse<'static> {
    let failed = |error: ErrorCode| UnregisterControllerResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::Alter, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, UnregisterController(request)).unwrap_or_else(failed)
}
