//! Configuration as the broker uses it: the image's overrides over the static file, for topics and for the node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base::NodeId;
use config::alter::{self, AlterKind, Op, OpKind, Preflight, Refusal};
use config::{BrokerConfig, ConfigError, TopicConfig};
use metadata::{ConfigResource, ConfigResourceType, Image};
use protocol::{ErrorCode, Listener};
use tracing::error;

use crate::authorizer::{Operation, Resource};
use crate::partitions::settings::PartitionSettings;
use crate::request::RequestContext;
use crate::topics::is_internal;

/// The name of the resource that holds for all brokers.
pub const CLUSTER_DEFAULT: &str = "";

const CORDONED: &str = "cordoned.log.dirs";

/// What the metadata log says of one resource.
pub fn overrides(image: &Image, kind: ConfigResourceType, name: &str) -> BTreeMap<String, String> {
    let resource = ConfigResource::new(kind, name);
    let entries = image.configs.entries(&resource);
    entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The node's configuration with what was set dynamically, for this node and for all.
pub fn with_dynamic(base: &BrokerConfig, image: &Image) -> Result<BrokerConfig, ConfigError> {
    let id = base.node_id.to_string();
    let cluster = overrides(image, ConfigResourceType::Broker, CLUSTER_DEFAULT);
    let own = overrides(image, ConfigResourceType::Broker, &id);
    base.with_dynamic(&cluster, &own)
}

/// Bytes per second under one of the keys that are only ever set dynamically, for this node or for all; as much as there is
/// without.
pub fn dynamic_rate(image: &Image, own: NodeId, key: &str) -> u64 {
    let value = |name: &str| {
        let resource = ConfigResource::new(ConfigResourceType::Broker, name);
        image.configs.value(&resource, key)?.parse::<u64>().ok()
    };
    let rate = value(&own.to_string()).or_else(|| value(CLUSTER_DEFAULT));
    rate.filter(|rate| *rate < i64::MAX.unsigned_abs()).unwrap_or(u64::MAX)
}

/// What holds for a topic. Values were checked when they were set; should one be unreadable all the same, the topic falls back to
/// the node's defaults and the log says so.
pub fn topic(broker: &BrokerConfig, image: &Image, name: &str) -> TopicConfig {
    let own = overrides(image, ConfigResourceType::Topic, name);
    broker.topic(&own).unwrap_or_else(|e| {
        error!(topic = name, "the topic's configuration cannot be used, defaults hold: {e}");
        broker.topic_defaults.clone()
    })
}

/// The directories that get no new logs: `cordoned.log.dirs`, where `*` means all.
pub fn cordoned(config: &BrokerConfig) -> impl Iterator<Item = PathBuf> {
    let named = &config.node.cordoned_log_dirs;
    let all = named.iter().any(|dir| dir == "*");
    let dirs = if all { &config.log_dirs } else { named };
    dirs.iter().map(|dir| std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir)))
}

pub fn partition_settings(
    broker: &BrokerConfig,
    image: &Image,
    name: &str,
) -> Arc<PartitionSettings> {
    Arc::new(PartitionSettings::new(&topic(broker, image, name), is_internal(name)))
}

/// One resource of a request to change settings.
pub struct Change<'a> {
    pub kind: i8,
    pub name: &'a str,
    pub ops: Vec<Op<'a>>,
}

/// What this broker says to changes before the controller hears of them, one verdict each: `None` goes to the controller, anything
/// else (also no error) is the answer.
pub fn preflight(
    context: &RequestContext,
    kind: AlterKind,
    changes: &[Change<'_>],
) -> Vec<Option<(ErrorCode, String)>> {
    let same = |a: &Change<'_>, b: &Change<'_>| a.kind == b.kind && a.name == b.name;
    let verdict = |change: &Change<'_>| {
        if changes.iter().filter(|other| same(change, other)).count() > 1 {
            let message = "Each resource must appear at most once.".to_owned();
            return Some((ErrorCode::InvalidRequest, message));
        }
        match preflight_one(context, kind, change) {
            Ok(true) => None,
            Ok(false) => Some((ErrorCode::None, String::new())),
            Err(refused) => Some(refused),
        }
    };
    changes.iter().map(verdict).collect()
}

