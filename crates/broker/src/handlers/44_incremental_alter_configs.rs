//! IncrementalAlterConfigs (44), versions 0-1: sets, deletes, appends to and subtracts from settings (KIP-339); forwarded to the controller.

use std::collections::HashSet;

use config::alter::{AlterKind, Op, OpKind};
use protocol::ErrorCode;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use crate::ask;
use crate::configs::preflight_change;
use crate::request::RequestContext;

crate::handler!(IncrementalAlterConfigs, IncrementalAlterConfigsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: IncrementalAlterConfigsRequest<'_>,
) -> IncrementalAlterConfigsResponse<'static> {
    let mut request = request.into_owned();
    let mut refused = Vec::new();
    let twice = twice(&request.resources);
    request.resources.retain(|resource| {
        let key = (resource.resource_type, resource.resource_name.to_string());
        if twice.contains(&key) {
            let message = "Each resource must appear at most once.".to_owned();
            refused.push(failed(resource, ErrorCode::InvalidRequest, message));
            return false;
        }
        let ops: Vec<Op<'_>> = resource.configs.iter().map(op).collect();
        let (kind, name) = (resource.resource_type, &*resource.resource_name);
        match preflight_change(context, AlterKind::Incremental, kind, name, &ops) {
            Ok(true) => return true,
            Ok(false) => refused.push(failed(resource, ErrorCode::None, String::new())),
            Err((error, message)) => refused.push(failed(resource, error, message)),
        }
        false
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

fn op<'a>(config: &'a AlterableConfig<'_>) -> Op<'a> {
    Op {
        name: &config.name,
        kind: OpKind::from_id(config.config_operation),
        value: config.value.as_deref(),
    }
}

/// Resources that stand in the request more than once.
fn twice(resources: &[AlterConfigsResource<'_>]) -> HashSet<(i8, String)> {
    let mut seen = HashSet::new();
    let keys = resources.iter().map(|r| (r.resource_type, r.resource_name.to_string()));
    keys.filter(|key| !seen.insert(key.clone())).collect()
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
