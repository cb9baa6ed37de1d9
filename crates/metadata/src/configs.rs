//! Dynamic configuration by resource.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// Kinds of resources that carry configuration, with Kafka's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ConfigResourceType {
    Unknown = 0,
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ConfigResourceType {
    pub const fn from_code(code: i8) -> Self {
        match code {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            _ => Self::Unknown,
        }
    }

    pub const fn code(self) -> i8 {
        self as i8
    }

    /// Kafka's name, as in its error messages: `TOPIC`, `BROKER`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Topic => "TOPIC",
            Self::Broker => "BROKER",
            Self::BrokerLogger => "BROKER_LOGGER",
            Self::ClientMetrics => "CLIENT_METRICS",
            Self::Group => "GROUP",
        }
    }
}

/// What a set of configuration belongs to. The cluster default of all brokers is the broker with the empty name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    pub kind: ConfigResourceType,
    pub name: Arc<str>,
}

impl ConfigResource {
    pub fn new(kind: ConfigResourceType, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }

    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self::new(ConfigResourceType::Topic, name)
    }
}

/// Configured keys of one resource.
pub type ConfigMap = RedBlackTreeMapSync<Arc<str>, Arc<str>>;

/// Configured keys of all resources; a resource without any is absent.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Configs {
    resources: RedBlackTreeMapSync<ConfigResource, ConfigMap>,
}

impl Configs {
    pub fn of(&self, resource: &ConfigResource) -> Option<&ConfigMap> {
        self.resources.get(resource)
    }

    /// The configured pairs of a resource, sorted by key.
    pub fn entries(&self, resource: &ConfigResource) -> impl Iterator<Item = (&str, &str)> {
        self.of(resource).into_iter().flatten().map(|(key, value)| (&**key, &**value))
    }

    pub fn value(&self, resource: &ConfigResource, key: &str) -> Option<&str> {
        self.of(resource)?.get(key).map(|value| &**value)
    }

    /// All resources that have configuration, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &ConfigMap)> {
        self.resources.iter()
    }

    /// Sets a key, or removes it when there is no value.
    pub(crate) fn set(&mut self, resource: ConfigResource, key: &str, value: Option<&str>) {
        let mut entries = self.resources.get(&resource).cloned().unwrap_or_default();
        match value {
            Some(value) => entries.insert_mut(key.into(), value.into()),
            None => {
                entries.remove_mut(key);
            }
        }
        if entries.is_empty() {
            self.resources.remove_mut(&resource);
        } else {
            self.resources.insert_mut(resource, entries);
        }
    }

    /// Forgets a resource; false when it had no configuration.
    pub(crate) fn remove(&mut self, resource: &ConfigResource) -> bool {
        self.resources.remove_mut(resource)
    }
}
