//! Configurations of topics, brokers, groups: describe and change.

use protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsSynonym,
};
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;

use protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use protocol::messages::list_config_resources_response::ListConfigResourcesResponse;

use super::{Admin, PerItem};
use crate::cluster::Target;
use crate::error::{Error, Result};

/// What a configuration belongs to. The empty broker name stands for the default of all brokers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConfigResource {
    Topic(String),
    Broker(String),
    BrokerLogger(String),
    ClientMetrics(String),
    Group(String),
    Other(i8, String),
}

impl ConfigResource {
    fn parts(&self) -> (i8, &str) {
        match self {
            Self::Topic(name) => (2, name),
            Self::Broker(name) => (4, name),
            Self::BrokerLogger(name) => (8, name),
            Self::ClientMetrics(name) => (16, name),
            Self::Group(name) => (32, name),
            Self::Other(kind, name) => (*kind, name),
        }
    }

    fn from_parts(kind: i8, name: &str) -> Self {
        let name = name.to_owned();
        match kind {
            2 => Self::Topic(name),
            4 => Self::Broker(name),
            8 => Self::BrokerLogger(name),
            16 => Self::ClientMetrics(name),
            32 => Self::Group(name),
            other => Self::Other(other, name),
        }
    }

    /// Broker resources are answered by that broker itself.
    fn target(&self) -> Target {
        match self {
            Self::Broker(name) | Self::BrokerLogger(name) => {
                name.parse().map_or(Target::Any, |id| Target::Node(base::NodeId(id)))
            }
            _ => Target::Any,
        }
    }
}

/// Where a value comes from, by Kafka's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    Unknown,
    DynamicTopic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
    DynamicClientMetrics,
    DynamicGroup,
}

