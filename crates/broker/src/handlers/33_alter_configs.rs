//! AlterConfigs (33), versions 0-2: replaces all settings of a resource (deprecated since KIP-339); forwarded to the controller.

use protocol::ErrorCode;
use protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use protocol::messages::alter_configs_response::{
    AlterConfigsResourceResponse, AlterConfigsResponse,
};

use crate::ask;
use crate::configs::may_alter;
use crate::request::RequestContext;

crate::handler!(AlterConfigs, AlterConfigsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: AlterConfigsRequest<'_>,
) -> AlterConfigsResponse<'static> {
    let mut request = request.into_owned();
    let mut refused = Vec::new();
    request.resources.retain(|resource| {
        let error = may_alter(context, resource.resource_type, &resource.resource_name);
        refused.extend(error.map(|error| failed(resource, error)));
        error.is_none()
    });
    let resources = request.resources.clone();
    let mut response = match ask!(context, AlterConfigs(request)) {
        Ok(response) => response,
        Err(error) => AlterConfigsResponse {
            responses: resources.iter().map(|resource| failed(resource, error)).collect(),
            ..Default::default()
        },
    };
    response.responses.extend(refused);
    response
}

fn failed(
    resource: &AlterConfigsResource<'static>,
    error: ErrorCode,
) -> AlterConfigsResourceResponse<'static> {
    AlterConfigsResourceResponse {
        error_code: error.code(),
        error_message: Some(error.message().into()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..Default::default()
    }
}