/// `Ok(false)`: the change is done with here.
fn preflight_one(
    context: &RequestContext,
    kind: AlterKind,
    change: &Change<'_>,
) -> Result<bool, (ErrorCode, String)> {
    if let Some(error) = may_alter(context, change.kind, change.name) {
        return Err((error, error.message().to_owned()));
    }
    let resource = ConfigResourceType::from_code(change.kind);
    if context.side == Listener::Controller && resource != ConfigResourceType::BrokerLogger {
        // A broker looked at it already; to the controller the settings of every broker are alike.
        return check_cordoned(context, change).map(|()| true);
    }
    let node = &context.node;
    let image = node.image();
    let own = node.static_config.node_id.to_string();
    let cluster = overrides(&image, ConfigResourceType::Broker, CLUSTER_DEFAULT);
    let broker = overrides(&image, ConfigResourceType::Broker, &own);
    let known = Preflight { file: &node.static_config, cluster: &cluster, broker: &broker };
    let refused = |refusal: Refusal| (ErrorCode::from_code(refusal.code), refusal.message);
    alter::preflight(&known, kind, change.kind, change.name, &change.ops).map_err(refused)?;
    if resource == ConfigResourceType::BrokerLogger {
        // There are no loggers to set one by one (docs/compatibility.md), so none exists.
        let id = node.static_config.node_id;
        alter::preflight_loggers(id, change.name, &change.ops, |_| false).map_err(refused)?;
        return Ok(false);
    }
    Ok(true)
}

/// Only a broker knows which directories it has: who asks the controller itself can but take some off the list.
fn check_cordoned(
    context: &RequestContext,
    change: &Change<'_>,
) -> Result<(), (ErrorCode, String)> {
    let is_broker = ConfigResourceType::from_code(change.kind) == ConfigResourceType::Broker;
    if context.forwarded || !is_broker {
        return Ok(());
    }
    let set = overrides(&context.node.image(), ConfigResourceType::Broker, change.name);
    let known = set.get(CORDONED).map_or("", String::as_str);
    let known: Vec<&str> = known.split(',').map(str::trim).collect();
    let adds = |op: &Op<'_>| {
        let value = op.value.map(str::trim).filter(|value| !value.is_empty());
        op.name == CORDONED
            && matches!(op.kind, OpKind::Set | OpKind::Append)
            && value.is_some_and(|value| !value.split(',').all(|dir| known.contains(&dir.trim())))
    };
    if change.ops.iter().any(adds) {
        // Kafka's words, with its two spaces.
        let message = "When updating cordoned.log.dirs via controllers,  the new value must be a subset of the current \
                       configuration value.";
        return Err((ErrorCode::InvalidConfig, message.to_owned()));
    }
    Ok(())
}

/// Why the asker may not change the settings of a resource.
fn may_alter(context: &RequestContext, kind: i8, name: &str) -> Option<ErrorCode> {
    refused(context, kind, name, Operation::AlterConfigs)
}

/// Why the asker may not see the settings of a resource.
pub fn may_describe(context: &RequestContext, kind: i8, name: &str) -> Option<ErrorCode> {
    refused(context, kind, name, Operation::DescribeConfigs)
}

fn refused(
    context: &RequestContext,
    kind: i8,
    name: &str,
    operation: Operation,
) -> Option<ErrorCode> {
    let (resource, error) = match ConfigResourceType::from_code(kind) {
        ConfigResourceType::Topic => (Resource::Topic(name), ErrorCode::TopicAuthorizationFailed),
        ConfigResourceType::Group => (Resource::Group(name), ErrorCode::GroupAuthorizationFailed),
        ConfigResourceType::Broker
        | ConfigResourceType::BrokerLogger
        | ConfigResourceType::ClientMetrics => {
            (Resource::Cluster, ErrorCode::ClusterAuthorizationFailed)
        }
        ConfigResourceType::Unknown => return None, // answered as invalid by whoever looks it up
    };
    (!context.allows(operation, resource)).then_some(error)
}
