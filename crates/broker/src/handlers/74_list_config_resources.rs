//! ListConfigResources (74), versions 0-1: the resources that have settings of their own (KIP-1142); v0 lists client metrics only.

use metadata::ConfigResourceType;
use protocol::ErrorCode;
use protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use protocol::messages::list_config_resources_response::{
    ConfigResource, ListConfigResourcesResponse,
};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(ListConfigResources, ListConfigResourcesRequest, handle);

/// What can be listed; an empty request means all of them.
const LISTED: [ConfigResourceType; 5] = [
    ConfigResourceType::Topic,
    ConfigResourceType::Broker,
    ConfigResourceType::BrokerLogger,
    ConfigResourceType::ClientMetrics,
    ConfigResourceType::Group,
];

async fn handle(
    context: &RequestContext,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse<'static> {
    let failed = |error: ErrorCode| ListConfigResourcesResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::DescribeConfigs, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    let mut kinds: Vec<ConfigResourceType> = match context.version {
        0 => vec![ConfigResourceType::ClientMetrics],
        _ if request.resource_types.is_empty() => LISTED.to_vec(),
        _ => {
            request.resource_types.iter().map(|code| ConfigResourceType::from_code(*code)).collect()
        }
    };
    if kinds.contains(&ConfigResourceType::Unknown) {
        return failed(ErrorCode::UnsupportedVersion);
    }
    kinds.sort();
    kinds.dedup();
    let image = context.node.image();
    let mut config_resources = Vec::new();
    for kind in kinds {
        let mut push = |name: String| {
            config_resources.push(ConfigResource {
                resource_name: name.into(),
                resource_type: kind.code(),
                ..Default::default()
            });
        };
        match kind {
            ConfigResourceType::Topic => {
                image.topics.iter().for_each(|topic| push(topic.name.to_string()));
            }
            ConfigResourceType::Broker | ConfigResourceType::BrokerLogger => {
                image.cluster.brokers.keys().for_each(|id| push(id.to_string()));
            }
            _ => {
                let named = image.configs.iter().filter(|(resource, _)| resource.kind == kind);
                named.for_each(|(resource, _)| push(resource.name.to_string()));
            }
        }
    }
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}
