//! Changes of configuration over the wire: `IncrementalAlterConfigs` and `AlterConfigs`, decided without side effects.
//!
//! As in Kafka a change passes two doors: the broker that receives it ([`preflight`]) and the active controller
//! ([`incremental`], [`replacement`]), which answers with the changes to record.

mod broker;
mod names;
mod rules;

pub use broker::{AlterKind, Preflight, preflight, preflight_loggers};
pub use names::check_topic_name;

use std::collections::BTreeSet;

use crate::error::ConfigError;
use crate::key::{ConfigType, Default};
use crate::keys;
use crate::topic::Overrides;
use crate::{BrokerConfig, ConfigKey};

/// Kafka's error codes for refused changes.
pub const UNKNOWN_SERVER_ERROR: i16 = -1;
pub const INVALID_TOPIC: i16 = 17;
pub const INVALID_CONFIG: i16 = 40;
pub const INVALID_REQUEST: i16 = 42;

/// Longest value that a record takes, in characters.
const MAX_VALUE_LENGTH: usize = i16::MAX as usize;

/// What a configuration belongs to; the numbers are those of the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i8)]
pub enum ResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ResourceType {
    pub const fn from_id(id: i8) -> Option<Self> {
        Some(match id {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            _ => return None,
        })
    }

    pub const fn id(self) -> i8 {
        self as i8
    }
}

/// One change asked for; the value is null for a deletion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op<'a> {
    pub name: &'a str,
    pub kind: OpKind,
    pub value: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpKind {
    Set,
    Delete,
    Append,
    Subtract,
    /// A number that the protocol does not know.
    Unknown(i8),
}

impl OpKind {
    pub const fn from_id(id: i8) -> Self {
        match id {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            other => Self::Unknown(other),
        }
    }
}

/// A change to record: the value, or null to take the key away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub name: String,
    pub value: Option<String>,
}

/// Why a change is not made: Kafka's error code and message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} (error {code})")]
pub struct Refusal {
    pub code: i16,
    pub message: String,
}

impl Refusal {
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self { code: INVALID_REQUEST, message: message.into() }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { code: INVALID_CONFIG, message: message.into() }
    }
}

/// A value that does not hold is `INVALID_CONFIG` at the controller.
impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        Self::config(error.kafka_message())
    }
}

/// What the controller must know to decide.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The controller's own configuration, with what is set dynamically for the cluster.
    pub node: &'a BrokerConfig,
    /// The feature `eligible.leader.replicas.version` is at 1: `min.insync.replicas` belongs to the cluster.
    pub elr_enabled: bool,
}

/// The changes that `ops` make to `current`, in order; for brokers also those that change nothing, since they make the
/// broker read its files anew. That the resource exists is for the caller to check afterwards.
pub fn incremental(
    rules: &Rules<'_>,
    resource: ResourceType,
    name: &str,
    current: &Overrides,
    ops: &[Op<'_>],
) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    for op in ops {
        let old = current.get(op.name);
        let new = match op.kind {
            OpKind::Set => op.value.map(str::to_owned),
            OpKind::Delete => None,
            OpKind::Append | OpKind::Subtract => Some(edit_list(resource, old, op)?),
            // As Kafka, which has no word for it.
            OpKind::Unknown(_) => {
                let message =
                    "The server experienced an unexpected error when processing the request.";
                return Err(Refusal { code: UNKNOWN_SERVER_ERROR, message: message.into() });
            }
        };
        if old != new.as_ref() || resource == ResourceType::Broker {
            changes.push(Change { name: op.name.to_owned(), value: new });
        }
    }
    check(rules, resource, name, current, &changes)?;
    Ok(changes)
}

