//! `server.properties` as a typed whole: what one node runs on.

mod embedded;
mod group_limits;
pub mod listeners;
pub mod quorum;
mod sections;
mod validate;

use std::collections::{BTreeMap, BTreeSet};

use base::NodeId;

pub use listeners::{Endpoint, ProtocolMap, SecurityProtocol};
pub use quorum::{HostPort, Voter};
pub use sections::*;

use crate::error::ConfigError;
use crate::group::{self, GroupConfig};
use crate::key::Effect;
use crate::keys::{self, synonyms};
use crate::properties::Properties;
use crate::topic::{self, Overrides, TopicConfig};
use crate::values::Values;

/// The roles of a node, at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

impl Roles {
    pub const fn combined(self) -> bool {
        self.broker && self.controller
    }
}

/// Everything that a node reads from its file, checked as Kafka checks it.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfig {
    pub node_id: NodeId,
    pub roles: Roles,
    /// `broker.rack`
    pub rack: Option<String>,
    /// The cluster id for a directory formatted at start (`cluster.id`, ours alone).
    pub cluster_id: Option<String>,

    /// Everything that is bound, controller listeners too.
    pub listeners: Vec<Endpoint>,
    /// What clients are told; empty without the broker role.
    pub advertised_listeners: Vec<Endpoint>,
    /// What controllers tell each other and brokers; empty without the controller role.
    pub advertised_controller_listeners: Vec<Endpoint>,
    pub protocols: ProtocolMap,
    /// As written, the first is the one that brokers use.
    pub controller_listener_names: Vec<String>,
    pub inter_broker_listener: String,
    pub inter_broker_protocol: SecurityProtocol,
    /// `early.start.listeners`, or the controller listeners.
    pub early_start_listeners: Vec<String>,
    pub max_connections_per_ip_overrides: Vec<(String, i32)>,

    /// Static voters; empty with a dynamic quorum.
    pub voters: Vec<Voter>,
    pub bootstrap_servers: Vec<HostPort>,

    /// `log.dirs`, or `log.dir`.
    pub log_dirs: Vec<String>,
    /// `log.dirs.reserve.bytes`; negative: as much as suits the volume.
    pub reserve_bytes: i64,
    /// `metadata.log.dir`, or the first of `log_dirs`.
    pub metadata_log_dir: String,

    pub quorum: QuorumConfig,
    pub metadata: MetadataConfig,
    pub node: NodeConfig,
    pub socket: SocketConfig,
    pub fetch: FetchConfig,
    pub log: LogConfig,
    pub cleaner: CleanerConfig,
    pub topics: TopicsConfig,
    pub replication: ReplicationConfig,
    pub offsets: OffsetsConfig,
    pub group: GroupCoordinatorConfig,
    pub consumer_group: ConsumerGroupConfig,
    pub share_group: ShareGroupConfig,
    pub share_coordinator: ShareCoordinatorConfig,
    pub streams_group: StreamsGroupConfig,
    pub transaction: TransactionConfig,
    pub quota: QuotaConfig,
    pub metrics: MetricsConfig,
    pub remote: RemoteConfig,
    pub token: TokenConfig,

    /// What holds for a topic that sets nothing itself.
    pub topic_defaults: TopicConfig,

    /// All values, by key.
    pub values: Values,
    /// The lines that were given, by the file, the embedded default or an override.
    pub given: Properties,
    /// Keys that a person wrote: not those of the embedded default.
    written: BTreeSet<String>,
    topic_values: Values,
}

impl Default for BrokerConfig {
    /// What `monedula start` without a file runs on.
    fn default() -> Self {
        Self::load(None, &[]).expect("the embedded default is valid, as the tests prove")
    }
}

impl BrokerConfig {
    /// Reads a file's properties, or the embedded default without one, under `overrides` (`--set KEY=VALUE`).
    pub fn load(
        file: Option<&Properties>,
        overrides: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let properties = match file {
            None => embedded::properties(overrides),
            Some(file) => {
                let mut properties = file.clone();
                for (key, value) in overrides {
                    properties.set(key, value);
                }
                properties
            }
        };
        let mut config = Self::parse(&properties)?;
        if file.is_none() {
            config.written = overrides.iter().map(|(key, _)| key.clone()).collect();
        }
        Ok(config)
    }

