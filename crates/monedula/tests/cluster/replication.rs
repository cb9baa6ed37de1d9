//! Replicas of several brokers: they are equal, they outlive a leader, they leave those in sync and come back, and where leaders
//! parted their logs are cut to one.

use std::path::PathBuf;
use std::time::Duration;

use protocol::ErrorCode;
use protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use protocol::messages::describe_producers_response::DescribeProducersResponse;
use protocol::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData, TopicData,
};
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;
use protocol::messages::metadata_response::MetadataResponse;
use protocol::messages::produce_response::ProduceResponse;

use crate::common::cluster::{Cluster, until};
use crate::common::{batch, decoded, produce_request};

pub const SETTINGS: [(&str, &str); 4] = [
    ("broker.session.timeout.ms", "4000"),
    ("broker.heartbeat.interval.ms", "200"),
    ("replica.lag.time.max.ms", "1500"),
    ("replica.fetch.backoff.ms", "100"),
];

pub fn create(cluster: &Cluster, name: &str, replicas: i16, min_in_sync: i16) {
    let config = CreatableTopicConfig {
        name: "min.insync.replicas".into(),
        value: Some(min_in_sync.to_string().into()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: 1,
        replication_factor: replicas,
        configs: vec![config],
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let body = cluster.node(cluster.brokers()[0]).ask(&request, 7);
    let response: CreateTopicsResponse<'_> = decoded(&body, 7);
    assert_eq!(response.topics[0].error_code, 0);
}

/// Leader and those in sync, sorted, of the topic's only partition.
fn state(metadata: &MetadataResponse<'_>, topic: &str) -> Option<(i32, Vec<i32>)> {
    let topic = metadata.topics.iter().find(|t| t.name.as_deref() == Some(topic))?;
    let partition = topic.partitions.first()?;
    let mut isr = partition.isr_nodes.clone();
    isr.sort_unstable();
    Some((partition.leader_id, isr))
}

pub fn until_isr(cluster: &Cluster, topic: &str, wanted: &[i32]) {
    cluster.until_all(&format!("{wanted:?} in sync"), |metadata| {
        state(metadata, topic).is_some_and(|(_, isr)| isr == wanted)
    });
}

fn leader(cluster: &Cluster, topic: &str) -> i32 {
    let mut leader = -1;
    cluster.until_all("a leader that lives", |metadata| {
        let lives = |id: &i32| cluster.brokers().contains(id);
        state(metadata, topic).is_some_and(|(id, _)| lives(&id))
    });
    cluster.metadata(cluster.brokers()[0], |metadata| {
        leader = state(metadata, topic).unwrap().0;
    });
    leader
}

/// Writes `values` one by one with acks=all.
pub fn produce(cluster: &Cluster, topic: &str, values: std::ops::Range<i64>) {
    for value in values {
        let records = batch(&[value.to_string().as_bytes()]);
        until("it is acknowledged", || {
            cluster.node(leader(cluster, topic)).produce(topic, &records).0 == 0
        });
    }
}

fn log(cluster: &Cluster, broker: i32, topic: &str) -> PathBuf {
    cluster.data(broker).join(format!("{topic}-0/00000000000000000000.log"))
}

pub fn until_equal(cluster: &Cluster, topic: &str, brokers: &[i32]) -> Vec<u8> {
    let mut logs = Vec::new();
    until("equal logs", || {
        logs = brokers.iter().map(|id| std::fs::read(log(cluster, *id, topic)).unwrap()).collect();
        logs.iter().all(|log| *log == logs[0])
    });
    logs.swap_remove(0)
}

/// Offsets at which the batches of a log begin, and the epochs of their leaders.
fn batches(log: &[u8]) -> Vec<(i64, i32)> {
    let batches = records::Batches::new(log).map(|batch| {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        let header = batch.v2().unwrap();
        (header.base_offset.get(), header.partition_leader_epoch.get())
    });
    batches.collect()
}

#[test]
fn what_is_acknowledged_outlives_the_leader() {
    let mut cluster = Cluster::separate(1, 3, &SETTINGS);
    create(&cluster, "t", 3, 2);
    until_isr(&cluster, "t", &[101, 102, 103]);
    produce(&cluster, "t", 0..20);
    let first = leader(&cluster, "t");
    cluster.kill(first);
    produce(&cluster, "t", 20..40);
    let left: Vec<i32> = cluster.brokers();
    until_isr(&cluster, "t", &left);
    cluster.start(first);
    until_isr(&cluster, "t", &[101, 102, 103]);
    let log = until_equal(&cluster, "t", &[101, 102, 103]);
    let offsets: Vec<i64> = batches(&log).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, Vec::from_iter(0..offsets.len() as i64));
    // Nobody asked to be idempotent: what was written and not acknowledged may be there twice.
    assert!(offsets.len() >= 40, "{} records", offsets.len());
}

#[test]
fn a_follower_that_hangs_leaves_and_comes_back() {
    let mut settings = SETTINGS.to_vec();
    // It lags long before it counts as gone.
    settings[0] = ("broker.session.timeout.ms", "20000");
    let cluster = Cluster::separate(1, 2, &settings);
    create(&cluster, "t", 2, 1);
    until_isr(&cluster, "t", &[101, 102]);
    produce(&cluster, "t", 0..3);
    let first = leader(&cluster, "t");
    let other = 203 - first;
    let signal = |signal| {
        let pid = rustix::process::Pid::from_raw(cluster.node(other).pid() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    };
    signal(rustix::process::Signal::STOP);
    until("the one that hangs leaves", || {
        cluster.metadata(first, |metadata| state(metadata, "t") == Some((first, vec![first])))
    });
    produce_at(&cluster, first, 3);
    std::thread::sleep(Duration::from_millis(100));
    signal(rustix::process::Signal::CONT);
    until_isr(&cluster, "t", &[101, 102]);
    assert_eq!(batches(&until_equal(&cluster, "t", &[101, 102])).len(), 4);
}

#[test]
fn who_waits_at_a_leader_that_leaves_is_told_the_next_one() {
    let mut settings = SETTINGS.to_vec();
    settings[0] = ("broker.session.timeout.ms", "20000");
    settings[2] = ("replica.lag.time.max.ms", "20000");
    let cluster = Cluster::separate(1, 2, &settings);
    create(&cluster, "t", 2, 1);
    until_isr(&cluster, "t", &[101, 102]);
    let first = leader(&cluster, "t");
    let other = 203 - first;
    let signal = |id, signal| {
        let pid = rustix::process::Pid::from_raw(cluster.node(id).pid() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    };
    // It takes nothing over, and is the only one who could.
    signal(other, rustix::process::Signal::STOP);
    let records = batch(&[b"waits"]);
    let answer = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| cluster.node(first).ask(&produce_request("t", 0, &records), 12));
        let written = || std::fs::metadata(log(&cluster, first, "t")).is_ok_and(|f| f.len() > 0);
        until("it is written", written);
        signal(first, rustix::process::Signal::TERM);
        waiting.join().unwrap()
    });
    signal(other, rustix::process::Signal::CONT);
    let answer: ProduceResponse<'_> = decoded(&answer, 12);
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(
        (partition.current_leader.leader_id, partition.current_leader.leader_epoch),
        (other, 1)
    );
    assert!(answer.node_endpoints.iter().any(|endpoint| endpoint.node_id == other));
}