/// The changes that make `new` the whole configuration: what stands in `current` alone goes.
pub fn replacement(
    rules: &Rules<'_>,
    resource: ResourceType,
    name: &str,
    current: &Overrides,
    new: &[(&str, Option<&str>)],
) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    for (key, value) in new {
        if current.get(*key).map(String::as_str) != *value || resource == ResourceType::Broker {
            changes.push(Change { name: (*key).to_owned(), value: value.map(str::to_owned) });
        }
    }
    let kept: BTreeSet<&str> = new.iter().map(|(name, _)| *name).collect();
    for key in current.keys().filter(|key| !kept.contains(key.as_str())) {
        changes.push(Change { name: key.clone(), value: None });
    }
    check(rules, resource, name, current, &changes)?;
    Ok(changes)
}

/// A resource's settings after `changes`.
pub fn apply(current: &Overrides, changes: &[Change]) -> Overrides {
    let mut after = current.clone();
    for change in changes {
        match &change.value {
            Some(value) => after.insert(change.name.clone(), value.clone()),
            None => after.remove(&change.name),
        };
    }
    after
}

/// The row of a key of a resource. Kafka's controller knows those of brokers and topics.
fn known_key(resource: ResourceType, name: &str) -> Option<&'static ConfigKey> {
    match resource {
        ResourceType::Topic => keys::TOPIC.get(name),
        ResourceType::Broker => keys::BROKER.get(name),
        _ => None,
    }
}

fn edit_list(resource: ResourceType, old: Option<&String>, op: &Op<'_>) -> Result<String, Refusal> {
    let key = known_key(resource, op.name).filter(|key| key.kind == ConfigType::List);
    let Some(key) = key else {
        let verb = if op.kind == OpKind::Append { "APPEND" } else { "SUBTRACT" };
        let message = format!("Can't {verb} to key {} because its type is not LIST.", op.name);
        return Err(Refusal::config(message));
    };
    let default = match key.default {
        Default::Text(text) => text,
        Default::Required | Default::Null => "",
    };
    Ok(edited(old.map_or(default, String::as_str), op))
}

/// `old` with the items of an operation added at the end, or each taken away once.
fn edited(old: &str, op: &Op<'_>) -> String {
    let mut items: Vec<&str> = old.split(',').filter(|item| !item.is_empty()).collect();
    for item in java_split(op.value.unwrap_or_default()) {
        let at = items.iter().position(|old| *old == item);
        match (op.kind, at) {
            (OpKind::Append, None) => items.push(item),
            (OpKind::Subtract, Some(at)) => drop(items.remove(at)),
            _ => {}
        }
    }
    items.join(",")
}

/// `String.split` of Java at commas: empty pieces at the end do not count, unless there is nothing else.
fn java_split(text: &str) -> impl Iterator<Item = &str> {
    let end = if text.is_empty() { text } else { text.trim_end_matches(',') };
    let pieces = if end.is_empty() && !text.is_empty() { None } else { Some(end.split(',')) };
    pieces.into_iter().flatten()
}

fn check(
    rules: &Rules<'_>,
    resource: ResourceType,
    name: &str,
    current: &Overrides,
    changes: &[Change],
) -> Result<(), Refusal> {
    for change in changes {
        let min_isr = resource == ResourceType::Broker && change.name == "min.insync.replicas";
        if rules.elr_enabled && min_isr {
            if !name.is_empty() {
                let message =
                    "Broker-level min.insync.replicas cannot be altered while ELR is enabled.";
                return Err(Refusal::config(message));
            }
            if change.value.is_none() {
                let message =
                    "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.";
                return Err(Refusal::config(message));
            }
        }
        let length = change.value.as_ref().map_or(0, |value| value.encode_utf16().count());
        if length > MAX_VALUE_LENGTH {
            return Err(Refusal::config(
                "The configuration value cannot be added because it exceeds the maximum value size \
                 of 32767 bytes.",
            ));
        }
    }
    let after = apply(current, changes);
    match resource {
        ResourceType::Topic => rules::topic(rules.node, name, &after, current),
        ResourceType::Broker => names::check_broker_name(name),
        ResourceType::Group => rules::group(rules.node, name, &after),
        ResourceType::ClientMetrics => rules::client_metrics(name, &after),
        ResourceType::BrokerLogger => Err(Refusal::request("Unknown resource type BROKER_LOGGER")),
    }
}