impl ConfigSource {
    /// As Kafka prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::DynamicClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::DynamicGroup => "DYNAMIC_GROUP_CONFIG",
        }
    }

    fn from_code(code: i8) -> Self {
        match code {
            1 => Self::DynamicTopic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::DynamicClientMetrics,
            8 => Self::DynamicGroup,
            _ => Self::Unknown,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    pub name: String,
    /// None for sensitive values and those that are not set.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub sensitive: bool,
    pub read_only: bool,
    /// Where else a value could come from, in the order in which they count. Only when asked for.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A key under which a value is found, and what stands there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigSynonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlterOperation {
    Set,
    Delete,
    /// Add to, or take from, a list.
    Append,
    Subtract,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfig {
    pub name: String,
    pub operation: AlterOperation,
    pub value: Option<String>,
}

impl Admin {
    /// All settings of each resource. Resources of different brokers are asked for one after the other.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
    ) -> Result<PerItem<ConfigResource, Vec<ConfigEntry>>> {
        self.describe_configs_of(resources, false).await
    }

    /// The same with all synonyms of every setting.
    pub async fn describe_configs_with_synonyms(
        &self,
        resources: &[ConfigResource],
    ) -> Result<PerItem<ConfigResource, Vec<ConfigEntry>>> {
        self.describe_configs_of(resources, true).await
    }

    /// Who is asked about a resource: of controllers it is the active one.
    fn asked_for(&self, resource: &ConfigResource) -> Target {
        match self.decider() {
            Target::Controller => Target::Controller,
            _ => resource.target(),
        }
    }

    async fn describe_configs_of(
        &self,
        resources: &[ConfigResource],
        include_synonyms: bool,
    ) -> Result<PerItem<ConfigResource, Vec<ConfigEntry>>> {
        let mut results = Vec::with_capacity(resources.len());
        for (target, resources) in by_target(resources.iter(), |resource| self.asked_for(resource))
        {
            let request = DescribeConfigsRequest {
                resources: resources.iter().copied().map(asked).collect(),
                include_synonyms,
                ..Default::default()
            };
            let answered = self.ask("describeConfigs", target, &request, |reply| {
                let response: DescribeConfigsResponse<'_> = reply.decode()?;
                let one =
                    |r: &protocol::messages::describe_configs_response::DescribeConfigsResult<
                        '_,
                    >| {
                        let resource =
                            ConfigResource::from_parts(r.resource_type, &r.resource_name);
                        let entries = || r.configs.iter().map(entry).collect();
                        (
                            resource,
                            Error::check(r.error_code, r.error_message.as_deref())
                                .map(|()| entries()),
                        )
                    };
                Ok(response.results.iter().map(one).collect::<Vec<_>>())
            });
            results.extend(answered.await?);
        }
        Ok(results)
    }

    /// The resources of one kind that have settings of their own: those named like `like`.
    pub async fn list_config_resources(&self, like: &ConfigResource) -> Result<Vec<String>> {
        let (kind, _) = like.parts();
        let request =
            ListConfigResourcesRequest { resource_types: vec![kind], ..Default::default() };
        self.ask("listConfigResources", Target::Any, &request, |reply| {
            let response: ListConfigResourcesResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let resources = response.config_resources.iter();
            let names = resources.filter(|r| r.resource_type == kind);
            Ok(names.map(|r| r.resource_name.to_string()).collect())
        })
        .await
    }

    /// Changes settings one by one, leaving all others as they are (KIP-339).
    pub async fn alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<AlterConfig>)],
        validate_only: bool,
    ) -> Result<PerItem<ConfigResource, ()>> {
        let mut results = Vec::with_capacity(changes.len());
        for (target, changes) in by_target(changes.iter(), |(resource, _)| self.asked_for(resource))
        {
            let config = |change: &AlterConfig| AlterableConfig {
                name: change.name.clone().into(),
                config_operation: match change.operation {
                    AlterOperation::Set => 0,
                    AlterOperation::Delete => 1,
                    AlterOperation::Append => 2,
                    AlterOperation::Subtract => 3,
                },
                value: change.value.clone().map(Into::into),
                ..Default::default()
            };
            let resource = |(resource, changes): &&(ConfigResource, Vec<AlterConfig>)| {
                let (kind, name) = resource.parts();
                AlterConfigsResource {
                    resource_type: kind,
                    resource_name: name.to_owned().into(),
                    configs: changes.iter().map(config).collect(),
                    ..Default::default()
                }
            };
            let request = IncrementalAlterConfigsRequest {
                resources: changes.iter().map(resource).collect(),
                validate_only,
                ..Default::default()
            };
            let answered = self.ask("incrementalAlterConfigs", target, &request, |reply| {
                let response: IncrementalAlterConfigsResponse<'_> = reply.decode()?;
                let mut items = Vec::with_capacity(response.responses.len());
                for r in &response.responses {
                    super::wrong_node(r.error_code)?;
                    let resource = ConfigResource::from_parts(r.resource_type, &r.resource_name);
                    items.push((resource, Error::check(r.error_code, r.error_message.as_deref())));
                }
                Ok(items)
            });
            results.extend(answered.await?);
        }
        Ok(results)
    }
}

fn asked(resource: &ConfigResource) -> DescribeConfigsResource<'_> {
    let (kind, name) = resource.parts();
    DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: None,
        ..Default::default()
    }
}

fn entry(entry: &DescribeConfigsResourceResult<'_>) -> ConfigEntry {
    ConfigEntry {
        name: entry.name.to_string(),
        value: entry.value.as_ref().map(ToString::to_string),
        source: ConfigSource::from_code(entry.config_source),
        sensitive: entry.is_sensitive,
        read_only: entry.read_only,
        synonyms: entry.synonyms.iter().map(synonym).collect(),
    }
}

fn synonym(synonym: &DescribeConfigsSynonym<'_>) -> ConfigSynonym {
    ConfigSynonym {
        name: synonym.name.to_string(),
        value: synonym.value.as_ref().map(ToString::to_string),
        source: ConfigSource::from_code(synonym.source),
    }
}

/// Items that go to the same node, together.
fn by_target<'a, T>(
    items: impl Iterator<Item = &'a T>,
    target: impl Fn(&T) -> Target,
) -> Vec<(Target, Vec<&'a T>)> {
    let mut groups: Vec<(Target, Vec<&'a T>)> = Vec::new();
    for item in items {
        let target = target(item);
        match groups.iter_mut().find(|(known, _)| *known == target) {
            Some((_, group)) => group.push(item),
            None => groups.push((target, vec![item])),
        }
    }
    groups
}
