//! Files of reassignments, what follows from them, and the command line, against what Kafka's tool says.

use std::collections::{BTreeMap, BTreeSet};

use base::{NodeId, TopicPartition};
use client::admin::ReassignedPartition;

use super::place::{Usable, place};
use super::plan::{
    Assignments, Directories, PartitionState, Place, Reassignment, Replica, parse_generate,
    show_move, show_states, to_json,
};
use super::throttles::{moves, replicas_by_topic};
use super::{Args, Failure, OPTIONS, check};

fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition::new(topic, index)
}

fn assignments(all: &[(&str, i32, &[i32])]) -> Assignments {
    all.iter().map(|(topic, index, brokers)| (partition(topic, *index), brokers.to_vec())).collect()
}

#[test]
fn a_file() {
    let text = r#"{"partitions": [
        {"topic": "b", "partition": 1, "replicas": [1, 2], "log_dirs": ["any", "/d"]},
        {"topic": "a", "partition": 0, "replicas": [3]}], "version": 1}"#;
    let parsed = Reassignment::parse(text).expect("valid");
    let replica = Replica { broker: NodeId(2), partition: partition("b", 1) };
    assert_eq!(parsed.directories, Directories::from([(replica, "/d".to_owned())]));
    let wanted = assignments(&[("a", 0, &[3]), ("b", 1, &[1, 2])]);
    assert_eq!(parsed.assignments(), Ok(wanted.clone()));
    assert_eq!(
        to_json(&wanted, &parsed.directories),
        r#"{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[3],"log_dirs":["any"]},{"topic":"b","partition":1,"replicas":[1,2],"log_dirs":["any","/d"]}]}"#
    );
    assert_eq!(Reassignment::parse("{}"), Ok(Reassignment::default()));
}

