//! DescribeConfigs (32), versions 1-4: settings of topics, brokers, groups and client metrics, with where each comes from.
//!
//! v1 adds sources and synonyms, v3 types and documentation. Of brokers this node describes itself, and (empty name) what is set
//! dynamically for all.

use config::alter::check_topic_name;
use config::describe::{Entry, Layers};
use config::{ConfigError, describe};
use metadata::{ConfigResourceType, Image};
use protocol::ErrorCode;
use protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};

use crate::configs::{CLUSTER_DEFAULT, may_describe, overrides};
use crate::request::RequestContext;

crate::handler!(DescribeConfigs, DescribeConfigsRequest<'_>, handle);

/// Error and message of a resource that cannot be described.
type Refusal = (ErrorCode, String);

async fn handle(
    context: &RequestContext,
    request: DescribeConfigsRequest<'_>,
) -> DescribeConfigsResponse<'static> {
    let image = context.node.image();
    let results = request.resources.iter().map(|resource| {
        let row = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.to_string().into(),
            ..Default::default()
        };
        match entries(context, &image, resource) {
            Ok(entries) => {
                DescribeConfigsResult { configs: shown(entries, resource, &request), ..row }
            }
            Err((error, message)) => DescribeConfigsResult {
                error_code: error.code(),
                error_message: Some(message.into()),
                ..row
            },
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn entries(
    context: &RequestContext,
    image: &Image,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<Entry>, Refusal> {
    let name = &*resource.resource_name;
    let kind = ConfigResourceType::from_code(resource.resource_type);
    if let Some(error) = may_describe(context, resource.resource_type, name) {
        return Err((error, error.message().into()));
    }
    let invalid = |message: String| Err((ErrorCode::InvalidRequest, message));
    let node = &context.node;
    let own_id = node.config().node_id.to_string();
    let cluster = overrides(image, ConfigResourceType::Broker, CLUSTER_DEFAULT);
    let broker = overrides(image, ConfigResourceType::Broker, &own_id);
    let layers = Layers { file: &node.static_config, cluster: &cluster, broker: &broker };
    let found = match kind {
        ConfigResourceType::Topic => {
            check_topic_name(name)
                .map_err(|refusal| (ErrorCode::from_code(refusal.code), refusal.message))?;
            if image.topics.by_name(name).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
            }
            describe::topic(&layers, &overrides(image, kind, name))
        }
        ConfigResourceType::Broker if name.is_empty() => Ok(describe::cluster(&layers)),
        ConfigResourceType::Broker | ConfigResourceType::BrokerLogger => {
            match name.parse::<i32>() {
                Err(_) if name.is_empty() => return invalid("Broker id must not be empty".into()),
                Err(_) => {
                    return invalid(format!("Broker id must be an integer, but it is: {name}"));
                }
                Ok(_) if name != own_id => {
                    let empty =
                        if kind == ConfigResourceType::Broker { " or empty string," } else { "" };
                    return invalid(format!(
                        "Unexpected broker id, expected {own_id}{empty} but received {name}"
                    ));
                }
                // There are no loggers to set one by one here (docs/compatibility.md).
                Ok(_) if kind == ConfigResourceType::BrokerLogger => Ok(Vec::new()),
                Ok(_) => describe::broker(&layers),
            }
        }
        ConfigResourceType::ClientMetrics if name.is_empty() => {
            return invalid("Client metrics subscription name must not be empty".into());
        }
        ConfigResourceType::ClientMetrics => {
            describe::client_metrics(&overrides(image, kind, name))
        }
        ConfigResourceType::Group if name.is_empty() => {
            return invalid("Group name must not be empty".into());
        }
        ConfigResourceType::Group => describe::group(&layers, &overrides(image, kind, name)),
        ConfigResourceType::Unknown => {
            let error = ErrorCode::InvalidRequest;
            return Err((error, error.message().into()));
        }
    };
    found.map_err(|error: ConfigError| (ErrorCode::InvalidConfig, error.to_string()))
}

fn shown(
    entries: Vec<Entry>,
    resource: &DescribeConfigsResource<'_>,
    request: &DescribeConfigsRequest<'_>,
) -> Vec<DescribeConfigsResourceResult<'static>> {
    let asked = |entry: &Entry| match &resource.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.iter().any(|key| *key == entry.name),
        _ => true,
    };
    let row = |entry: Entry| DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
        synonyms: if request.include_synonyms { synonyms(entry.synonyms) } else { Vec::new() },
        config_type: entry.kind,
        documentation: entry
            .documentation
            .filter(|_| request.include_documentation)
            .map(Into::into),
        ..Default::default()
    };
    entries.into_iter().filter(asked).map(row).collect()
}

fn synonyms(synonyms: Vec<describe::Synonym>) -> Vec<DescribeConfigsSynonym<'static>> {
    let row = |synonym: describe::Synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Into::into),
        source: synonym.source as i8,
        ..Default::default()
    };
    synonyms.into_iter().map(row).collect()
}
