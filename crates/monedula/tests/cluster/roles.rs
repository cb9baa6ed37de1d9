//! Brokers and controllers in processes of their own: who registers, who is refused, what everybody tells.

use std::collections::BTreeSet;

use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::DescribeClusterResponse;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::common::cluster::{CLUSTER_ID, Cluster, until};
use crate::common::{Peer, batch, decoded};

#[test]
fn brokers_register_with_a_controller_of_its_own_process_and_serve_together() {
    let mut cluster = Cluster::separate(1, 2, &[("broker.rack", "r1")]);
    assert_eq!(cluster.node(102).create_topic("t", 6, &[]), 0);
    cluster.until_all("six led partitions", |metadata| {
        let topic = metadata.topics.iter().find(|t| t.name.as_deref() == Some("t"));
        topic.is_some_and(|t| {
            let leaders: BTreeSet<i32> = t.partitions.iter().map(|p| p.leader_id).collect();
            t.partitions.len() == 6 && leaders == BTreeSet::from([101, 102])
        })
    });
    for broker in [101, 102] {
        cluster.metadata(broker, |metadata| {
            let ids: Vec<i32> = metadata.brokers.iter().map(|b| b.node_id).collect();
            assert_eq!(ids, [101, 102]);
            assert!(metadata.brokers.iter().all(|b| b.rack.as_deref() == Some("r1")));
            assert!(ids.contains(&metadata.controller_id), "a broker, never the controller");
            assert_eq!(metadata.cluster_id.as_deref(), Some(CLUSTER_ID));
        });
    }
    // The leader of a partition takes records, the other broker does not.
    let leader = cluster.metadata(101, |metadata| {
        let topic = metadata.topics.iter().find(|t| t.name.as_deref() == Some("t")).unwrap();
        topic.partitions.iter().find(|p| p.partition_index == 0).unwrap().leader_id
    });
    let other = 203 - leader;
    let records = batch(&[b"a"]);
    assert_eq!(cluster.node(leader).produce("t", &records).0, 0);
    assert_eq!(cluster.node(other).produce_once("t", &records).0, 6, "NOT_LEADER_OR_FOLLOWER");

    // Blocks of producer ids come from the controller: no id is given twice.
    let ids: BTreeSet<i64> = [101, 102, 101, 102]
        .into_iter()
        .map(|broker| {
            let request = InitProducerIdRequest {
                transactional_id: None,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            };
            let body = cluster.node(broker).ask(&request, 4);
            let answer: InitProducerIdResponse = decoded(&body, 4);
            assert_eq!(answer.error_code, 0);
            answer.producer_id
        })
        .collect();
    assert_eq!(ids.len(), 4);

    controllers_are_told_on_their_listener(&cluster);
    assert_eq!(cluster.stop(102), Some(0));
    until("the broker that left is gone", || {
        cluster.metadata(101, |metadata| metadata.brokers.len() == 1)
    });
    cluster.start(102);
    until("it is back", || cluster.metadata(101, |metadata| metadata.brokers.len() == 2));
    assert_eq!(cluster.stop(101), Some(0));
    assert_eq!(cluster.stop(102), Some(0));
    assert_eq!(cluster.stop(1), Some(0));
}

fn controllers_are_told_on_their_listener(cluster: &Cluster) {
    let address = &cluster.node(1).controller_address;
    let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let body = Peer::connect(address).call(&request, 1);
    let answer: DescribeClusterResponse<'_> = decoded(&body, 1);
    assert_eq!((answer.error_code, answer.controller_id), (0, 1));
    let rows: Vec<(i32, String)> =
        answer.brokers.iter().map(|c| (c.broker_id, format!("{}:{}", c.host, c.port))).collect();
    assert_eq!(rows, [(1, address.clone())]);
}

