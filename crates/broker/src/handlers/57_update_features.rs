//! UpdateFeatures (57), versions 0-2: finalizes feature levels; forwarded to the controller.

use protocol::ErrorCode;
use protocol::messages::update_features_request::UpdateFeaturesRequest;
use protocol::messages::update_features_response::UpdateFeaturesResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(UpdateFeatures, UpdateFeaturesRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: UpdateFeaturesRequest<'_>,
) -> UpdateFeaturesResponse<'static> {
    let failed = |error: ErrorCode| UpdateFeaturesResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    };
    if !context.allows(Operation::Alter, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, UpdateFeatures(request.into_owned(), context.version)).unwrap_or_else(failed)
}
