//! Anybody may send what only brokers and controllers send. What Apache Kafka 4.4.0 answered in a cluster of the same layout stands in
//! fixtures/hostile/kafka-4.4.0.txt; ours must answer the same. The record was made with the test that is ignored here.

mod brokers;
mod quorum;
mod replicas;

use std::collections::BTreeMap;

use base::Uuid;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use protocol::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData, TopicData,
};
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;
use protocol::{ApiKey, Encode, Message, encode_to_vec};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::cluster::{Cluster, until};
use crate::common::{Peer, Reaction, decoded, frame, request_bytes};

const KAFKA: &str = include_str!("../fixtures/hostile/kafka-4.4.0.txt");
/// Where the answers differ, and what ours is.
const DIFFERENT: [(&str, &str); 11] = [
    // Kafka's controller fails on it and gives up the lead.
    ("AlterPartition, a recovery state that is none", "0 [42]"),
    // Kafka cannot write an answer that says what is wrong with the partition.
    ("FetchSnapshot, an unknown one", r#"0 ["98 leader 1"]"#),
    ("FetchSnapshot, another topic", r#"0 ["3 leader 0"]"#),
    ("FetchSnapshot, partition 1", r#"0 ["3 leader 0"]"#),
    ("FetchSnapshot, a negative position", r#"0 ["98 leader 1"]"#),
    ("FetchSnapshot, an old epoch", r#"0 ["74 leader 1"]"#),
    ("FetchSnapshot, a later epoch", r#"0 ["75 leader 1"]"#),
    // The watermark that is told is the one after this fetch.
    ("Fetch, an old leader epoch", r#"0 ["0 watermark 1 start 0 records false diverging -1"]"#),
    (
        "Fetch, as the follower, without an epoch",
        r#"0 ["0 watermark 2 start 0 records false diverging -1"]"#,
    ),
    (
        "Fetch, as the follower, a later epoch",
        r#"0 ["0 watermark 3 start 0 records false diverging -1"]"#,
    ),
    // Words of a follower's earlier life must not count again.
    (
        "Fetch, as the follower, its own epoch after a later one",
        r#"0 ["6 watermark -1 start -1 records false diverging -1"]"#,
    ),
];
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Brokers. The first leads everything.
const LEADER: i32 = 101;
const FOLLOWER: i32 = 102;

/// One controller, two brokers; `both` has a replica on each, `solo` on the first alone.
pub struct Facts {
    controller: String,
    leader: String,
    /// The process of the follower, to be stopped for a while.
    follower: Pid,
    cluster_id: String,
    both: Uuid,
    solo: Uuid,
    /// Epochs of the brokers' registrations.
    broker_epochs: BTreeMap<i32, i64>,
    quorum_epoch: i32,
    /// A directory of each broker, as the quorum's leader knows it.
    directories: BTreeMap<i32, Uuid>,
}

impl Facts {
    /// Makes the topics and asks for the rest.
    fn of(controller: &str, leader: &str, follower: Pid) -> Self {
        let topic = |name: &str, brokers: &[i32]| CreatableTopic {
            name: name.to_owned().into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![CreatableReplicaAssignment {
                partition_index: 0,
                broker_ids: brokers.to_vec(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let topics = vec![topic("both", &[LEADER, FOLLOWER]), topic("solo", &[LEADER])];
        let request = CreateTopicsRequest { topics, timeout_ms: 5_000, ..Default::default() };
        Peer::connect(leader).call(&request, 7);
        let mut facts = Self {
            controller: controller.into(),
            leader: leader.into(),
            follower,
            cluster_id: String::new(),
            both: Uuid::ZERO,
            solo: Uuid::ZERO,
            broker_epochs: BTreeMap::new(),
            quorum_epoch: 0,
            directories: BTreeMap::new(),
        };
        facts.broker_epochs =
            [LEADER, FOLLOWER].map(|id| (id, facts.broker_epoch(id))).into_iter().collect();
        facts.ask_metadata();
        facts.ask_quorum();
        facts
    }

    /// Nobody tells it, but the controller says whether a number is right.
    fn broker_epoch(&self, broker_id: i32) -> i64 {
        let mut peer = Peer::connect(&self.controller);
        let is_right = |epoch: &i64| {
            let request = AllocateProducerIdsRequest {
                broker_id,
                broker_epoch: *epoch,
                ..Default::default()
            };
            let body = peer.call(&request, 0);
            let answer: AllocateProducerIdsResponse = decoded(&body, 0);
            answer.error_code == 0
        };
        (0..10_000).find(is_right).unwrap()
    }

    fn ask_metadata(&mut self) {
        until("both replicas are in sync", || {
            let request = MetadataRequest { topics: None, ..Default::default() };
            let body = Peer::connect(&self.leader).call(&request, 12);
            let answer: MetadataResponse<'_> = decoded(&body, 12);
            self.cluster_id = answer.cluster_id.as_deref().unwrap().to_owned();
            let find = |name| answer.topics.iter().find(|t| t.name.as_deref() == Some(name));
            let (Some(both), Some(solo)) = (find("both"), find("solo")) else { return false };
            (self.both, self.solo) = (both.topic_id, solo.topic_id);
            both.partitions.iter().all(|p| p.isr_nodes.len() == 2 && p.leader_id == LEADER)
        });
    }

    fn ask_quorum(&mut self) {
        let topic = TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![PartitionData::default()],
            ..Default::default()
        };
        let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
        let body = Peer::connect(&self.controller).call(&request, 2);
        let answer: DescribeQuorumResponse<'_> = decoded(&body, 2);
        let partition = &answer.topics[0].partitions[0];
        self.quorum_epoch = partition.leader_epoch;
        let observers = partition.observers.iter();
        self.directories = observers.map(|o| (o.replica_id, o.replica_directory_id)).collect();
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.follower, signal).unwrap();
    }
}

/// Questions, and what was answered.
#[derive(Default)]
pub struct Book {
    lines: Vec<String>,
}

impl Book {
    /// The body of the answer; `None` when the connection was closed instead.
    fn call<Q: Message + Encode>(address: &str, request: &Q, version: i16) -> Option<Vec<u8>> {
        let key = Q::API_KEY.unwrap();
        let body = encode_to_vec(request, version).unwrap();
        let mut peer = Peer::connect(address);
        peer.send(&frame(&request_bytes(key, version, &body)));
        let mut answer = match peer.reaction() {
            Reaction::Answer(answer) => answer,
            Reaction::Closed => return None,
            Reaction::Silent => panic!("no answer to {}", Q::NAME),
        };
        let header = ApiKey::from_i16(key).unwrap().response_header_version(version);
        answer.drain(..if header == 1 { 5 } else { 4 });
        Some(answer)
    }

    fn note(&mut self, name: &str, answer: &str) {
        self.lines.push(format!("{name} = {answer}"));
    }
}

/// Asks `$address` and notes what `$show` makes of the answer.
macro_rules! ask {
    ($book:expr, $name:expr, $address:expr, $request:expr, $version:expr, $answer:ty, $show:expr) => {{
        let request = $request;
        let text = match $crate::strangers::Book::call($address, &request, $version) {
            None => "closed".to_owned(),
            Some(body) => {
                let answer: $answer = $crate::common::decoded(&body, $version);
                let show: fn(&$answer) -> String = $show;
                show(&answer)
            }
        };
        $book.note(&$name, &text);
    }};
}
use ask;

fn answers(facts: &Facts) -> Vec<String> {
    let mut book = Book::default();
    quorum::ask_all(facts, &mut book);
    brokers::ask_all(facts, &mut book);
    replicas::ask_all(facts, &mut book);
    brokers::ask_last(facts, &mut book);
    book.lines
}

#[test]
fn strangers_are_answered_as_kafka_answers_them() {
    let settings = [
        ("broker.session.timeout.ms", "60000"),
        ("replica.lag.time.max.ms", "60000"),
        ("min.insync.replicas", "1"),
    ];
    let mut cluster = Cluster::separate(1, 2, &settings);
    let follower = Pid::from_raw(cluster.node(FOLLOWER).pid().try_into().unwrap()).unwrap();
    let (controller, leader) = (cluster.node(1), cluster.node(LEADER));
    let facts = Facts::of(&controller.controller_address, &leader.address, follower);
    let (ours, kafka) = (answers(&facts), KAFKA.lines());
    let wanted = |line: &str| {
        let (question, _) = line.split_once(" = ").unwrap();
        let different = DIFFERENT.iter().find(|(other, _)| *other == question);
        different.map_or(line.to_owned(), |(_, answer)| format!("{question} = {answer}"))
    };
    let kafka: Vec<String> = kafka.filter(|line| !line.starts_with('#')).map(wanted).collect();
    let differ = ours.iter().zip(&kafka).filter(|(ours, kafka)| ours != kafka);
    let differ: Vec<String> =
        differ.map(|(ours, kafka)| format!("not {kafka}\nbut {ours}\n")).collect();
    assert!(differ.is_empty(), "{} differ\n{}", differ.len(), differ.concat());
    assert_eq!(ours.len(), kafka.len());
    for id in [LEADER, FOLLOWER, 1] {
        assert_eq!(cluster.stop(id), Some(0));
    }
}

/// Prints the answers of a cluster that runs already: HOST:PORT of the controller and of broker 101, and the process of broker 102.
#[test]
#[ignore = "records the answers: needs a running cluster of Apache Kafka, told by the environment"]
fn record() {
    let of = |name| std::env::var(name).unwrap();
    let follower = Pid::from_raw(of("FOLLOWER_PID").parse().unwrap()).unwrap();
    let facts = Facts::of(&of("CONTROLLER"), &of("LEADER"), follower);
    for line in answers(&facts) {
        println!("{line}");
    }
}
