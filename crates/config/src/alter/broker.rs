//! The first door: what the broker that receives a change says, before the controller hears of it.

use std::collections::BTreeSet;

use super::rules::Local;
use super::{Op, OpKind, Refusal, ResourceType, edited};
use crate::error::ConfigError;
use crate::key::{ConfigType, Default, UpdateMode};
use crate::keys::{self, synonyms};
use crate::topic::Overrides;
use crate::{BrokerConfig, Value};

/// What the broker must know to decide.
#[derive(Clone, Copy, Debug)]
pub struct Preflight<'a> {
    /// The configuration from the file alone.
    pub file: &'a BrokerConfig,
    /// What is set dynamically for all brokers, as recorded.
    pub cluster: &'a Overrides,
    /// What is set dynamically for this one, as recorded.
    pub broker: &'a Overrides,
}

/// Which of the two requests it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlterKind {
    Incremental,
    /// `AlterConfigs`: every operation is taken for a [`OpKind::Set`], and the whole is replaced.
    Replacement,
}

/// Keys of TLS that change per listener only.
const PER_LISTENER_ONLY: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Sizes that change at most by the factor two at once.
const THREAD_POOLS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

/// Checks one resource of a request. That a resource stands in the request once is for the caller to check.
pub fn preflight(
    cx: &Preflight<'_>,
    kind: AlterKind,
    resource_type: i8,
    name: &str,
    ops: &[Op<'_>],
) -> Result<(), Refusal> {
    let replaced: Vec<Op<'_>>;
    let ops = match kind {
        AlterKind::Incremental => ops,
        AlterKind::Replacement => {
            replaced = ops.iter().map(|op| Op { kind: OpKind::Set, ..*op }).collect();
            &replaced
        }
    };
    let mut seen = BTreeSet::new();
    if !ops.iter().all(|op| seen.insert(op.name)) {
        return Err(Refusal::request("Error due to duplicate config keys"));
    }
    let nulls = ops.iter().filter(|op| op.value.is_none() && op.kind != OpKind::Delete);
    let nulls: Vec<&str> = nulls.map(|op| op.name).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for : {}", nulls.join(", "));
        return Err(Refusal::request(message));
    }
    match ResourceType::from_id(resource_type) {
        Some(ResourceType::Broker) => broker(cx, kind, name, ops),
        Some(ResourceType::Topic | ResourceType::ClientMetrics | ResourceType::Group) => Ok(()),
        Some(ResourceType::BrokerLogger) if kind == AlterKind::Incremental => Ok(()),
        _ => Err(Refusal::request(format!("Unknown resource type {resource_type}"))),
    }
}

fn broker(cx: &Preflight<'_>, kind: AlterKind, name: &str, ops: &[Op<'_>]) -> Result<(), Refusal> {
    if !name.is_empty() {
        is_this_node(cx, name)?;
    }
    let recorded = if name.is_empty() { cx.cluster } else { cx.broker };
    let mut after = match kind {
        AlterKind::Incremental => recorded.clone(),
        AlterKind::Replacement => Overrides::new(),
    };
    if let Some(OpKind::Unknown(id)) =
        ops.iter().map(|op| op.kind).find(|kind| matches!(kind, OpKind::Unknown(_)))
    {
        return Err(Refusal::request(format!("Unknown operations type {id}")));
    }
    for op in ops {
        let value = match op.kind {
            OpKind::Append | OpKind::Subtract => Some(list(&after, op)?),
            OpKind::Delete => None,
            _ => op.value.map(str::to_owned),
        };
        match value {
            Some(value) => after.insert(op.name.to_owned(), value),
            None => after.remove(op.name),
        };
    }
    // Kafka reports in the order of hashes; the order asked is kinder.
    let order = ops.iter().map(|op| op.name).filter(|name| after.contains_key(*name));
    let order: Vec<&str> = order.collect();
    validate(cx, !name.is_empty(), &after, &order).map_err(|error| {
        // A request error, by an old mistake that clients have come to know (KAFKA-13609).
        Refusal::request(error.kafka_message())
    })
}

