//! What must hold among the settings of one topic, group or client metrics subscription.

use super::{Refusal, names};
use crate::BrokerConfig;
use crate::error::ConfigError;
use crate::keys;
use crate::topic::{Overrides, TopicConfig};
use crate::value::{Value, java_trim, split_list};
use crate::values::Values;

/// Follow the setting without `local.`.
const FOLLOW: i64 = -2;

pub(super) fn topic(
    node: &BrokerConfig,
    name: &str,
    after: &Overrides,
    before: &Overrides,
) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::request("Default topic resources are not allowed."));
    }
    names::check_topic_name(name)?;
    topic_values(node, after, before)
}

/// The settings of a topic, new or changed.
pub(super) fn topic_values(
    node: &BrokerConfig,
    after: &Overrides,
    before: &Overrides,
) -> Result<(), Refusal> {
    if let Some(unknown) = after.keys().find(|key| keys::TOPIC.get(key).is_none()) {
        return Err(Refusal::config(format!("Unknown topic config name: {unknown}")));
    }
    let topic = node.topic(after)?;
    let (min, max) = (topic.min_compaction_lag_ms, topic.max_compaction_lag_ms);
    if min > max {
        return Err(Refusal::config(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    if topic.remote_storage_enable {
        return tiered(&topic, node.remote.storage_system_enable);
    }
    let was_tiered =
        before.get("remote.storage.enable").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if was_tiered && !topic.remote_log_delete_on_disable {
        return Err(Refusal::config(
            "It is invalid to disable remote storage without deleting remote data. If you want to \
             keep the remote data and turn to read only, please set `remote.storage.enable=true,\
             remote.log.copy.disable=true`. If you want to disable remote storage and delete all \
             remote data, please set `remote.storage.enable=false,remote.log.delete.on.disable=true`.",
        ));
    }
    Ok(())
}

fn tiered(topic: &TopicConfig, system_enabled: bool) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::config(message));
    if !system_enabled {
        return refuse(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
             with remote log storage.",
        );
    }
    if !topic.cleanup_policy.is_empty() && topic.cleanup_policy != ["delete"] {
        return refuse(
            "Remote log storage only supports topics with cleanup.policy=delete or cleanup.policy \
             being an empty list.",
        );
    }
    let bytes = Local {
        key: "local.retention.bytes",
        local: topic.local_retention_bytes,
        whole_key: "retention.bytes",
        whole: topic.retention_bytes,
        lag_key: "remote.copy.lag.bytes",
        lag: topic.remote_copy_lag_bytes,
    };
    let ms = Local {
        key: "local.retention.ms",
        local: topic.local_retention_ms,
        whole_key: "retention.ms",
        whole: topic.retention_ms,
        lag_key: "remote.copy.lag.ms",
        lag: topic.remote_copy_lag_ms,
    };
    bytes.check_retention()?;
    ms.check_retention()?;
    bytes.check_lag()?;
    ms.check_lag()?;
    if topic.remote_log_copy_disable {
        for limit in [&bytes, &ms] {
            if limit.local != FOLLOW && limit.local != limit.whole {
                return refuse(&format!(
                    "When `remote.log.copy.disable` is set to true, the `{}` and `{}` must be set \
                     to the identical value because there will be no more logs copied to the remote \
                     storage.",
                    limit.key, limit.whole_key
                ));
            }
        }
    }
    Ok(())
}

/// How much stays on the local disk, how much at all, and how late it is copied; in bytes or milliseconds.
pub(super) struct Local {
    pub key: &'static str,
    pub local: i64,
    pub whole_key: &'static str,
    pub whole: i64,
    pub lag_key: &'static str,
    pub lag: i64,
}

impl Local {
    /// No more stays on the local disk than at all.
    pub fn check_retention(&self) -> Result<(), ConfigError> {
        let (local, whole, whole_key) = (self.local, self.whole, self.whole_key);
        // Kafka writes the one as "> -1", the other as "!= -1"; no other negative value gets here.
        if whole <= -1 || local == FOLLOW {
            return Ok(());
        }
        if local == -1 {
            let expected = format!("Value must not be -1 as {whole_key} value is set as {whole}.");
            return Err(ConfigError::invalid(self.key, local, expected));
        }
        if local > whole {
            let expected =
                format!("Value must not be more than {whole_key} property value: {whole}");
            return Err(ConfigError::invalid(self.key, local, expected));
        }
        Ok(())
    }

    /// A segment is copied before it leaves the local disk.
    pub fn check_lag(&self) -> Result<(), ConfigError> {
        let effective = if self.local == FOLLOW { self.whole } else { self.local };
        if self.lag > 0 && effective >= 0 && self.lag > effective {
            let expected =
                format!("Value must not exceed {} (effective value: {effective})", self.key);
            return Err(ConfigError::invalid(self.lag_key, self.lag, expected));
        }
        Ok(())
    }
}

/// Group key, and the broker keys with its least and largest value; Kafka's order.
const RANGES: &[(&str, Option<&str>, Option<&str>)] = &[
    (
        "consumer.heartbeat.interval.ms",
        Some("group.consumer.min.heartbeat.interval.ms"),
        Some("group.consumer.max.heartbeat.interval.ms"),
    ),
    (
        "consumer.session.timeout.ms",
        Some("group.consumer.min.session.timeout.ms"),
        Some("group.consumer.max.session.timeout.ms"),
    ),
    (
        "consumer.assignment.interval.ms",
        Some("group.consumer.min.assignment.interval.ms"),
        Some("group.consumer.max.assignment.interval.ms"),
    ),
    (
        "share.heartbeat.interval.ms",
        Some("group.share.min.heartbeat.interval.ms"),
        Some("group.share.max.heartbeat.interval.ms"),
    ),
    (
        "share.session.timeout.ms",
        Some("group.share.min.session.timeout.ms"),
        Some("group.share.max.session.timeout.ms"),
    ),
    (
        "share.record.lock.duration.ms",
        Some("group.share.min.record.lock.duration.ms"),
        Some("group.share.max.record.lock.duration.ms"),
    ),
    (
        "share.delivery.count.limit",
        Some("group.share.min.delivery.count.limit"),
        Some("group.share.max.delivery.count.limit"),
    ),
    (
        "share.partition.max.record.locks",
        Some("group.share.min.partition.max.record.locks"),
        Some("group.share.max.partition.max.record.locks"),
    ),
    (
        "share.assignment.interval.ms",
        Some("group.share.min.assignment.interval.ms"),
        Some("group.share.max.assignment.interval.ms"),
    ),
    (
        "streams.heartbeat.interval.ms",
        Some("group.streams.min.heartbeat.interval.ms"),
        Some("group.streams.max.heartbeat.interval.ms"),
    ),
    (
        "streams.session.timeout.ms",
        Some("group.streams.min.session.timeout.ms"),
        Some("group.streams.max.session.timeout.ms"),
    ),
    ("streams.num.standby.replicas", None, Some("group.streams.max.standby.replicas")),
    (
        "streams.assignment.interval.ms",
        Some("group.streams.min.assignment.interval.ms"),
        Some("group.streams.max.assignment.interval.ms"),
    ),
    ("streams.task.offset.interval.ms", Some("group.streams.min.task.offset.interval.ms"), None),
    ("streams.num.warmup.replicas", None, Some("group.streams.max.warmup.replicas")),
];

pub(super) fn group(node: &BrokerConfig, name: &str, after: &Overrides) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::request("Default group resources are not allowed."));
    }
    if let Some(unknown) = after.keys().find(|key| keys::GROUP.get(key).is_none()) {
        return Err(Refusal::config(format!("Unknown group config name: {unknown}")));
    }
    let tags_key = "streams.rack.aware.assignment.tags";
    if let Some(tags) = after.get(tags_key) {
        let mut tags = split_list(java_trim(tags));
        let given = tags.len();
        tags.sort();
        tags.dedup();
        if tags.len() != given {
            return Err(Refusal::config(format!(
                "{tags_key} must not contain duplicate tag keys."
            )));
        }
    }
    let values = Values::parse(&keys::GROUP, |key| after.get(key).map(String::as_str))?;
    for (key, low, high) in RANGES.iter().filter(|(key, _, _)| after.contains_key(*key)) {
        in_range(
            key,
            values.int(key),
            low.map(|k| node.values.int(k)),
            high.map(|k| node.values.int(k)),
        )?;
    }
    if let (true, Some(Value::String(assignor))) =
        (after.contains_key("streams.assignor.name"), values.get("streams.assignor.name"))
    {
        let known = &node.streams_group.assignors;
        if !known.contains(assignor) {
            return Err(Refusal::config(format!(
                "streams.assignor.name '{assignor}' is not a registered task assignor. Registered \
                 assignors are: [{}].",
                known.join(", ")
            )));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let value = |key: &str| match after.contains_key(key) {
            true => values.int(key),
            false => node.values.int(&format!("group.{key}")),
        };
        let session = format!("{kind}.session.timeout.ms");
        let heartbeat = format!("{kind}.heartbeat.interval.ms");
        if value(&session) <= value(&heartbeat) {
            return Err(Refusal::config(format!("{session} must be greater than {heartbeat}")));
        }
    }
    let dead_letters = "errors.deadletterqueue.topic.name";
    if after.get(dead_letters).is_some_and(|topic| topic.starts_with("__")) {
        let message = format!("{dead_letters}: DLQ topic name must not start with '__'");
        return Err(Refusal::config(message));
    }
    Ok(())
}

