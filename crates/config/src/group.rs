//! What holds for one group: its own settings over the broker's.

use crate::error::ConfigError;
use crate::keys::{self, synonyms};
use crate::topic::Overrides;
use crate::value::Value;
use crate::values::Values;

typed! {
    /// Everything that a group coordinator needs to know of a group, of whatever kind.
    pub struct GroupConfig {
        consumer_assignment_interval_ms: int = "consumer.assignment.interval.ms",
        consumer_assignor_offload_enable: boolean = "consumer.assignor.offload.enable",
        consumer_heartbeat_interval_ms: int = "consumer.heartbeat.interval.ms",
        consumer_session_timeout_ms: int = "consumer.session.timeout.ms",
        errors_deadletterqueue_copy_record_enable: boolean = "errors.deadletterqueue.copy.record.enable",
        errors_deadletterqueue_topic_name: string = "errors.deadletterqueue.topic.name",
        share_assignment_interval_ms: int = "share.assignment.interval.ms",
        share_assignor_offload_enable: boolean = "share.assignor.offload.enable",
        share_auto_offset_reset: string = "share.auto.offset.reset",
        share_delivery_count_limit: int = "share.delivery.count.limit",
        share_heartbeat_interval_ms: int = "share.heartbeat.interval.ms",
        share_isolation_level: string = "share.isolation.level",
        share_partition_max_record_locks: int = "share.partition.max.record.locks",
        share_record_lock_duration_ms: int = "share.record.lock.duration.ms",
        share_renew_acknowledge_enable: boolean = "share.renew.acknowledge.enable",
        share_session_timeout_ms: int = "share.session.timeout.ms",
        streams_acceptable_recovery_lag: long = "streams.acceptable.recovery.lag",
        streams_assignment_interval_ms: int = "streams.assignment.interval.ms",
        streams_assignor_name: opt_string = "streams.assignor.name",
        streams_assignor_offload_enable: boolean = "streams.assignor.offload.enable",
        streams_heartbeat_interval_ms: int = "streams.heartbeat.interval.ms",
        streams_initial_rebalance_delay_ms: int = "streams.initial.rebalance.delay.ms",
        streams_num_standby_replicas: int = "streams.num.standby.replicas",
        streams_num_warmup_replicas: int = "streams.num.warmup.replicas",
        streams_rack_aware_assignment_tags: list = "streams.rack.aware.assignment.tags",
        streams_session_timeout_ms: int = "streams.session.timeout.ms",
        streams_task_offset_interval_ms: int = "streams.task.offset.interval.ms",
    }
}

/// A group's values by key: its own, else the broker's where a broker key stands behind. Unknown keys are ignored.
pub(crate) fn values(broker: &Values, own: &Overrides) -> Result<Values, ConfigError> {
    let mut values = Values::parse(&keys::GROUP, |key| own.get(key).map(String::as_str))?;
    for key in keys::GROUP.iter().filter(|key| !own.contains_key(key.name)) {
        let behind = synonyms::of_group(key.name).and_then(|name| broker.get(name));
        match behind {
            // The assignor is the first of the broker's list.
            Some(Value::List(names)) if key.name == "streams.assignor.name" => {
                values.set(key, names.first().map_or(Value::Null, |n| Value::String(n.clone())));
            }
            Some(value) => values.set(key, value.clone()),
            None => {}
        }
    }
    Ok(values)
}
