//! Which broker key stands behind a topic or group key, and which broker keys say the same in other units.

/// How the number of a broker key becomes the milliseconds of the topic key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    Same,
    Minutes,
    Hours,
}

impl Unit {
    /// Milliseconds in one of these.
    pub const fn ms(self) -> i64 {
        match self {
            Self::Same => 1,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        }
    }
}

use Unit::{Hours, Minutes, Same};

/// Topic key, then the broker keys behind it: the first that is set gives the default of the topic.
pub const TOPIC: &[(&str, &[(&str, Unit)])] = &[
    ("cleanup.policy", &[("log.cleanup.policy", Same)]),
    ("compression.gzip.level", &[("compression.gzip.level", Same)]),
    ("compression.lz4.level", &[("compression.lz4.level", Same)]),
    ("compression.type", &[("compression.type", Same)]),
    ("compression.zstd.level", &[("compression.zstd.level", Same)]),
    ("delete.retention.ms", &[("log.cleaner.delete.retention.ms", Same)]),
    ("file.delete.delay.ms", &[("log.segment.delete.delay.ms", Same)]),
    ("flush.messages", &[("log.flush.interval.messages", Same)]),
    ("flush.ms", &[("log.flush.interval.ms", Same), ("log.flush.scheduler.interval.ms", Same)]),
    ("index.interval.bytes", &[("log.index.interval.bytes", Same)]),
    ("local.retention.bytes", &[("log.local.retention.bytes", Same)]),
    ("local.retention.ms", &[("log.local.retention.ms", Same)]),
    ("max.compaction.lag.ms", &[("log.cleaner.max.compaction.lag.ms", Same)]),
    ("max.decompressed.message.bytes", &[("max.decompressed.message.bytes", Same)]),
    ("max.message.bytes", &[("message.max.bytes", Same)]),
    ("message.timestamp.after.max.ms", &[("log.message.timestamp.after.max.ms", Same)]),
    ("message.timestamp.before.max.ms", &[("log.message.timestamp.before.max.ms", Same)]),
    ("message.timestamp.type", &[("log.message.timestamp.type", Same)]),
    ("min.cleanable.dirty.ratio", &[("log.cleaner.min.cleanable.ratio", Same)]),
    ("min.compaction.lag.ms", &[("log.cleaner.min.compaction.lag.ms", Same)]),
    ("min.insync.replicas", &[("min.insync.replicas", Same)]),
    ("preallocate", &[("log.preallocate", Same)]),
    ("remote.copy.lag.bytes", &[("log.remote.copy.lag.bytes", Same)]),
    ("remote.copy.lag.ms", &[("log.remote.copy.lag.ms", Same)]),
    ("retention.bytes", &[("log.retention.bytes", Same)]),
    (
        "retention.ms",
        &[
            ("log.retention.ms", Same),
            ("log.retention.minutes", Minutes),
            ("log.retention.hours", Hours),
        ],
    ),
    ("segment.bytes", &[("log.segment.bytes", Same)]),
    ("segment.index.bytes", &[("log.index.size.max.bytes", Same)]),
    ("segment.jitter.ms", &[("log.roll.jitter.ms", Same), ("log.roll.jitter.hours", Hours)]),
    ("segment.ms", &[("log.roll.ms", Same), ("log.roll.hours", Hours)]),
    ("unclean.leader.election.enable", &[("unclean.leader.election.enable", Same)]),
];

/// Group key and the broker key behind it; keys without one have their own default only.
pub const GROUP: &[(&str, &str)] = &[
    ("consumer.assignment.interval.ms", "group.consumer.assignment.interval.ms"),
    ("consumer.assignor.offload.enable", "group.consumer.assignor.offload.enable"),
    ("consumer.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
    ("consumer.session.timeout.ms", "group.consumer.session.timeout.ms"),
    ("share.assignment.interval.ms", "group.share.assignment.interval.ms"),
    ("share.assignor.offload.enable", "group.share.assignor.offload.enable"),
    ("share.delivery.count.limit", "group.share.delivery.count.limit"),
    ("share.heartbeat.interval.ms", "group.share.heartbeat.interval.ms"),
    ("share.partition.max.record.locks", "group.share.partition.max.record.locks"),
    ("share.record.lock.duration.ms", "group.share.record.lock.duration.ms"),
    ("share.session.timeout.ms", "group.share.session.timeout.ms"),
    ("streams.acceptable.recovery.lag", "group.streams.acceptable.recovery.lag"),
    ("streams.assignment.interval.ms", "group.streams.assignment.interval.ms"),
    ("streams.assignor.name", "group.streams.assignors"),
    ("streams.assignor.offload.enable", "group.streams.assignor.offload.enable"),
    ("streams.heartbeat.interval.ms", "group.streams.heartbeat.interval.ms"),
    ("streams.initial.rebalance.delay.ms", "group.streams.initial.rebalance.delay.ms"),
    ("streams.num.standby.replicas", "group.streams.num.standby.replicas"),
    ("streams.num.warmup.replicas", "group.streams.num.warmup.replicas"),
    ("streams.rack.aware.assignment.tags", "group.streams.rack.aware.assignment.tags"),
    ("streams.session.timeout.ms", "group.streams.session.timeout.ms"),
    ("streams.task.offset.interval.ms", "group.streams.task.offset.interval.ms"),
];

/// Broker keys that say the same thing, the strongest first.
const BROKER: &[&[&str]] = &[
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];

/// Keys that a listener's SASL mechanism may prefix with its own name.
const PER_MECHANISM: &[&str] = &[
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// The broker keys behind a topic key.
pub fn of_topic(name: &str) -> &'static [(&'static str, Unit)] {
    TOPIC.iter().find(|(topic, _)| *topic == name).map_or(&[], |(_, broker)| broker)
}

/// The broker key behind a group key.
pub fn of_group(name: &str) -> Option<&'static str> {
    GROUP.iter().find(|(group, _)| *group == name).map(|(_, broker)| *broker)
}

/// `KEY` of `listener.name.NAME.KEY`, for the name of a listener that holds no dot.
pub fn without_listener_prefix(name: &str) -> Option<&str> {
    name.strip_prefix("listener.name.")?.split_once('.').map(|(_, key)| key)
}

/// The keys that are looked at, in turn, for the value of a broker key.
pub fn of_broker(name: &str) -> Vec<&str> {
    if name == "log.flush.interval.ms" {
        return vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    }
    if let Some(same) = BROKER.iter().find(|same| same.contains(&name)) {
        return same.to_vec();
    }
    match without_listener_prefix(name) {
        Some(base) => {
            let mechanism = PER_MECHANISM.iter().find(|key| base.ends_with(**key));
            vec![name, mechanism.copied().unwrap_or(base)]
        }
        None => vec![name],
    }
}
