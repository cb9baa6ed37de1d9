//! What a node runs on: the embedded default, files, overrides, and what is refused.

use config::properties::Properties;
use config::topic::Overrides;
use config::{BrokerConfig, ConfigError};

const BASE: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:9093\n\
    listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n";

fn load(text: &str) -> Result<BrokerConfig, ConfigError> {
    BrokerConfig::parse(&Properties::parse(text).expect("well-formed"))
}

fn set(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn the_embedded_default_is_one_combined_node_on_this_machine() {
    let config = BrokerConfig::default();
    assert!(config.roles.combined());
    let bound: Vec<(&str, &str, u16)> =
        config.listeners.iter().map(|l| (l.listener.as_str(), l.host.as_str(), l.port)).collect();
    assert_eq!(bound, [("PLAINTEXT", "127.0.0.1", 9092), ("CONTROLLER", "127.0.0.1", 9093)]);
    assert_eq!(config.advertised_listeners, config.listeners[..1]);
    assert_eq!(config.voters[0].address.port, 9093);
    assert_eq!(config.log_dirs, ["./monedula-data"]);
    assert_eq!(config.metadata_log_dir, "./monedula-data");
    assert_eq!(config.offsets.topic_replication_factor, 1);
    assert!(config.unknown_keys().is_empty());
}

#[test]
fn keys_that_change_nothing_are_told() {
    let check = |config: BrokerConfig, unknown: &[&str], without_effect: &[&str]| {
        assert_eq!(config.unknown_keys(), unknown);
        let keys: Vec<&str> = config.keys_without_effect().iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, without_effect);
    };
    check(BrokerConfig::default(), &[], &[]);
    let overrides = [set("no.such.key", "1"), set("num.io.threads", "9")];
    check(BrokerConfig::load(None, &overrides).unwrap(), &["no.such.key"], &["num.io.threads"]);
    let prefixed = "listener.name.plaintext.num.network.threads=2\nlistener.name.x.y=3";
    let keys = ["listener.name.plaintext.num.network.threads"];
    check(load(&format!("{BASE}{prefixed}")).unwrap(), &["listener.name.x.y"], &keys);
}

#[test]
fn overrides_of_the_embedded_default_carry_the_controller_along() {
    let check = |overrides: &[(String, String)], controller_port: u16, voter: i32| {
        let config = BrokerConfig::load(None, overrides).unwrap();
        assert_eq!(config.controller_listeners().next().unwrap().port, controller_port);
        assert_eq!(config.voters[0].address.port, controller_port);
        assert_eq!(config.voters[0].id.0, voter);
        assert_eq!(config.node_id.0, voter);
    };
    check(&[set("listeners", "PLAINTEXT://:19092")], 19093, 1);
    check(&[set("listeners", "PLAINTEXT://:0"), set("node.id", "7")], 0, 7);
    check(&[set("listeners", "PLAINTEXT://:9092,CONTROLLER://:4711")], 4711, 1);
}

#[test]
fn topics_take_the_brokers_values() {
    let check = |broker: &str, own: &[(&str, &str)], retention_ms: i64| {
        let config = load(&format!("{BASE}{broker}")).unwrap();
        let own: Overrides = own.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(config.topic(&own).unwrap().retention_ms, retention_ms, "{broker} {own:?}");
    };
    check("", &[], 604_800_000);
    check("log.retention.hours=1", &[], 3_600_000);
    check("log.retention.hours=1\nlog.retention.minutes=2", &[], 120_000);
    check("log.retention.minutes=-1", &[], -1);
    check("log.retention.hours=1\nlog.retention.ms=3", &[], 3);
    check("log.retention.ms=3", &[("retention.ms", "4")], 4);
}

#[test]
fn dynamic_settings_win_over_the_file() {
    let config = load(&format!("{BASE}log.retention.hours=1\nnum.io.threads=4")).unwrap();
    let cluster = Overrides::from([
        ("log.retention.minutes".into(), "5".into()),
        ("num.io.threads".into(), "5".into()),
    ]);
    let broker = Overrides::from([("num.io.threads".into(), "6".into())]);
    let config = config.with_dynamic(&cluster, &broker).unwrap();
    assert_eq!(config.topic_defaults.retention_ms, 300_000);
    assert_eq!(config.socket.num_io_threads, 6);
}
