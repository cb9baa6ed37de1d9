//! ControllerRegistration (70), version 0: a controller tells its endpoints and features; controllers only.

use protocol::ErrorCode;
use protocol::messages::controller_registration_request::ControllerRegistrationRequest;
use protocol::messages::controller_registration_response::ControllerRegistrationResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(ControllerRegistration, ControllerRegistrationRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: ControllerRegistrationRequest<'_>,
) -> ControllerRegistrationResponse<'static> {
    let failed = |error: ErrorCode| ControllerRegistrationResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, ControllerRegistration(request.into_owned())).unwrap_or_else(failed)
}
