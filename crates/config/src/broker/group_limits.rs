//! How the settings of groups bound each other.

use super::BrokerConfig;
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

const CONSUMER_ASSIGNORS: &str = "group.consumer.assignors";

/// The ways of assigning that Monedula and Kafka have built in; others would be Java classes.
const ASSIGNORS: &[(&str, &[&str])] = &[
    (CONSUMER_ASSIGNORS, &["uniform", "range"]),
    ("group.share.assignors", &["simple"]),
    ("group.streams.assignors", &["sticky"]),
];

/// Kafka's own classes may be named, too.
const CONSUMER_ASSIGNOR_CLASSES: &[(&str, &str)] = &[
    ("org.apache.kafka.coordinator.group.assignor.UniformAssignor", "uniform"),
    ("org.apache.kafka.coordinator.group.assignor.RangeAssignor", "range"),
];

/// The name, when it is given by its class.
fn named(given: &str) -> &str {
    let of_class = CONSUMER_ASSIGNOR_CLASSES.iter().find(|(class, _)| *class == given);
    of_class.map_or(given, |(_, name)| name)
}

impl BrokerConfig {
    /// The names of the ways of assigning in consumer groups, the default first.
    pub fn consumer_assignors(&self) -> impl Iterator<Item = &str> {
        self.consumer_group.assignors.iter().map(|given| named(given))
    }
}

#[derive(Clone, Copy)]
enum Relation {
    AtLeast,
    AtMost,
    Below,
}

use Relation::{AtLeast, AtMost, Below};

pub(super) fn check(values: &Values) -> Result<(), ConfigError> {
    for (key, known) in ASSIGNORS {
        check_assignors(key, known, &values.list(key))?;
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

fn check_assignors(key: &str, known: &[&str], list: &[String]) -> Result<(), ConfigError> {
    let mut before = Vec::new();
    for given in list {
        let name = if key == CONSUMER_ASSIGNORS { named(given) } else { given };
        if !known.contains(&name) {
            return Err(ConfigError::invalid(key, given.as_str(), "Class cannot be found"));
        }
        if before.contains(&name) {
            let why = format!(
                "Assignor name '{name}' is already registered by another configured assignor. Assignor names, whether \
                 built-in or custom, must be unique"
            );
            return Err(ConfigError::invalid(key, given.as_str(), why));
        }
        before.push(name);
    }
    Ok(())
}
