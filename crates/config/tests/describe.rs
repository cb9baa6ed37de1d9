//! Descriptions of all resources, compared with Kafka's for the same settings.

use config::broker::BrokerConfig;
use config::describe::{self, Entry, Layers};
use config::properties::Properties;
use config::topic::Overrides;

const BASE: &str = "process.roles=broker,controller\nnode.id=1\n\
    controller.quorum.voters=1@127.0.0.1:19393\n\
    listeners=PLAINTEXT://127.0.0.1:19392,CONTROLLER://127.0.0.1:19393\n\
    advertised.listeners=PLAINTEXT://127.0.0.1:19392\n\
    controller.listener.names=CONTROLLER\n\
    log.dirs=/data\n\
    offsets.topic.replication.factor=1\n\
    transaction.state.log.replication.factor=1\n\
    transaction.state.log.min.isr=1\n\
    share.coordinator.state.topic.replication.factor=1\n\
    share.coordinator.state.topic.min.isr=1\n\
    group.initial.rebalance.delay.ms=0\n";

fn row(resource: &str, entry: &Entry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or("null".into());
    let synonym =
        |s: &describe::Synonym| format!("{}:{}={}", s.source as i8, s.name, text(&s.value));
    let synonyms: Vec<String> = entry.synonyms.iter().map(synonym).collect();
    format!(
        "{resource}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        entry.name,
        text(&entry.value),
        entry.source as i8,
        entry.kind,
        entry.read_only,
        entry.sensitive,
        synonyms.join(" ")
    )
}

fn settings(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

struct Dynamic {
    broker: Overrides,
    cluster: Overrides,
    topic: Overrides,
    group: Overrides,
    metrics: Overrides,
}

fn check(file: &str, set: &Dynamic, fixture: &str) {
    let properties = Properties::parse(&format!("{BASE}{file}")).expect("well-formed");
    let file = BrokerConfig::parse(&properties).expect("valid");
    let layers = Layers { file: &file, cluster: &set.cluster, broker: &set.broker };
    let resources = [
        ("broker", describe::broker(&layers).expect("valid")),
        ("cluster", describe::cluster(&layers)),
        ("topic", describe::topic(&layers, &set.topic).expect("valid")),
        ("group", describe::group(&layers, &set.group).expect("valid")),
        ("metrics", describe::client_metrics(&set.metrics).expect("valid")),
    ];
    let mut ours = Vec::new();
    for (resource, entries) in &resources {
        for entry in entries {
            assert!(entry.kind == 0 || entry.documentation.is_some_and(|doc| !doc.is_empty()));
            ours.push(row(resource, entry));
        }
    }
    let expected: Vec<&str> = fixture.lines().filter(|line| !line.starts_with('#')).collect();
    for (ours, expected) in ours.iter().zip(&expected) {
        assert_eq!(ours, expected);
    }
    assert_eq!(ours.len(), expected.len());
}

#[test]
fn nothing_set() {
    let none = Dynamic {
        broker: Overrides::new(),
        // Kafka sets this one itself while eligible leader replicas are on.
        cluster: settings(&[("min.insync.replicas", "1")]),
        topic: Overrides::new(),
        group: Overrides::new(),
        metrics: Overrides::new(),
    };
    check("", &none, include_str!("fixtures/describe-plain.tsv"));
}

#[test]
fn everything_set() {
    let file = "log.retention.minutes=5\nlog.roll.hours=3\nunknown.key=1\n\
        listener.name.plaintext.max.connections=7\nnum.io.threads=4\n\
        ssl.keystore.password=secret\nlistener.name.foo.ssl.key.password=secret\n\
        log.flush.scheduler.interval.ms=1000000\nunstable.api.versions.enable=true\n\
        broker.rack=r1\nlistener.name.plaintext.unknown.thing=5\n\
        group.consumer.session.timeout.ms=46000\ncompression.type=zstd\n\
        log.cleanup.policy= compact , delete \ninternal.metadata.delete.delay.millis=60001\n\
        metric.reporters=\nlog.cleaner.io.max.bytes.per.second=12345678\n";
    let set = Dynamic {
        broker: settings(&[
            ("log.retention.ms", "88"),
            ("no.such.key", "5"),
            ("listener.name.plaintext.num.network.threads", "4"),
            ("leader.replication.throttled.rate", "1000"),
            ("listener.name.foo.ssl.keystore.password", "pw"),
            ("log.cleaner.threads", "2"),
            ("log.flush.interval.messages", "7"),
        ]),
        cluster: settings(&[
            ("log.retention.ms", "99"),
            ("message.max.bytes", "2000000"),
            ("follower.replication.throttled.rate", "5"),
            ("other.unknown", "1"),
            ("log.roll.ms", "123"),
            ("log.cleaner.threads", "2"),
            ("compression.type", "lz4"),
            ("min.insync.replicas", "1"),
        ]),
        topic: settings(&[
            ("retention.ms", " 77 "),
            ("cleanup.policy", "delete,delete"),
            ("internal.segment.bytes", "1000000"),
        ]),
        group: settings(&[
            ("consumer.session.timeout.ms", "50000"),
            ("share.auto.offset.reset", "earliest"),
        ]),
        metrics: settings(&[("interval.ms", "1000"), ("metrics", "*")]),
    };
    check(file, &set, include_str!("fixtures/describe-set.tsv"));
}