#[test]
fn every_broker_names_the_same_coordinator() {
    let cluster = Cluster::separate(1, 2, &[("offsets.topic.replication.factor", "1")]);
    let coordinator = |broker: i32, group: &'static str| {
        let request = FindCoordinatorRequest {
            key_type: 0,
            coordinator_keys: vec![group.into()],
            ..Default::default()
        };
        let body = cluster.node(broker).ask(&request, 4);
        let answer: FindCoordinatorResponse<'_> = decoded(&body, 4);
        (answer.coordinators[0].error_code, answer.coordinators[0].node_id)
    };
    let mut named = BTreeSet::new();
    for group in ["a", "b", "c", "d", "e", "f"] {
        until("a coordinator", || coordinator(101, group).0 == 0);
        until("the same on both", || coordinator(101, group) == coordinator(102, group));
        named.insert(coordinator(102, group).1);
    }
    assert_eq!(named, BTreeSet::from([101, 102]), "the partitions are spread");
}

#[test]
fn an_id_that_is_taken_and_a_foreign_cluster_are_refused() {
    let cluster = Cluster::separate(1, 1, &[]);
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = |more: &[(&str, &str)], name: &str| {
        let data = elsewhere.path().join(name);
        let dirs = data.display().to_string();
        let usual = [
            ("log.dirs", &*dirs),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("initial.broker.registration.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "500"),
        ];
        let command = cluster.command(101, &[&usual, more].concat());
        crate::common::Node::try_start(command, &data).err().expect("it is refused")
    };
    let twice = refused(&[], "twice");
    assert_eq!(twice.code, Some(1));
    assert!(twice.stderr.contains("DUPLICATE_BROKER_REGISTRATION"), "{}", twice.stderr);
    let foreign =
        refused(&[("cluster.id", "AAAAAAAAAAAAAAAAAAAAAQ"), ("node.id", "109")], "foreign");
    assert_eq!(foreign.code, Some(1));
    // The first who was there still serves.
    assert_eq!(cluster.node(101).create_topic("t", 1, &[]), 0);
}

#[test]
fn an_unformatted_node_of_a_cluster_must_be_told_which_one() {
    let mut cluster = Cluster::new([(1, "controller"), (2, "controller"), (101, "broker")], &[]);
    cluster.cluster_id = None;
    for id in [1, 101] {
        let refused = cluster.try_start(id, &[]).err().expect("it is refused");
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("is not formatted"), "{}", refused.stderr);
    }
}

#[test]
fn combined_nodes_go_on_without_their_active_controller() {
    let mut cluster = Cluster::combined(3, &[("broker.session.timeout.ms", "3000")]);
    for broker in [1, 2, 3] {
        assert_eq!(cluster.node(broker).create_topic(&format!("t{broker}"), 3, &[]), 0);
    }
    let leader = active(&cluster);
    cluster.kill(leader);
    let left: Vec<i32> = [1, 2, 3].into_iter().filter(|id| *id != leader).collect();
    for (at, broker) in left.iter().enumerate() {
        assert_eq!(cluster.node(*broker).create_topic(&format!("after{at}"), 3, &[]), 0);
    }
    until("the dead broker is fenced", || {
        left.iter().all(|id| cluster.metadata(*id, |metadata| metadata.brokers.len() == 2))
    });
    cluster.start(leader);
    cluster.until_all("all three serve again", |metadata| metadata.brokers.len() == 3);
    cluster.until_all("all five topics", |metadata| metadata.topics.len() == 5);
}

/// The active controller, as the controllers themselves say.
fn active(cluster: &Cluster) -> i32 {
    let mut leader = -1;
    until("an active controller", || {
        let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
        let body = Peer::connect(&cluster.node(1).controller_address).call(&request, 1);
        let answer: DescribeClusterResponse<'_> = decoded(&body, 1);
        leader = answer.controller_id;
        leader > 0
    });
    leader
}

#[test]
fn a_broker_that_no_controller_hears_stops_when_its_session_is_over() {
    let session = [("broker.session.timeout.ms", "2000"), ("broker.heartbeat.interval.ms", "500")];
    let mut cluster = Cluster::separate(1, 1, &session);
    cluster.kill(1);
    let begin = std::time::Instant::now();
    assert_eq!(cluster.stop(101), Some(0));
    assert!(begin.elapsed() < std::time::Duration::from_secs(25), "not when patience ends");
    assert!(cluster.data(101).join(".kafka_cleanshutdown").exists());
}
