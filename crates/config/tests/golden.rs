//! Single values and whole files, compared with what Kafka says of them.

use config::BrokerConfig;
use config::keys::{self, Table};
use config::properties::Properties;

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\")
}

fn rows(fixture: &str) -> impl Iterator<Item = Vec<&str>> {
    fixture.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn table(resource: &str) -> &'static Table {
    match resource {
        "broker" => &keys::BROKER,
        "topic" => &keys::TOPIC,
        "group" => &keys::GROUP,
        _ => &keys::CLIENT_METRICS,
    }
}

#[test]
fn single_values() {
    for row in rows(include_str!("fixtures/values.tsv")) {
        let [resource, name, value, outcome, text] = row[..] else { panic!("{row:?}") };
        let key = table(resource).get(name).expect("a key of the table");
        let ours = match key.parse(&unescape(value)) {
            Ok(value) => ("ok", value.describe().unwrap_or("null".to_owned())),
            Err(error) => ("error", error.to_string()),
        };
        assert_eq!(ours, (outcome, unescape(text)), "{resource} {name}={value}");
    }
}

/// Files where Kafka stumbles late or over Java itself, and what we say instead.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "listener.security.protocol.map=PLAINTEXT",
        "Invalid entry \"PLAINTEXT\", expected NAME:VALUE",
    ),
    (
        "max.connections.per.ip.overrides=127.0.0.1",
        "Invalid entry \"127.0.0.1\", expected NAME:VALUE",
    ),
    ("max.connections.per.ip.overrides=127.0.0.1:x", "Invalid value x for configuration"),
    ("log.cleaner.threads=0", "at least 1MB per cleaner thread"),
    // Kafka takes such ports and fails when it binds them.
    ("listeners=PLAINTEXT://localhost:99999,CONTROLLER://:9093", "Unable to parse"),
    ("listeners=PLAINTEXT://:-1,CONTROLLER://:9093", "Unable to parse"),
    // Scala prints a set of more than four in the order of its hashes.
    ("controller.quorum.voters=3@h:1,20@h:2,100@h:3,4@h:4,5@h:5,6@h:6", "Set(3, 20, 100, 4, 5, 6)"),
    // Java classes mean nothing here; the key is told of at start.
    ("principal.builder.class=no.such.Class", ""),
];

#[test]
fn whole_files() {
    for row in rows(include_str!("fixtures/files.tsv")) {
        let [changes, outcome, message] = row[..] else { panic!("{row:?}") };
        let mut lines: Vec<(&str, &str)> = vec![
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("controller.quorum.voters", "1@localhost:9093"),
            ("listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"),
            ("controller.listener.names", "CONTROLLER"),
        ];
        for change in changes.split(';').filter(|change| !change.is_empty()) {
            let (key, value) = match change.strip_prefix('-') {
                Some(key) => (key, None),
                None => change.split_once('=').map(|(k, v)| (k, Some(v))).expect("KEY=VALUE"),
            };
            lines.retain(|(name, _)| *name != key);
            lines.extend(value.map(|value| (key, value)));
        }
        let properties: Properties = lines.into_iter().collect();
        let ours =
            BrokerConfig::parse(&properties).map(drop).map_err(|error| error.kafka_message());
        if let Some((_, expected)) = OTHERWISE.iter().find(|(otherwise, _)| *otherwise == changes) {
            let ours = ours.err().unwrap_or_default();
            assert!(ours.contains(expected), "{changes}: {ours}");
            continue;
        }
        let expected = if outcome == "ok" { Ok(()) } else { Err(unescape(message)) };
        assert_eq!(ours, expected, "{changes}");
    }
}
