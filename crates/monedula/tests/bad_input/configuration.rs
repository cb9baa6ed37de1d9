//! Configurations that are wrong: key, value and what was expected on standard error, exit code 2, and no directory touched.

use crate::common::{Node, Place, Refused, command};

/// `settings` over a configuration that is right; the message's last line holds each of `words`.
fn check(settings: &[(&str, &str)], words: &[&str]) {
    let place = Place::new();
    match Node::try_start(command(&place.data, settings), &place.data) {
        Ok(_) => panic!("{settings:?}: started"),
        Err(Refused { code, stderr }) => {
            assert_eq!(code, Some(2), "{settings:?}: {stderr}");
            for word in words {
                assert!(stderr.contains(word), "{settings:?}: no {word:?} in: {stderr}");
            }
        }
    }
    assert!(!place.data.exists(), "{settings:?}: the directory was touched");
}

#[test]
fn values_that_are_not_of_their_type() {
    check(&[("num.partitions", "many")], &["num.partitions", "many", "Not a number of type INT"]);
    check(&[("num.partitions", "0")], &["num.partitions", "0", "at least 1"]);
    check(&[("num.partitions", "99999999999")], &["num.partitions", "99999999999"]);
    check(&[("log.retention.bytes", "1e6")], &["log.retention.bytes", "1e6", "LONG"]);
    check(&[("auto.create.topics.enable", "maybe")], &["auto.create.topics.enable", "maybe"]);
    check(&[("compression.type", "rar")], &["compression.type", "rar"]);
    check(&[("log.cleanup.policy", "burn")], &["log.cleanup.policy", "burn"]);
    check(&[("log.segment.bytes", "5")], &["log.segment.bytes", "5"]);
    check(&[("node.id", "-5")], &["node.id", "-5"]);
}

#[test]
fn settings_that_do_not_go_together() {
    let outside = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("controller.listener.names", "X"),
        ("controller.quorum.voters", "1@127.0.0.1:9093"),
    ];
    check(&outside, &["controller.listener.names"]);
    check(&[("listeners", "nonsense")], &["listeners", "nonsense"]);
    check(&[("listeners", "SECRET://127.0.0.1:0,CONTROLLER://127.0.0.1:0")], &["SECRET"]);
    let twice = "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9092";
    check(&[("listeners", twice)], &["listeners", "port"]);
    check(&[("process.roles", "broker,queen")], &["process.roles", "queen"]);
    check(&[("controller.quorum.voters", "1@")], &["controller.quorum.voters"]);
    check(&[("controller.quorum.voters", "7@127.0.0.1:9093")], &["controller.quorum.voters"]);
    check(&[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")], &["advertised.listeners"]);
    check(&[("inter.broker.listener.name", "NONE")], &["inter.broker.listener.name"]);
    check(&[("log.dirs", ",,")], &["log.dirs"]);
}

#[test]
fn what_this_release_cannot_run() {
    let secure = ("listener.security.protocol.map", "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT");
    check(&[secure], &["PLAINTEXT"]);
}

#[test]
fn files_that_cannot_be_read() {
    let place = Place::new();
    let properties = place.root.path().join("server.properties");
    let start = || {
        let mut start = command(&place.data, &[]);
        start.arg(&properties);
        Node::try_start(start, &place.data).err().unwrap()
    };
    let missing = start();
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    assert!(missing.stderr.contains(properties.to_str().unwrap()), "{}", missing.stderr);
    std::fs::write(&properties, "a=\\u12").unwrap();
    let malformed = start();
    assert_eq!(malformed.code, Some(2), "{}", malformed.stderr);
    assert!(malformed.stderr.contains("server.properties"), "{}", malformed.stderr);
    let rest = "node.id=1\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n\
                controller.quorum.voters=1@127.0.0.1:9093\n";
    std::fs::write(&properties, format!("num.partitions = minus one\n{rest}")).unwrap();
    let wrong = start();
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    for word in ["server.properties", "num.partitions", "minus one"] {
        assert!(wrong.stderr.contains(word), "{}", wrong.stderr);
    }
    assert!(!place.data.exists());
}

#[test]
fn keys_that_nobody_knows_are_told_and_ignored() {
    let place = Place::new();
    let node = Node::start_with(&place.data, &[("no.such.key", "1")]);
    assert!(node.log().contains("no.such.key"), "{}", node.log());
}