fn produce_at(cluster: &Cluster, broker: i32, value: i64) {
    let records = batch(&[value.to_string().as_bytes()]);
    assert_eq!(cluster.node(broker).produce("t", &records).0, 0);
}

#[test]
fn logs_that_parted_are_cut_to_the_leaders() {
    let mut settings = SETTINGS.to_vec();
    settings.push(("unclean.leader.election.enable", "true"));
    let mut cluster = Cluster::separate(1, 2, &settings);
    create(&cluster, "t", 2, 1);
    until_isr(&cluster, "t", &[101, 102]);
    produce(&cluster, "t", 0..5);
    let first = leader(&cluster, "t");
    let other = 203 - first;
    until_equal(&cluster, "t", &[101, 102]);
    cluster.kill(other);
    until_isr(&cluster, "t", &[first]);
    // Only the one knows these, and they are committed: an unclean election loses them.
    produce(&cluster, "t", 5..9);
    cluster.kill(first);
    cluster.start(other);
    produce(&cluster, "t", 100..102);
    assert_eq!(leader(&cluster, "t"), other);
    cluster.start(first);
    until_isr(&cluster, "t", &[101, 102]);
    let found = batches(&until_equal(&cluster, "t", &[101, 102]));
    let offsets: Vec<i64> = found.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5, 6], "five of old, two of the new leader");
    assert!(found[4].1 < found[5].1, "{found:?}");
    assert_eq!(cluster.stop(first), Some(0));
    assert_eq!(cluster.stop(other), Some(0));
    let epochs = [first, other].map(|id| {
        std::fs::read_to_string(cluster.data(id).join("t-0/leader-epoch-checkpoint")).unwrap()
    });
    assert_eq!(epochs[0], epochs[1]);
}

#[test]
fn any_replica_tells_its_producers_and_any_broker_the_quorum() {
    let cluster = Cluster::separate(1, 2, &SETTINGS);
    create(&cluster, "t", 2, 2);
    until_isr(&cluster, "t", &[101, 102]);
    let topic = TopicRequest { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
    let request = DescribeProducersRequest { topics: vec![topic], ..Default::default() };
    for broker in cluster.brokers() {
        until("the replica is there", || {
            let body = cluster.node(broker).ask(&request, 0);
            let response: DescribeProducersResponse<'_> = decoded(&body, 0);
            response.topics[0].partitions[0].error_code == 0
        });
    }
    // Observers have directories, and older versions have no place for them.
    for version in 0..=2 {
        let partition = PartitionData { partition_index: 0, ..Default::default() };
        let topic = TopicData {
            topic_name: "__cluster_metadata".into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
        let body = cluster.node(101).ask(&request, version);
        let response: DescribeQuorumResponse<'_> = decoded(&body, version);
        assert_eq!(response.topics[0].partitions[0].observers.len(), 2, "version {version}");
    }
}