    /// Checks `given` as Kafka checks its `server.properties`.
    pub fn parse(given: &Properties) -> Result<Self, ConfigError> {
        let values = parse_values(given)?;
        let own = Values::parse(&keys::MONEDULA, |name| given.get(name))?;
        let topic_values = topic::defaults(&values)?;
        let net = validate::network(&values, given)?;
        let log_dirs = values.opt_list("log.dirs").unwrap_or_else(|| values.list("log.dir"));
        let metadata_log_dir = values.opt_string("metadata.log.dir");
        let first_dir = || log_dirs.first().cloned().unwrap_or_default();
        let config = Self {
            node_id: NodeId(values.int("node.id")),
            roles: net.roles,
            rack: values.opt_string("broker.rack"),
            cluster_id: own.opt_string("cluster.id"),
            listeners: net.listeners,
            advertised_listeners: net.advertised,
            advertised_controller_listeners: net.advertised_controllers,
            protocols: net.protocols,
            controller_listener_names: values.list("controller.listener.names"),
            inter_broker_listener: net.inter_broker_listener,
            inter_broker_protocol: net.inter_broker_protocol,
            early_start_listeners: net.early_start,
            max_connections_per_ip_overrides: net.per_ip_overrides,
            voters: quorum::parse_voters(&values.list("controller.quorum.voters"))?,
            bootstrap_servers: quorum::parse_bootstrap_servers(
                &values.list("controller.quorum.bootstrap.servers"),
            )?,
            metadata_log_dir: metadata_log_dir.unwrap_or_else(first_dir),
            log_dirs,
            reserve_bytes: own.long("log.dirs.reserve.bytes"),
            quorum: QuorumConfig::from_values(&values),
            metadata: MetadataConfig::from_values(&values),
            node: NodeConfig::from_values(&values),
            socket: SocketConfig::from_values(&values),
            fetch: FetchConfig::from_values(&values),
            log: LogConfig::from_values(&values),
            cleaner: CleanerConfig::from_values(&values),
            topics: TopicsConfig::from_values(&values),
            replication: ReplicationConfig::from_values(&values),
            offsets: OffsetsConfig::from_values(&values),
            group: GroupCoordinatorConfig::from_values(&values),
            consumer_group: ConsumerGroupConfig::from_values(&values),
            share_group: ShareGroupConfig::from_values(&values),
            share_coordinator: ShareCoordinatorConfig::from_values(&values),
            streams_group: StreamsGroupConfig::from_values(&values),
            transaction: TransactionConfig::from_values(&values),
            quota: QuotaConfig::from_values(&values),
            metrics: MetricsConfig::from_values(&values),
            remote: RemoteConfig::from_values(&values),
            token: TokenConfig::from_values(&values),
            topic_defaults: TopicConfig::from_values(&topic_values),
            topic_values,
            values,
            written: given.iter().map(|(key, _)| key.to_owned()).collect(),
            given: given.clone(),
        };
        validate::whole(&config)?;
        Ok(config)
    }

    /// This node's configuration under dynamic settings: those of the whole cluster, then those of this broker.
    /// A dynamic key silences the static keys that say the same in other units.
    pub fn with_dynamic(
        &self,
        cluster: &Overrides,
        broker: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut properties: BTreeMap<&str, &str> = self.given.iter().collect();
        for (name, value) in cluster.iter().chain(broker) {
            for same in synonyms::of_broker(name) {
                properties.remove(same);
            }
            properties.insert(name, value);
        }
        Self::parse(&properties.into_iter().collect())
    }

    /// The values of [`Self::with_dynamic`] by key, without the checks across keys: cheap enough for every description.
    pub(crate) fn values_under(
        &self,
        cluster: &Overrides,
        broker: &Overrides,
    ) -> Result<Values, ConfigError> {
        let mut values = self.values.clone();
        for (name, text) in cluster.iter().chain(broker) {
            let Some(key) = keys::BROKER.get(name) else { continue };
            for same in synonyms::of_broker(name).into_iter().filter_map(|s| keys::BROKER.get(s)) {
                values.set(same, same.default_value()?);
            }
            values.set(key, key.parse(text)?);
        }
        Ok(values)
    }

    /// What holds for a topic with settings of its own; an error names the value that does not parse.
    pub fn topic(&self, own: &Overrides) -> Result<TopicConfig, ConfigError> {
        Ok(TopicConfig::from_values(&self.topic_values(own)?))
    }

    /// The same, by key.
    pub fn topic_values(&self, own: &Overrides) -> Result<Values, ConfigError> {
        topic::with_overrides(&self.topic_values, own)
    }

    /// What holds for a group with settings of its own; an error names the value that does not parse.
    pub fn group(&self, own: &Overrides) -> Result<GroupConfig, ConfigError> {
        Ok(GroupConfig::from_values(&self.group_values(own)?))
    }

    /// The same, by key.
    pub fn group_values(&self, own: &Overrides) -> Result<Values, ConfigError> {
        group::values(&self.values, own)
    }

    /// Listeners that clients and brokers use.
    pub fn broker_listeners(&self) -> impl Iterator<Item = &Endpoint> {
        self.listeners.iter().filter(|listener| !self.is_controller_listener(&listener.listener))
    }

    /// Listeners that the quorum uses.
    pub fn controller_listeners(&self) -> impl Iterator<Item = &Endpoint> {
        self.listeners.iter().filter(|listener| self.is_controller_listener(&listener.listener))
    }

    pub fn is_controller_listener(&self, listener: &str) -> bool {
        self.controller_listener_names.iter().any(|name| name == listener)
    }

    /// Keys given that nobody knows: Kafka warns of them at start, and plugins may read them.
    pub fn unknown_keys(&self) -> Vec<&str> {
        self.written.iter().map(String::as_str).filter(|key| find(key).is_none()).collect()
    }

    /// Keys given that change nothing here, with what becomes of them.
    pub fn keys_without_effect(&self) -> Vec<(&str, Effect)> {
        let effect = |key| Some((key, find(key)?.effect));
        let written = self.written.iter().map(String::as_str);
        written.filter_map(effect).filter(|(_, effect)| *effect != Effect::Acts).collect()
    }
}

/// The row of a key in `server.properties`, a listener's prefix taken off.
fn find(key: &str) -> Option<&'static crate::ConfigKey> {
    let base = synonyms::without_listener_prefix(key).unwrap_or(key);
    // listener.name.NAME.MECHANISM.KEY
    let of_mechanism = || keys::BROKER.get(base.split_once('.')?.1);
    keys::BROKER
        .get(base)
        .or_else(|| keys::MONEDULA.get(key))
        .or_else(|| (base != key).then(of_mechanism)?)
}

fn parse_values(given: &Properties) -> Result<Values, ConfigError> {
    // broker.id and node.id are one: either gives both.
    let twin = |name: &str| match name {
        "node.id" => given.get("broker.id"),
        "broker.id" => given.get("node.id"),
        _ => None,
    };
    Values::parse(&keys::BROKER, |name| given.get(name).or_else(|| twin(name)))
}