#[test]
fn files_that_make_no_sense() {
    let check = |text: &str, expected: &str| {
        let result = Reassignment::parse(text).and_then(|parsed| parsed.assignments());
        assert_eq!(result, Err(expected.to_owned()), "{text}");
    };
    let with = |partitions: &str| format!(r#"{{"version":1,"partitions":[{partitions}]}}"#);
    check("{}", "Partition reassignment list cannot be empty");
    check("[]", "Expected JSON object, received []");
    check(r#"{"version":2}"#, "Not supported version field value 2");
    check(r#"{"version":"1"}"#, "Expected `Integer` value, received \"1\"");
    check(&with(r#"{"topic":"a"}"#), "No such field exists: `partition`");
    check(&with(r#"{"topic":"a","partition":0,"replicas":1}"#), "Expected JSON array, received 1");
    check(
        &with(r#"{"topic":"a","partition":0,"replicas":[]}"#),
        "Partition replica list cannot be empty",
    );
    check(
        &with(r#"{"topic":"a","partition":0,"replicas":[1,2],"log_dirs":["any"]}"#),
        "Size of replicas list [1, 2] is different from size of log dirs list [any] for partition a-0",
    );
    let one = r#"{"topic":"a","partition":0,"replicas":[1]}"#;
    check(
        &with(&format!("{one},{one}")),
        "Partition reassignment contains duplicate topic partitions: a-0",
    );
    check(
        &with(
            r#"{"topic":"a","partition":0,"replicas":[1,1]},{"topic":"a","partition":1,"replicas":[2,3,2,3]}"#,
        ),
        "Partition replica lists may not contain duplicate entries: a-0 contains multiple entries for 1. a-1 contains \
         multiple entries for 2,3",
    );
    let generate = |text: &str, brokers: &str| parse_generate(text, brokers).expect_err("invalid");
    assert_eq!(generate("{}", "1,x"), "For input string: \"x\"");
    assert_eq!(generate("{}", "1,1"), "Broker list contains duplicate entries: [1]");
    assert_eq!(generate("no", "1"), "The input string is not a valid JSON");
    let twice = r#"{"topics":[{"topic":"a"},{"topic":"a"}]}"#;
    assert_eq!(generate(twice, "1"), "List of topics to reassign contains duplicate entries: [a]");
}

#[test]
fn states_of_partitions_and_replicas() {
    let state = |current: &[i32], done| PartitionState {
        current: current.to_vec(),
        target: vec![1, 2],
        done,
    };
    let states = BTreeMap::from([
        (partition("t", 10), state(&[1, 2], true)),
        (partition("t", 2), state(&[1, 3], true)),
        (partition("u", 0), state(&[1, 2], false)),
    ]);
    let expected = "\
Status of partition reassignment:
There is no active reassignment of partition t-2, but replica set is 1,3 rather than 1,2.
Reassignment of partition t-10 is completed.
Reassignment of partition u-0 is still in progress.";
    assert_eq!(show_states(&states), expected);
    let replica = Replica { broker: NodeId(7), partition: partition("t", 1) };
    let show = |current: Option<&str>, future: Option<&str>| {
        let place =
            Place { current: current.map(str::to_owned), future: future.map(str::to_owned) };
        show_move(&replica, &place, "/b")
    };
    let (line, moving) = show(Some("/a"), Some("/b"));
    assert_eq!(
        (line.as_str(), moving),
        ("Reassignment of replica t-1-7 is still in progress.", true)
    );
    let (line, moving) = show(Some("/b"), None);
    assert_eq!(
        (line.as_str(), moving),
        ("Reassignment of replica t-1-7 completed successfully.", false)
    );
    let (line, moving) = show(Some("/a"), Some("/c"));
    assert!(line.ends_with("is being moved to log dir /c instead of /b.") && moving, "{line}");
    let (line, moving) = show(Some("/a"), None);
    assert!(line.ends_with("is not being moved from log dir /a to /b.") && !moving, "{line}");
    assert!(
        show(None, None)
            .0
            .starts_with("Partition t-1 is not found in any live log dir on broker 7.")
    );
}

#[test]
fn throttled_replicas() {
    let active = [ReassignedPartition {
        topic: "a".to_owned(),
        partition: 0,
        replicas: vec![1, 2, 3],
        adding: vec![3],
        removing: vec![1],
    }];
    let current = assignments(&[("a", 0, &[1, 2, 3]), ("a", 1, &[1, 2]), ("b", 10, &[1])]);
    let proposed = assignments(&[("a", 0, &[2, 4]), ("a", 1, &[2, 3]), ("b", 10, &[1])]);
    let moves = moves(&active, &proposed, &current);
    let leaders = replicas_by_topic(&moves, |one| &one.sources);
    let followers = replicas_by_topic(&moves, |one| &one.destinations);
    assert_eq!(
        leaders,
        BTreeMap::from([("a", "0:1,0:2,1:1,1:2".to_owned()), ("b", "10:1".to_owned())])
    );
    assert_eq!(followers, BTreeMap::from([("a", "0:4,1:3".to_owned()), ("b", String::new())]));
}

#[test]
fn proposals_spread_leaders_and_racks() {
    let brokers = |racks: &[&str]| -> Vec<Usable> {
        let rack = |rack: &&str| Some((*rack).to_owned()).filter(|rack| !rack.is_empty());
        (1..).zip(racks).map(|(id, name)| Usable { id, rack: rack(name) }).collect()
    };
    for (racks, partitions, replicas) in [
        (vec!["", "", "", ""], 12, 3),
        (vec!["x", "x", "y", "y"], 8, 2),
        (vec!["x", "y", "y"], 9, 3),
    ] {
        let usable = brokers(&racks);
        let placed = place(&usable, partitions, replicas, 0).expect("enough brokers");
        assert_eq!(placed.len(), partitions);
        let mut leads = BTreeMap::new();
        for one in &placed {
            *leads.entry(one[0]).or_insert(0) += 1;
            let distinct: BTreeSet<&i32> = one.iter().collect();
            assert_eq!((one.len(), distinct.len()), (replicas, replicas), "{placed:?}");
            let rack = |id: &i32| usable.iter().find(|b| b.id == *id).expect("known").rack.clone();
            let used: BTreeSet<_> = one.iter().map(rack).collect();
            let all: BTreeSet<_> = usable.iter().map(|b| b.rack.clone()).collect();
            assert_eq!(used.len(), all.len().min(replicas), "{placed:?}");
        }
        let (most, least) = (leads.values().max(), leads.values().min());
        assert_eq!((leads.len(), most), (usable.len(), least), "{placed:?}");
    }
    let error = place(&brokers(&["", ""]), 1, 3, 0).expect_err("too few");
    assert!(error.contains("because only 2 broker(s) are registered or"), "{error}");
}

#[test]
fn command_lines() {
    let parse = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        check(&Args::parse(OPTIONS, &words).expect("known options"))
    };
    let bad = |line: &str, expected: &str| {
        assert_eq!(parse(line), Err(Failure::Usage(expected.to_owned())), "{line}");
    };
    assert_eq!(parse("--list --bootstrap-server b"), Ok("list"));
    assert_eq!(parse("--cancel --bootstrap-controller b --reassignment-json-file f"), Ok("cancel"));
    let actions = "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list";
    bad("--bootstrap-server b", actions);
    bad("--list --verify --bootstrap-server b", actions);
    bad("--list", "Please specify either --bootstrap-server or --bootstrap-controller");
    bad(
        "--list --bootstrap-server b --bootstrap-controller c",
        "Please don't specify both --bootstrap-server and --bootstrap-controller",
    );
    bad("--verify --bootstrap-server b", "Missing required argument \"[reassignment-json-file]\"");
    bad(
        "--verify --bootstrap-server b --reassignment-json-file f --throttle 1",
        "Option \"[throttle]\" can't be used with action \"[verify]\"",
    );
    bad(
        "--verify --bootstrap-controller b --reassignment-json-file f",
        "Option \"[bootstrap-controller]\" can't be used with action \"[verify]\"",
    );
}