fn in_range(key: &str, value: i32, low: Option<i32>, high: Option<i32>) -> Result<(), Refusal> {
    let message = match (low, high) {
        (Some(low), Some(high)) if value < low || value > high => {
            format!("{key} must be in the range {low} to {high} inclusive.")
        }
        (None, Some(high)) if value > high => {
            format!("{key} must be less than or equal to {high}")
        }
        (Some(low), None) if value < low => {
            format!("{key} must be greater than or equal to {low}")
        }
        _ => return Ok(()),
    };
    Err(Refusal::config(message))
}

/// What a subscription may select clients by.
const SELECTORS: &[&str] = &[
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

pub(super) fn client_metrics(name: &str, after: &Overrides) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::request("Subscription name can't be empty"));
    }
    if let Some(unknown) = after.keys().find(|key| keys::CLIENT_METRICS.get(key).is_none()) {
        return Err(Refusal::request(format!("Unknown client metrics configuration: {unknown}")));
    }
    let values = Values::parse(&keys::CLIENT_METRICS, |key| after.get(key).map(String::as_str))?;
    let interval = values.int("interval.ms");
    if !(100..=3_600_000).contains(&interval) {
        return Err(Refusal::request(format!(
            "Invalid value {interval} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
        )));
    }
    for pattern in values.list("match") {
        let valid = pattern.split_once('=').is_some_and(|(selector, regex)| {
            SELECTORS.contains(&java_trim(selector)) && is_balanced(java_trim(regex))
        });
        if !valid {
            return Err(Refusal::config(format!("Illegal client matching pattern: {pattern}")));
        }
    }
    Ok(())
}

/// Whether a regular expression closes what it opens and escapes something: the mistakes that people make. Patterns
/// are run by whoever matches clients, which refuses what is wrong in other ways.
fn is_balanced(regex: &str) -> bool {
    let (mut depth, mut in_class) = (0_usize, false);
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' if !in_class => in_class = true,
            ']' if in_class => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class && depth == 0 => return false,
            ')' if !in_class => depth -= 1,
            _ => {}
        }
    }
    depth == 0 && !in_class && !regex.starts_with(['*', '+', '?'])
}
