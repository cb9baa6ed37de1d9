//! IncrementalAlterConfigs (44), versions 0-1: sets, deletes, appends to and subtracts from settings (KIP-339); forwarded to the controller.

use config::alter::{AlterKind, Op, OpKind};
use protocol::ErrorCode;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use crate::ask;
use crate::configs::{Change, preflight};
use crate::request::RequestContext;

crate::handler!(IncrementalAlterConfigs, IncrementalAlterConfigsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: IncrementalAlterConfigsRequest<'_>,
) -> IncrementalAlterConfigsResponse<'static> {
    let mut request = request.into_owned();
    let changes: Vec<Change<'_>> = request.resources.iter().map(change).collect();
    let mut verdicts = preflight(context, AlterKind::Incremental, &changes).into_iter();
    let mut refused = Vec::new();
    request.resources.retain(|resource| match verdicts.next().flatten() {
        None => true,
        Some((error, message)) => {
            refused.push(failed(resource, error, message));
            false
        }
    });
    if request.resources.is_empty() {
        return IncrementalAlterConfigsResponse { responses: refused, ..Default::default() };
    }
    let resources = request.resources.clone();
    let mut response = match ask!(context, IncrementalAlterConfigs(request)) {
        Ok(response) => response,
        Err(error) => IncrementalAlterConfigsResponse {
            responses: resources
                .iter()
                .map(|resource| failed(resource, error, error.message().to_owned()))
                .collect(),
            ..Default::default()
        },
    };
    response.responses.extend(refused);
    response
}

fn change<'a>(resource: &'a AlterConfigsResource<'_>) -> Change<'a> {
    let op = |config: &'a AlterableConfig<'_>| Op {
        name: &config.name,
        kind: OpKind::from_id(config.config_operation),
        value: config.value.as_deref(),
    };
    Change {
        kind: resource.resource_type,
        name: &resource.resource_name,
        ops: resource.configs.iter().map(op).collect(),
    }
}

fn failed(
    resource: &AlterConfigsResource<'static>,
    error: ErrorCode,
    message: String,
) -> AlterConfigsResourceResponse<'static> {
    AlterConfigsResourceResponse {
        error_code: error.code(),
        error_message: (!error.is_none()).then(|| message.into()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..Default::default()
    }
}