fn is_this_node(cx: &Preflight<'_>, name: &str) -> Result<(), Refusal> {
    let Ok(id) = name.parse::<i32>() else {
        let message = format!("Node id must be an integer, but it is: {name}");
        return Err(Refusal::request(message));
    };
    if id != cx.file.node_id.0 {
        let expected = cx.file.node_id;
        let message = format!("Unexpected broker id, expected {expected}, but received {name}");
        return Err(Refusal::request(message));
    }
    Ok(())
}

fn list(recorded: &Overrides, op: &Op<'_>) -> Result<String, Refusal> {
    let Some(key) = keys::BROKER.get(op.name) else {
        return Err(Refusal::config(format!("Unknown config name: {}", op.name)));
    };
    if key.kind != ConfigType::List {
        let verb = if op.kind == OpKind::Append { "append" } else { "subtract" };
        let message = format!("Config value {verb} is not allowed for config key: {}", op.name);
        return Err(Refusal::config(message));
    }
    let default = match key.default {
        Default::Text(text) => text,
        Default::Required | Default::Null => "",
    };
    Ok(edited(recorded.get(op.name).map_or(default, String::as_str), op))
}

/// Everything that Kafka checks of the settings that would then be recorded, for one broker or for all.
fn validate(
    cx: &Preflight<'_>,
    per_broker: bool,
    after: &Overrides,
    order: &[&str],
) -> Result<(), ConfigError> {
    let refuse_all = |what: &str, wrong: &dyn Fn(&str) -> bool| {
        let asked: BTreeSet<&str> = order.iter().copied().collect();
        let recorded = after.keys().map(String::as_str).filter(|name| !asked.contains(name));
        let wrong: Vec<&str> = order.iter().copied().chain(recorded).filter(|n| wrong(n)).collect();
        match wrong.first() {
            None => Ok(()),
            Some(first) => {
                Err(ConfigError::message(*first, format!("{what}: [{}]", wrong.join(", "))))
            }
        }
    };
    let mode = |name: &str| keys::BROKER.get(name).map(|key| key.mode);
    refuse_all("Cannot update these configs dynamically", &|name| {
        mode(name) == Some(UpdateMode::ReadOnly)
    })?;
    refuse_all(
        "These security configs can be dynamically updated only per-listener using the listener prefix",
        &|name| PER_LISTENER_ONLY.contains(&name),
    )?;
    for (name, text) in after {
        let name = synonyms::without_listener_prefix(name).unwrap_or(name);
        let key = keys::BROKER.get(name).or_else(|| keys::BROKER_DYNAMIC_ONLY.get(name));
        if let Some(key) = key {
            key.parse(text)?;
        }
    }
    if !per_broker {
        refuse_all(
            "Cannot update these configs at default cluster level, broker id must be specified",
            &|name| match synonyms::without_listener_prefix(name) {
                Some(base) => mode(base) != Some(UpdateMode::ClusterWide),
                None => mode(name) == Some(UpdateMode::PerBroker),
            },
        )?;
    }
    let then = if per_broker {
        cx.file.with_dynamic(cx.cluster, after)?
    } else {
        cx.file.with_dynamic(after, cx.broker)?
    };
    let now = cx.file.with_dynamic(cx.cluster, cx.broker)?;
    reconfigurable(&now, &then, after).map_err(|error| {
        ConfigError::message(
            error.key.clone(),
            format!(
                "Invalid value org.apache.kafka.common.config.ConfigException: {error} for \
                 configuration Invalid dynamic configuration"
            ),
        )
    })
}

