//! What `DescribeConfigs` shows: every key with its value, where that comes from, and what it would else be.

use crate::group;
use crate::key::ConfigType;
use crate::keys::{self, synonyms};
use crate::topic::{self, Overrides};
use crate::values::Values;
use crate::{BrokerConfig, ConfigError, ConfigKey, UpdateMode, Value};

/// Where a value comes from; the numbers are those of the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i8)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    DynamicBrokerLogger = 6,
    ClientMetrics = 7,
    Group = 8,
}

/// A place that could give the value; the first of an entry does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    pub name: String,
    /// Null for what must stay secret.
    pub value: Option<String>,
    pub source: Source,
}

/// One key of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub name: String,
    /// Null for what must stay secret, and for no value.
    pub value: Option<String>,
    pub read_only: bool,
    pub source: Source,
    pub sensitive: bool,
    pub synonyms: Vec<Synonym>,
    /// A [`ConfigType`], or [`ConfigType::UNKNOWN`].
    pub kind: i8,
    pub documentation: Option<&'static str>,
}

/// The settings of a broker, the strongest last.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The configuration from the file alone.
    pub file: &'a BrokerConfig,
    /// What is set dynamically for all brokers.
    pub cluster: &'a Overrides,
    /// What is set dynamically for this one.
    pub broker: &'a Overrides,
}

impl Layers<'_> {
    /// The configuration in force.
    pub fn current(&self) -> Result<BrokerConfig, ConfigError> {
        self.file.with_dynamic(self.cluster, self.broker)
    }

    /// What the file says of a key; `node.id` and `broker.id` say it of each other.
    fn written(&self, name: &str) -> Option<&str> {
        let given = &self.file.given;
        given.get(name).or_else(|| match name {
            "node.id" => given.get("broker.id"),
            "broker.id" => given.get("node.id"),
            _ => None,
        })
    }

    /// Every place that could give a broker key its value, the strongest first. Places that only prefixed or finer keys
    /// have are left out, as Kafka leaves them out, until the key itself appears.
    fn synonyms(&self, name: &str, sensitive: bool) -> Vec<Synonym> {
        let names = synonyms::of_broker(name);
        let mut all = Vec::new();
        let mut add = |name: &str, value: Option<String>, source: Source| {
            if let Some(value) = value {
                let value = (!sensitive).then_some(value);
                all.push(Synonym { name: name.to_owned(), value, source });
            }
        };
        for name in &names {
            add(name, self.broker.get(*name).cloned(), Source::DynamicBroker);
        }
        for name in &names {
            add(name, self.cluster.get(*name).cloned(), Source::DynamicDefaultBroker);
        }
        for name in &names {
            add(name, self.written(name).map(str::to_owned), Source::StaticBroker);
        }
        for name in &names {
            let default = keys::BROKER.get(name).and_then(|key| key.default_value().ok());
            let default = default.filter(|value| *value != Value::Null);
            add(name, default.map(|value| value.describe().unwrap_or_default()), Source::Default);
        }
        let own = all.iter().position(|synonym| synonym.name == name).unwrap_or(all.len());
        all.split_off(own)
    }
}

/// The row behind a key of a broker, prefixed or not.
fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    let base = synonyms::without_listener_prefix(name).unwrap_or(name);
    let key = |name: &str| keys::BROKER.get(name).or_else(|| keys::BROKER_DYNAMIC_ONLY.get(name));
    key(base).or_else(|| key(synonyms::of_broker(name).last().copied()?))
}

fn broker_entry(
    layers: &Layers<'_>,
    name: &str,
    value: Option<String>,
    whole_cluster: bool,
) -> Entry {
    let key = broker_key(name);
    let sensitive = key.is_none_or(ConfigKey::is_sensitive);
    let mut synonyms = layers.synonyms(name, sensitive);
    if whole_cluster {
        synonyms.retain(|synonym| synonym.source == Source::DynamicDefaultBroker);
    }
    let own = keys::BROKER.get(name).or_else(|| keys::BROKER_DYNAMIC_ONLY.get(name));
    Entry {
        name: name.to_owned(),
        value: value.filter(|_| !sensitive),
        read_only: own.is_none_or(|key| key.mode == UpdateMode::ReadOnly),
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        sensitive,
        synonyms,
        kind: key.map_or(ConfigType::UNKNOWN, |key| key.kind as i8),
        documentation: key.map(|key| key.doc),
    }
}

