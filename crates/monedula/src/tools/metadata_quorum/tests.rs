//! What is shown of a made-up quorum, and what a configuration must have to become a voter.

use std::collections::BTreeMap;

use super::*;

fn replica(id: i32, log_end_offset: i64, caught_up_ms: Option<i64>) -> QuorumReplica {
    let directory = if id == 3 { DirectoryId::ZERO } else { DirectoryId::ONE };
    let (last_fetch_ms, last_caught_up_ms) = (caught_up_ms, caught_up_ms);
    QuorumReplica { id: NodeId(id), directory, log_end_offset, last_fetch_ms, last_caught_up_ms }
}

fn quorum() -> QuorumDescription {
    let endpoint = endpoint("controller://[::1]:9093").expect("valid");
    QuorumDescription {
        leader: NodeId(1),
        leader_epoch: 7,
        high_watermark: 90,
        voters: vec![replica(1, 100, Some(1000)), replica(2, 90, Some(900))],
        observers: vec![replica(3, 95, None)],
        endpoints: BTreeMap::from([(NodeId(1), vec![endpoint])]),
    }
}

#[test]
fn a_summary() {
    let expected = "\
ClusterId:              c
LeaderId:               1
LeaderEpoch:            7
HighWatermark:          90
MaxFollowerLag:         10
MaxFollowerLagTimeMs:   100
CurrentVoters:          [{\"id\": 1, \"directoryId\": \"AAAAAAAAAAAAAAAAAAAAAQ\", \"endpoints\": [\"CONTROLLER://[::1]:9093\"]}, {\"id\": 2, \"directoryId\": \"AAAAAAAAAAAAAAAAAAAAAQ\"}]
CurrentObservers:       [{\"id\": 3}]
";
    assert_eq!(status("c", &quorum()).expect("a leader"), expected);
    let alone = QuorumDescription { voters: vec![replica(1, 100, Some(1000))], ..quorum() };
    assert!(status("c", &alone).expect("a leader").contains("MaxFollowerLagTimeMs:   0\n"));
    let nobody = QuorumDescription { leader: NodeId(-1), ..quorum() };
    assert_eq!(status("c", &nobody), Err(String::from("No value present")));
}

#[test]
fn a_table_of_replicas() {
    let rows = |now_ms| {
        let table = replication(&quorum(), now_ms).expect("a leader");
        let rows =
            table.lines().map(|line| line.split('\t').map(str::trim).collect::<Vec<_>>().join(" "));
        rows.collect::<Vec<_>>()
    };
    let id = DirectoryId::ONE;
    let zero = DirectoryId::ZERO;
    let head =
        "NodeId DirectoryId LogEndOffset Lag LastFetchTimestamp LastCaughtUpTimestamp Status ";
    assert_eq!(
        rows(None),
        [
            head.to_owned(),
            format!("1 {id} 100 0 1000 1000 Leader "),
            format!("2 {id} 90 10 900 900 Follower "),
            format!("3 {zero} 95 5 -1 -1 Observer "),
        ]
    );
    assert_eq!(rows(Some(1001))[1], format!("1 {id} 100 0 1 ms ago 1 ms ago Leader "));
    let drift = replication(&quorum(), Some(999)).expect_err("from the future");
    assert!(drift.ends_with("Current timestamp is 999, last fetch timestamp is 1000"), "{drift}");
}

#[test]
fn the_configuration_of_a_controller() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let settings = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let error = NewController::from_settings(&settings).err().expect("incomplete");
        assert_eq!(error, expected, "{pairs:?}");
    };
    check(
        &[],
        "node.id not found in configuration file. Is this a valid controller configuration file?",
    );
    check(&[("node.id", "x")], "For input string: \"x\"");
    check(
        &[("node.id", "-1")],
        "node.id was negative in configuration file. Is this a valid controller configuration file?",
    );
    check(
        &[("node.id", "1"), ("process.roles", "broker")],
        "process.roles did not contain 'controller' in configuration file. Is this a valid controller \
         configuration file?",
    );
    let roles = ("process.roles", "broker,controller");
    check(
        &[("node.id", "1"), roles],
        "Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?",
    );
    check(
        &[("node.id", "1"), roles, ("log.dirs", "/nonexistent/a,/nonexistent/b")],
        "Unable to read meta.properties from /nonexistent/a",
    );
    let endpoints = |listeners: &str, names: &str| {
        let pairs = [("listeners", listeners), ("controller.listener.names", names)];
        let settings = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        controller_endpoints(&settings).map(|all| all.iter().map(url).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        endpoints("a://:1,controller://h:2", "CONTROLLER,A"),
        Ok("CONTROLLER://h:2 A://localhost:1".to_owned())
    );
    assert_eq!(
        endpoints("a://:1", "b"),
        Err("Cannot find information about controller listener name: B".to_owned())
    );
    assert_eq!(endpoints("a:1", "a"), Err("Unable to parse a:1 to a broker endpoint".to_owned()));
}
