//! Coordinator, leaders and groups on different nodes, which die.

use crate::common::cluster::{Cluster, until};
use crate::common::decoded;
use crate::producer::{
    Producer, committed, coordinator_node, decides, leader, patiently, stable_offset, state,
};
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use protocol::messages::create_topics_response::CreateTopicsResponse;

const MINUTE_MS: i32 = 60_000;
const SETTINGS: [(&str, &str); 6] = [
    ("broker.session.timeout.ms", "4000"),
    ("broker.heartbeat.interval.ms", "200"),
    ("replica.lag.time.max.ms", "1500"),
    ("replica.fetch.backoff.ms", "100"),
    ("transaction.state.log.num.partitions", "4"),
    ("transaction.state.log.min.isr", "1"),
];

/// Partition n of the topic has these replicas.
fn create(cluster: &Cluster, name: &str, replicas: &[&[i32]]) {
    let row = |(index, ids): (usize, &&[i32])| CreatableReplicaAssignment {
        partition_index: i32::try_from(index).unwrap(),
        broker_ids: ids.to_vec(),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: replicas.iter().enumerate().map(row).collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let body = cluster.node(cluster.brokers()[0]).ask(&request, 7);
    let response: CreateTopicsResponse<'_> = decoded(&body, 7);
    assert_eq!(response.topics[0].error_code, 0);
}

/// A transactional id that this node coordinates.
fn id_at(seed: &str, node: i32) -> String {
    let ids = (0..100).map(|n| format!("id-{n}"));
    let mut ids = ids.filter(|id| coordinator_node(seed, id) == node);
    ids.next().expect("every node coordinates something")
}

/// The address of a node.
fn address(cluster: &Cluster, id: i32) -> &str {
    &cluster.node(id).address
}

#[test]
fn a_decision_outlives_its_coordinator_and_waits_for_a_leader() {
    let mut cluster = Cluster::combined(3, &SETTINGS);
    // One partition goes with its only node; the others have a second.
    create(&cluster, "t", &[&[1, 3], &[3, 1]]);
    create(&cluster, "alone", &[&[2]]);
    let places = [("t", 0), ("t", 1), ("alone", 0)];
    let seed = address(&cluster, 3).to_owned();
    let name = id_at(&seed, 1);
    let mut producer = Producer::new(&seed, &name, MINUTE_MS);
    for (topic, partition) in places {
        producer.send(topic, partition, &["a"]).unwrap();
    }
    producer.commit_offset("g", "t", 7).unwrap();
    producer.end(true).unwrap();
    for (topic, partition) in places {
        decides(&seed, topic, partition, &["a"]);
    }
    until("the offset is stable", || stable_offset(&seed, "g", "t") == Ok(7));
    for (topic, partition) in places {
        producer.send(topic, partition, &["b"]).unwrap();
    }
    cluster.kill(2);
    producer.end(true).unwrap();
    assert_eq!(state(&seed, &name), "PrepareCommit", "one leader is away");
    cluster.kill(1);
    // Two of three are needed to elect anybody.
    cluster.start(2);
    until("another coordinates", || coordinator_node(&seed, &name) != 1);
    for (topic, partition) in places {
        until("a leader", || leader(&seed, topic, partition).is_ok_and(|(id, _)| id != 1));
        decides(&seed, topic, partition, &["a", "b"]);
    }
    until("all markers are written", || state(&seed, &name) == "CompleteCommit");
    producer.send("t", 0, &["c"]).unwrap();
    producer.end(false).unwrap();
    cluster.start(1);
    decides(&seed, "t", 0, &["a", "b"]);
}

#[test]
fn an_open_transaction_goes_on_with_another_coordinator_and_leader() {
    let mut cluster = Cluster::combined(3, &SETTINGS);
    create(&cluster, "t", &[&[1, 2, 3], &[2, 3, 1]]);
    let seed = address(&cluster, 3).to_owned();
    let name = id_at(&seed, 1);
    let mut producer = Producer::new(&seed, &name, MINUTE_MS);
    producer.send("t", 0, &["a"]).unwrap();
    producer.send("t", 1, &["b"]).unwrap();
    producer.commit_offset("g", "t", 7).unwrap();
    cluster.kill(1);
    until("another coordinates", || coordinator_node(&seed, &name) != 1);
    let moved = patiently(|| {
        let (id, _) = leader(&seed, "t", 0)?;
        if id == 1 { Err(protocol::ErrorCode::LeaderNotAvailable) } else { Ok(id) }
    });
    moved.unwrap();
    assert_eq!(committed(&seed, "t", 0).values, [""; 0]);
    producer.send("t", 0, &["c"]).unwrap();
    producer.end(true).unwrap();
    decides(&seed, "t", 0, &["a", "c"]);
    decides(&seed, "t", 1, &["b"]);
    until("the offset is stable", || stable_offset(&seed, "g", "t") == Ok(7));
}
