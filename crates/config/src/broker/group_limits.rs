//! How the settings of groups bound each other.

use crate::error::ConfigError;
use crate::values::Values;

/// Left key, relation, right key; checked in this order, which is Kafka's.
const RELATIONS: &[(&str, Relation, &str)] = &[
    (
        "group.consumer.max.heartbeat.interval.ms",
        AtLeast,
        "group.consumer.min.heartbeat.interval.ms",
    ),
    ("group.consumer.heartbeat.interval.ms", AtLeast, "group.consumer.min.heartbeat.interval.ms"),
    ("group.consumer.heartbeat.interval.ms", AtMost, "group.consumer.max.heartbeat.interval.ms"),
    ("group.consumer.max.session.timeout.ms", AtLeast, "group.consumer.min.session.timeout.ms"),
    ("group.consumer.session.timeout.ms", AtLeast, "group.consumer.min.session.timeout.ms"),
    ("group.consumer.session.timeout.ms", AtMost, "group.consumer.max.session.timeout.ms"),
    ("group.consumer.heartbeat.interval.ms", Below, "group.consumer.session.timeout.ms"),
    (
        "group.consumer.max.assignment.interval.ms",
        AtLeast,
        "group.consumer.min.assignment.interval.ms",
    ),
    ("group.consumer.assignment.interval.ms", AtLeast, "group.consumer.min.assignment.interval.ms"),
    ("group.consumer.assignment.interval.ms", AtMost, "group.consumer.max.assignment.interval.ms"),
    ("group.share.max.heartbeat.interval.ms", AtLeast, "group.share.min.heartbeat.interval.ms"),
    ("group.share.heartbeat.interval.ms", AtLeast, "group.share.min.heartbeat.interval.ms"),
    ("group.share.heartbeat.interval.ms", AtMost, "group.share.max.heartbeat.interval.ms"),
    ("group.share.max.session.timeout.ms", AtLeast, "group.share.min.session.timeout.ms"),
    ("group.share.session.timeout.ms", AtLeast, "group.share.min.session.timeout.ms"),
    ("group.share.session.timeout.ms", AtMost, "group.share.max.session.timeout.ms"),
    ("group.share.heartbeat.interval.ms", Below, "group.share.session.timeout.ms"),
    ("group.share.max.assignment.interval.ms", AtLeast, "group.share.min.assignment.interval.ms"),
    ("group.share.assignment.interval.ms", AtLeast, "group.share.min.assignment.interval.ms"),
    ("group.share.assignment.interval.ms", AtMost, "group.share.max.assignment.interval.ms"),
    ("group.streams.max.heartbeat.interval.ms", AtLeast, "group.streams.min.heartbeat.interval.ms"),
    ("group.streams.heartbeat.interval.ms", AtLeast, "group.streams.min.heartbeat.interval.ms"),
    ("group.streams.heartbeat.interval.ms", AtMost, "group.streams.max.heartbeat.interval.ms"),
    ("group.streams.max.session.timeout.ms", AtLeast, "group.streams.min.session.timeout.ms"),
    ("group.streams.session.timeout.ms", AtLeast, "group.streams.min.session.timeout.ms"),
    ("group.streams.session.timeout.ms", AtMost, "group.streams.max.session.timeout.ms"),
    ("group.streams.heartbeat.interval.ms", Below, "group.streams.session.timeout.ms"),
    ("group.streams.num.standby.replicas", AtMost, "group.streams.max.standby.replicas"),
    (
        "group.streams.max.assignment.interval.ms",
        AtLeast,
        "group.streams.min.assignment.interval.ms",
    ),
    ("group.streams.assignment.interval.ms", AtLeast, "group.streams.min.assignment.interval.ms"),
    ("group.streams.assignment.interval.ms", AtMost, "group.streams.max.assignment.interval.ms"),
    ("group.share.max.delivery.count.limit", AtLeast, "group.share.delivery.count.limit"),
    ("group.share.delivery.count.limit", AtLeast, "group.share.min.delivery.count.limit"),
    (
        "group.share.max.partition.max.record.locks",
        AtLeast,
        "group.share.partition.max.record.locks",
    ),
    (
        "group.share.partition.max.record.locks",
        AtLeast,
        "group.share.min.partition.max.record.locks",
    ),
    ("group.share.record.lock.duration.ms", AtLeast, "group.share.min.record.lock.duration.ms"),
    ("group.share.max.record.lock.duration.ms", AtLeast, "group.share.record.lock.duration.ms"),
    ("group.share.max.share.sessions", AtLeast, "group.share.max.size"),
];

/// The ways of assigning that Monedula and Kafka have built in; others would be Java classes.
const ASSIGNORS: &[(&str, &[&str])] = &[
    ("group.consumer.assignors", &["uniform", "range"]),
    ("group.share.assignors", &["simple"]),
    ("group.streams.assignors", &["sticky"]),
];

#[derive(Clone, Copy)]
enum Relation {
    AtLeast,
    AtMost,
    Below,
}

use Relation::{AtLeast, AtMost, Below};

pub(super) fn check(values: &Values) -> Result<(), ConfigError> {
    for (key, known) in ASSIGNORS {
        for name in values.list(key) {
            if !known.contains(&name.as_str()) {
                return Err(ConfigError::invalid(*key, name, "Class cannot be found"));
            }
        }
    }
    for (left, relation, right) in RELATIONS {
        let (a, b) = (values.int(left), values.int(right));
        let (holds, words) = match relation {
            AtLeast => (a >= b, "greater than or equal to"),
            AtMost => (a <= b, "less than or equal to"),
            Below => (a < b, "less than"),
        };
        if !holds {
            return Err(ConfigError::message(*left, format!("{left} must be {words} {right}")));
        }
    }
    Ok(())
}
