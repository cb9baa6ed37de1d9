//! The tables say what Kafka's own definitions say.

use config::check::Check;
use config::key::{ConfigKey, Default};
use config::keys::{self, Table};

fn bounds(check: &Check) -> String {
    let join = |items: &[&str]| format!("[{}]", items.join(", "));
    match check {
        Check::Any | Check::NonNull => String::new(),
        Check::AtLeast(low) => format!("[{low},...]"),
        Check::Between(low, high) => format!("[{low},...,{high}]"),
        Check::OneOf(items) => join(items),
        Check::OneOfIgnoreCase(items) => format!("(case insensitive) {}", join(items)),
        Check::NonEmptyString => "non-empty string".into(),
        Check::List { of: [], .. } => String::new(),
        Check::List { of, .. } => join(of),
        Check::GzipLevel => "[1,...,9] or -1".into(),
        Check::Voters | Check::BootstrapServers => "non-empty list".into(),
        Check::ThrottledReplicas => "[partitionId]:[brokerId],[partitionId]:[brokerId],...".into(),
        Check::OffsetReset => "[latest, earliest, by_duration:PnDTnHnMn.nS]".into(),
    }
}

fn row(resource: &str, key: &ConfigKey) -> String {
    let default = match key.default {
        Default::Required => "(required)".to_owned(),
        Default::Null => "null".to_owned(),
        Default::Text(text) => format!("={text}"),
    };
    let bounds = match key.check {
        Check::NonNull => "non-null string".to_owned(),
        check => bounds(&check),
    };
    let mode = if resource == "broker" { key.mode.name() } else { "read-only" };
    let importance = key.importance.name().to_uppercase();
    let kind = key.kind.name();
    format!(
        "{resource}\t{}\t{kind}\t{default}\t{bounds}\t{importance}\t{}\t{mode}",
        key.name, key.internal
    )
}

#[test]
fn rows_are_those_of_kafka() {
    let fixture = include_str!("fixtures/config-defs.tsv");
    let expected: Vec<&str> = fixture.lines().filter(|line| !line.starts_with('#')).collect();
    let tables: [(&str, &Table); 4] = [
        ("broker", &keys::BROKER),
        ("topic", &keys::TOPIC),
        ("group", &keys::GROUP),
        ("clientmetrics", &keys::CLIENT_METRICS),
    ];
    let ours =
        |(name, table): &(&str, &Table)| table.iter().map(|key| row(name, key)).collect::<Vec<_>>();
    let ours: Vec<String> = tables.iter().flat_map(ours).collect();
    for (ours, expected) in ours.iter().zip(&expected) {
        assert_eq!(ours, expected);
    }
    assert_eq!(ours.len(), expected.len());
}

#[test]
fn no_name_stands_in_two_areas() {
    let rows: usize = keys::BROKER_AREAS.iter().map(|(_, keys)| keys.len()).sum();
    assert_eq!(rows, keys::BROKER.len());
}

#[test]
fn every_default_passes_its_own_check() {
    let tables =
        [&keys::BROKER, &keys::TOPIC, &keys::GROUP, &keys::CLIENT_METRICS, &keys::MONEDULA];
    for key in tables.iter().flat_map(|table| table.iter()) {
        if let Default::Text(text) = key.default {
            let value = key.parse(text).unwrap_or_else(|error| panic!("{}: {error}", key.name));
            assert_eq!(value.describe().as_deref(), Some(text), "{}", key.name);
        }
    }
}

#[test]
fn every_synonym_exists() {
    for (topic, synonyms) in keys::synonyms::TOPIC {
        assert!(keys::TOPIC.get(topic).is_some(), "{topic}");
        for (name, _) in *synonyms {
            assert!(keys::BROKER.get(name).is_some(), "{name}");
        }
    }
    for (group, broker) in keys::synonyms::GROUP {
        assert!(keys::GROUP.get(group).is_some(), "{group}");
        assert!(keys::BROKER.get(broker).is_some(), "{broker}");
    }
}
