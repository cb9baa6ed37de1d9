//! ElectLeaders (43), versions 0-2: preferred or unclean elections; forwarded to the controller.

use protocol::ErrorCode;
use protocol::messages::elect_leaders_request::ElectLeadersRequest;
use protocol::messages::elect_leaders_response::ElectLeadersResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(ElectLeaders, ElectLeadersRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: ElectLeadersRequest<'_>,
) -> ElectLeadersResponse<'static> {
    let failed =
        |error: ErrorCode| ElectLeadersResponse { error_code: error.code(), ..Default::default() };
    if !context.allows(Operation::Alter, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, ElectLeaders(request.into_owned())).unwrap_or_else(failed)
}