/// One broker: all keys that are not internal, and whatever else is set.
pub fn broker(layers: &Layers<'_>) -> Result<Vec<Entry>, ConfigError> {
    let current = layers.current()?;
    let mut entries = Vec::new();
    for key in keys::BROKER.iter().filter(|key| !key.internal) {
        let value = current.values.get(key.name).and_then(Value::describe);
        entries.push(broker_entry(layers, key.name, value, false));
    }
    for (name, text) in current.given.iter() {
        let shown = keys::BROKER.get(name).is_some_and(|key| !key.internal);
        // Keys of our own are no part of what Kafka's tools expect to see.
        let ours = keys::MONEDULA.get(name).is_some();
        if !shown && !ours {
            entries.push(broker_entry(layers, name, Some(text.to_owned()), false));
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// What is set for all brokers.
pub fn cluster(layers: &Layers<'_>) -> Vec<Entry> {
    let entry =
        |(name, value): (&String, &String)| broker_entry(layers, name, Some(value.clone()), true);
    layers.cluster.iter().map(entry).collect()
}

/// The part that topics, groups and client metrics share: the resource's own setting before its synonyms.
fn entry(
    key: &'static ConfigKey,
    values: &Values,
    own: Option<Source>,
    mut synonyms: Vec<Synonym>,
) -> Entry {
    let value = values.get(key.name).and_then(Value::describe);
    if let Some(source) = own {
        synonyms.insert(0, Synonym { name: key.name.to_owned(), value: value.clone(), source });
    }
    Entry {
        name: key.name.to_owned(),
        value,
        read_only: false,
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        sensitive: key.is_sensitive(),
        synonyms,
        kind: key.kind as i8,
        documentation: Some(key.doc),
    }
}

/// A topic with settings of its own.
pub fn topic(layers: &Layers<'_>, own: &Overrides) -> Result<Vec<Entry>, ConfigError> {
    let broker = layers.file.values_under(layers.cluster, layers.broker)?;
    let values = topic::with_overrides(&topic::defaults(&broker)?, own)?;
    let describe = |key: &'static ConfigKey| {
        let behind = synonyms::of_topic(key.name).first();
        let behind = behind.map(|(name, _)| layers.synonyms(name, false)).unwrap_or_default();
        let source = own.contains_key(key.name).then_some(Source::Topic);
        entry(key, &values, source, behind)
    };
    let shown = |key: &&ConfigKey| !key.internal || own.contains_key(key.name);
    Ok(keys::TOPIC.iter().filter(shown).map(describe).collect())
}

/// A group with settings of its own.
pub fn group(layers: &Layers<'_>, own: &Overrides) -> Result<Vec<Entry>, ConfigError> {
    let broker = layers.file.values_under(layers.cluster, layers.broker)?;
    let values = group::values(&broker, own)?;
    let describe = |key: &'static ConfigKey| {
        let behind = match synonyms::of_group(key.name) {
            Some(name) => layers.synonyms(name, false),
            None => own_default(key),
        };
        let source = own.contains_key(key.name).then_some(Source::Group);
        entry(key, &values, source, behind)
    };
    let shown = |key: &&ConfigKey| !key.internal || own.contains_key(key.name);
    Ok(keys::GROUP.iter().filter(shown).map(describe).collect())
}

fn own_default(key: &ConfigKey) -> Vec<Synonym> {
    let value = key.default_value().ok().and_then(|value| value.describe());
    vec![Synonym { name: key.name.to_owned(), value, source: Source::Default }]
}

/// A client metrics subscription.
pub fn client_metrics(own: &Overrides) -> Result<Vec<Entry>, ConfigError> {
    let values = Values::parse(&keys::CLIENT_METRICS, |key| own.get(key).map(String::as_str))?;
    let describe = |key: &'static ConfigKey| {
        let source = own.contains_key(key.name).then_some(Source::ClientMetrics);
        entry(key, &values, source, Vec::new())
    };
    Ok(keys::CLIENT_METRICS.iter().map(describe).collect())
}
