//! What holds for one topic: its own settings over the broker's.

use std::collections::BTreeMap;

use crate::error::ConfigError;
use crate::keys::{self, synonyms};
use crate::value::Value;
use crate::values::Values;

/// Settings of a resource as the metadata log holds them: key to text.
pub type Overrides = BTreeMap<String, String>;

typed! {
    /// Everything that a partition's log and its leader need to know of the topic.
    pub struct TopicConfig {
        cleanup_policy: list = "cleanup.policy",
        compression_type: string = "compression.type",
        compression_gzip_level: int = "compression.gzip.level",
        compression_lz4_level: int = "compression.lz4.level",
        compression_zstd_level: int = "compression.zstd.level",
        delete_retention_ms: long = "delete.retention.ms",
        file_delete_delay_ms: long = "file.delete.delay.ms",
        flush_messages: long = "flush.messages",
        flush_ms: long = "flush.ms",
        follower_throttled_replicas: list = "follower.replication.throttled.replicas",
        leader_throttled_replicas: list = "leader.replication.throttled.replicas",
        index_interval_bytes: int = "index.interval.bytes",
        internal_segment_bytes: opt_int = "internal.segment.bytes",
        local_retention_bytes: long = "local.retention.bytes",
        local_retention_ms: long = "local.retention.ms",
        max_compaction_lag_ms: long = "max.compaction.lag.ms",
        max_decompressed_message_bytes: int = "max.decompressed.message.bytes",
        max_message_bytes: int = "max.message.bytes",
        message_timestamp_after_max_ms: long = "message.timestamp.after.max.ms",
        message_timestamp_before_max_ms: long = "message.timestamp.before.max.ms",
        message_timestamp_type: string = "message.timestamp.type",
        min_cleanable_dirty_ratio: double = "min.cleanable.dirty.ratio",
        min_compaction_lag_ms: long = "min.compaction.lag.ms",
        min_insync_replicas: int = "min.insync.replicas",
        preallocate: boolean = "preallocate",
        remote_copy_lag_bytes: long = "remote.copy.lag.bytes",
        remote_copy_lag_ms: long = "remote.copy.lag.ms",
        remote_log_copy_disable: boolean = "remote.log.copy.disable",
        remote_log_delete_on_disable: boolean = "remote.log.delete.on.disable",
        remote_storage_enable: boolean = "remote.storage.enable",
        retention_bytes: long = "retention.bytes",
        retention_ms: long = "retention.ms",
        segment_bytes: int = "segment.bytes",
        segment_index_bytes: int = "segment.index.bytes",
        segment_jitter_ms: long = "segment.jitter.ms",
        segment_ms: long = "segment.ms",
        unclean_leader_election_enable: boolean = "unclean.leader.election.enable",
    }
}

impl TopicConfig {
    /// True when old records leave by age and size.
    pub fn deletes(&self) -> bool {
        self.cleanup_policy.iter().any(|policy| policy == "delete")
    }

    /// True when the last record of a key stays.
    pub fn compacts(&self) -> bool {
        self.cleanup_policy.iter().any(|policy| policy == "compact")
    }

    /// The size at which a segment rolls, with the internal key of tests winning.
    pub fn segment_size_bytes(&self) -> i32 {
        self.internal_segment_bytes.unwrap_or(self.segment_bytes)
    }

    /// True when the broker stamps records with its own time.
    pub fn uses_log_append_time(&self) -> bool {
        self.message_timestamp_type == "LogAppendTime"
    }
}

/// The topic keys' values when a topic sets nothing: `broker` where a broker key stands behind.
pub(crate) fn defaults(broker: &Values) -> Result<Values, ConfigError> {
    let mut values = Values::parse(&keys::TOPIC, |_| None)?;
    for key in keys::TOPIC.iter() {
        if let Some(value) = from_broker(broker, key.name) {
            values.set(key, value);
        }
    }
    Ok(values)
}

/// The broker's value for a topic key: the first of its synonyms that is not null, in milliseconds where it is a time.
fn from_broker(broker: &Values, topic_key: &str) -> Option<Value> {
    let mut synonyms = synonyms::of_topic(topic_key).iter();
    synonyms.find_map(|(name, unit)| match broker.get(name)? {
        Value::Null => None,
        // Kafka takes every negative retention for "without limit".
        Value::Int(number) if topic_key == "retention.ms" && *number < 0 => Some(Value::Long(-1)),
        Value::Long(number) if topic_key == "retention.ms" && *number < 0 => Some(Value::Long(-1)),
        Value::Int(number) if *unit != synonyms::Unit::Same => {
            Some(Value::Long(i64::from(*number).saturating_mul(unit.ms())))
        }
        other => Some(other.clone()),
    })
}

/// `defaults` with what the topic sets. Keys that no table has are ignored: a newer controller may know them.
pub(crate) fn with_overrides(defaults: &Values, own: &Overrides) -> Result<Values, ConfigError> {
    let mut values = defaults.clone();
    for (name, text) in own {
        if let Some(key) = keys::TOPIC.get(name) {
            values.set(key, key.parse(text)?);
        }
    }
    Ok(values)
}

/// `latest`, `earliest`, or `by_duration:` and a duration that is not negative.
pub(crate) fn offset_reset(key: &str, value: &Value) -> Result<(), ConfigError> {
    let Value::String(text) = value else {
        return Err(ConfigError::invalid(key, value, ""));
    };
    let valid = match text.split_once(':') {
        None => text == "latest" || text == "earliest",
        Some((kind, duration)) => kind == "by_duration" && is_duration(duration),
    };
    if valid {
        return Ok(());
    }
    let expected = format!(
        "Invalid value `{text}` for configuration {key}. The value must be either 'earliest', \
         'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
    );
    Err(ConfigError::invalid(key, value, expected))
}

/// ISO-8601 `PnDTnHnMn.nS` in any case with at least one part, none negative.
fn is_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(rest) = text.strip_prefix('P') else { return false };
    let digits = |part: &str| {
        let part = part.strip_prefix('+').unwrap_or(part);
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
    };
    let (days, time) = rest.split_once('T').map_or((rest, None), |(d, t)| (d, Some(t)));
    if !(days.is_empty() || days.strip_suffix('D').is_some_and(digits)) {
        return false;
    }
    let Some(mut time) = time else { return !days.is_empty() };
    if time.is_empty() {
        return false;
    }
    for unit in ['H', 'M'] {
        if let Some((number, rest)) = time.split_once(unit) {
            if !digits(number) {
                return false;
            }
            time = rest;
        }
    }
    let seconds = |part: &str| {
        part.strip_suffix('S').is_some_and(|number| match number.split_once(['.', ',']) {
            Some((whole, fraction)) => {
                digits(whole) && fraction.bytes().all(|b| b.is_ascii_digit()) && fraction.len() <= 9
            }
            None => digits(number),
        })
    };
    time.is_empty() || seconds(time)
}