/// Changes that a running broker cannot make, or not at once.
fn reconfigurable(
    now: &BrokerConfig,
    then: &BrokerConfig,
    after: &Overrides,
) -> Result<(), ConfigError> {
    for key in THREAD_POOLS {
        pool(key, now.values.int(key), then.values.int(key))?;
    }
    let network = "num.network.threads";
    for (name, text) in after {
        if synonyms::without_listener_prefix(name) == Some(network)
            && let Some(Ok(Value::Int(threads))) = keys::BROKER.get(network).map(|k| k.parse(text))
        {
            pool(network, now.values.int(network), threads)?;
        }
    }
    let (old, new) = (now.cleaner.threads, then.cleaner.threads);
    if new < old / 2 {
        let what = "cannot be reduced to less than half the current value";
        return Err(ConfigError::message(
            "log.cleaner.threads",
            format!("Log cleaner threads {what} {old}"),
        ));
    }
    if new > old.saturating_mul(2) {
        let what = "cannot be increased to more than double the current value";
        return Err(ConfigError::message(
            "log.cleaner.threads",
            format!("Log cleaner threads {what} {old}"),
        ));
    }
    local_retention(then)?;
    let kept = then.protocols.iter().find(|(name, protocol)| {
        let bound = |config: &BrokerConfig| config.listeners.iter().any(|l| l.listener == **name);
        bound(now) && bound(then) && now.protocols.get(*name).is_some_and(|old| old != *protocol)
    });
    if let Some((name, _)) = kept {
        let what = "Security protocol cannot be updated for existing listener";
        let message = format!("{what} ListenerName({name})");
        return Err(ConfigError::message("listener.security.protocol.map", message));
    }
    Ok(())
}

fn pool(key: &str, old: i32, new: i32) -> Result<(), ConfigError> {
    let problem = if new < old / 2 {
        "should be at least half"
    } else if new > old.saturating_mul(2) {
        "should not be greater than double"
    } else {
        return Ok(());
    };
    let message = format!(
        "Dynamic thread count update validation failed for {key}={new}, value {problem} the current \
         value {old}"
    );
    Err(ConfigError::message(key, message))
}

fn local_retention(config: &BrokerConfig) -> Result<(), ConfigError> {
    let topic = &config.topic_defaults;
    let ms = Local {
        key: "log.local.retention.ms",
        local: topic.local_retention_ms,
        whole_key: "log.retention.ms",
        whole: topic.retention_ms,
        lag_key: "log.remote.copy.lag.ms",
        lag: topic.remote_copy_lag_ms,
    };
    let bytes = Local {
        key: "log.local.retention.bytes",
        local: topic.local_retention_bytes,
        whole_key: "log.retention.bytes",
        whole: topic.retention_bytes,
        lag_key: "log.remote.copy.lag.bytes",
        lag: topic.remote_copy_lag_bytes,
    };
    ms.check_retention()?;
    bytes.check_retention()?;
    ms.check_lag()?;
    bytes.check_lag()
}

/// Checks a change of log levels, which no controller hears of. `exists` knows the loggers.
pub fn preflight_loggers(
    node_id: base::NodeId,
    name: &str,
    ops: &[Op<'_>],
    exists: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    match name.parse::<i32>() {
        Err(_) => {
            let message = format!("Node id must be an integer, but it is: {name}");
            return Err(Refusal::request(message));
        }
        Ok(id) if id != node_id.0 => {
            let message = format!("Unexpected node id. Expected {node_id}, but received {name}");
            return Err(Refusal::request(message));
        }
        Ok(_) => {}
    }
    for op in ops {
        let logger = op.name;
        let unknown = || Refusal::config(format!("Logger {logger} does not exist!"));
        match op.kind {
            OpKind::Set if !exists(logger) => return Err(unknown()),
            OpKind::Set => {
                let level = op.value.unwrap_or_default();
                if !LOG_LEVELS.contains(&level) {
                    return Err(Refusal::config(format!(
                        "Cannot set the log level of {logger} to {level} as it is not a supported \
                         log level. Valid log levels are {}",
                        LOG_LEVELS.join(", ")
                    )));
                }
            }
            OpKind::Delete if logger == "root" => {
                let message = "Removing the log level of the root logger is not allowed";
                return Err(Refusal::request(message));
            }
            OpKind::Delete if !exists(logger) => return Err(unknown()),
            OpKind::Delete => {}
            OpKind::Append | OpKind::Subtract => {
                let verb = if op.kind == OpKind::Append { "APPEND" } else { "SUBTRACT" };
                let message =
                    format!("{verb} operation is not allowed for the BROKER_LOGGER resource");
                return Err(Refusal::request(message));
            }
            OpKind::Unknown(id) => {
                let message = format!(
                    "Unknown operation type {id} is not allowed for the BROKER_LOGGER resource"
                );
                return Err(Refusal::request(message));
            }
        }
    }
    Ok(())
}

const LOG_LEVELS: &[&str] = &["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];
