//! Requests that can be read and ask for what is not there or not allowed. The answers in `answers.txt` were recorded from Apache Kafka
//! 4.4.0 with these very requests: code and message must be the same.

use base::Uuid;
use protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::create_partitions_response::CreatePartitionsResponse;
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use protocol::messages::delete_records_response::DeleteRecordsResponse;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::delete_topics_response::DeleteTopicsResponse;
use protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use protocol::messages::describe_configs_response::DescribeConfigsResponse;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::MetadataResponse;
use protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use protocol::messages::offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;
use protocol::messages::produce_response::ProduceResponse;

use crate::common::{Node, Peer, Place, batch, decoded, produce_request};

const EXPECTED: &str = include_str!("answers.txt");
const UNKNOWN_ID: Uuid = Uuid([7; 16]);

/// The lines of `answers.txt` of one section, and what this node says.
fn check(section: &str, actual: &[(String, String)]) {
    let actual: Vec<String> =
        actual.iter().map(|(name, answer)| format!("{section} {name} => {answer}")).collect();
    let start = format!("{section} ");
    let expected: Vec<&str> = EXPECTED.lines().filter(|line| line.starts_with(&start)).collect();
    for line in actual.iter().filter(|line| !expected.contains(&line.as_str())) {
        eprintln!("not as recorded: {line}");
    }
    assert_eq!(actual, expected);
}

fn answer(code: i16, message: Option<&str>) -> String {
    format!("{code} {}", message.unwrap_or("-")).replace('\n', "\\n").replace('\0', "\\0")
}

fn node(place: &Place) -> Node {
    let node = Node::start(&place.data);
    assert_eq!(node.create_topic("r", 1, &[]), 0);
    assert_eq!(node.produce("r", &batch(&[b"1", b"2", b"3"])), (0, 0));
    node
}

#[test]
fn fetches() {
    let place = Place::new();
    let node = node(&place);
    let mut peer = node.connect();
    let mut answers = Vec::new();
    let mut fetch = |name: &str, version, topic: &str, id, (partition, offset, epoch), session| {
        let partition = FetchPartition {
            partition,
            fetch_offset: offset,
            current_leader_epoch: epoch,
            partition_max_bytes: 1000,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: topic.to_owned().into(),
            topic_id: id,
            partitions: vec![partition],
            ..Default::default()
        };
        let (session_id, session_epoch) = session;
        let request =
            FetchRequest { topics: vec![topic], session_id, session_epoch, ..Default::default() };
        let body = peer.call(&request, version);
        let response: FetchResponse<'_> = decoded(&body, version);
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<i16> = partitions.map(|partition| partition.error_code).collect();
        answers.push((name.to_owned(), format!("{} {codes:?}", response.error_code)));
    };
    let none = (0, -1);
    fetch("at the end", 12, "r", Uuid::ZERO, (0, 3, -1), none);
    fetch("beyond the end", 12, "r", Uuid::ZERO, (0, 4, -1), none);
    fetch("far beyond the end", 12, "r", Uuid::ZERO, (0, i64::MAX, -1), none);
    fetch("offset -1", 12, "r", Uuid::ZERO, (0, -1, -1), none);
    fetch("offset of the smallest number", 12, "r", Uuid::ZERO, (0, i64::MIN, -1), none);
    fetch("unknown topic", 12, "unknown", Uuid::ZERO, (0, 0, -1), none);
    fetch("topic without name", 12, "", Uuid::ZERO, (0, 0, -1), none);
    fetch("unknown partition", 12, "r", Uuid::ZERO, (1, 0, -1), none);
    fetch("partition -1", 12, "r", Uuid::ZERO, (-1, 0, -1), none);
    fetch("leader epoch of the future", 12, "r", Uuid::ZERO, (0, 0, 99), none);
    fetch("unknown topic id", 13, "", UNKNOWN_ID, (0, 0, -1), none);
    fetch("topic id zero", 13, "", Uuid::ZERO, (0, 0, -1), none);
    fetch("unknown session", 12, "r", Uuid::ZERO, (0, 0, -1), (12345, 3));
    fetch("session epoch -7", 12, "r", Uuid::ZERO, (0, 0, -1), (12345, -7));
    check("fetch", &answers);
}

#[test]
fn produces() {
    let place = Place::new();
    let node = node(&place);
    let mut peer = node.connect();
    let good = batch(&[b"x"]);
    let mut answers = Vec::new();
    let mut produce = |name: &str, version, topic: &str, id, partition, acks| {
        let mut request = produce_request(topic, partition, &good);
        request.acks = acks;
        request.topic_data[0].topic_id = id;
        let body = peer.call(&request, version);
        let response: ProduceResponse<'_> = decoded(&body, version);
        let partition = &response.responses[0].partition_responses[0];
        let text = answer(partition.error_code, partition.error_message.as_deref());
        answers.push((name.to_owned(), format!("{text} {}", partition.base_offset)));
    };
    produce("unknown topic", 12, "unknown", Uuid::ZERO, 0, -1);
    produce("bad name", 12, "bad name!", Uuid::ZERO, 0, -1);
    produce("without name", 12, "", Uuid::ZERO, 0, -1);
    produce("unknown partition", 12, "r", Uuid::ZERO, 1, -1);
    produce("partition -1", 12, "r", Uuid::ZERO, -1, 1);
    produce("unknown topic id", 13, "", UNKNOWN_ID, 0, -1);
    produce("topic id zero", 13, "", Uuid::ZERO, 0, -1);
    produce("acks 5", 12, "r", Uuid::ZERO, 0, 5);
    produce("acks -2", 12, "r", Uuid::ZERO, 0, -2);
    check("produce", &answers);
}

#[test]
fn offsets() {
    let place = Place::new();
    let node = node(&place);
    let mut peer = node.connect();
    let mut answers = Vec::new();
    for (name, topic, partition, epoch, timestamp) in [
        ("unknown topic", "unknown", 0, -1, -1),
        ("unknown partition", "r", 1, -1, -1),
        ("partition -1", "r", -1, -1, -1),
        ("leader epoch of the future", "r", 0, 99, -1),
        ("special timestamp -99", "r", 0, -1, -99),
        ("timestamp of the future", "r", 0, -1, i64::MAX),
    ] {
        let partition = ListOffsetsPartition {
            partition_index: partition,
            current_leader_epoch: epoch,
            timestamp,
            ..Default::default()
        };
        let topic = ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let body = peer.call(&request, 9);
        let response: ListOffsetsResponse<'_> = decoded(&body, 9);
        let partition = &response.topics[0].partitions[0];
        let text = format!("{} {}", partition.error_code, partition.offset);
        answers.push((format!("list {name}"), text));
    }
    for (name, topic, partition, current, epoch) in [
        ("unknown topic", "unknown", 0, -1, 0),
        ("unknown partition", "r", 1, -1, 0),
        ("leader epoch of the future", "r", 0, 99, 0),
        ("epoch of the future", "r", 0, -1, 99),
        ("epoch -5", "r", 0, -1, -5),
    ] {
        let partition = OffsetForLeaderPartition {
            partition,
            current_leader_epoch: current,
            leader_epoch: epoch,
            ..Default::default()
        };
        let topic = OffsetForLeaderTopic {
            topic: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
        let body = peer.call(&request, 4);
        let response: OffsetForLeaderEpochResponse<'_> = decoded(&body, 4);
        let end = &response.topics[0].partitions[0];
        let text = format!("{} {} {}", end.error_code, end.leader_epoch, end.end_offset);
        answers.push((format!("epoch {name}"), text));
    }
    for (name, topic, partition, offset) in [
        ("beyond the end", "r", 0, 4),
        ("far beyond the end", "r", 0, i64::MAX),
        ("offset -2", "r", 0, -2),
        ("unknown topic", "unknown", 0, 0),
        ("unknown partition", "r", 1, 0),
    ] {
        let partition =
            DeleteRecordsPartition { partition_index: partition, offset, ..Default::default() };
        let topic = DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request =
            DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() };
        let body = peer.call(&request, 2);
        let response: DeleteRecordsResponse<'_> = decoded(&body, 2);
        let partition = &response.topics[0].partitions[0];
        let text = format!("{} {}", partition.error_code, partition.low_watermark);
        answers.push((format!("delete {name}"), text));
    }
    check("offsets", &answers);
}

fn create(peer: &mut Peer, topics: Vec<CreatableTopic<'_>>) -> Vec<String> {
    let request = CreateTopicsRequest { topics, validate_only: true, ..Default::default() };
    let body = peer.call(&request, 7);
    let response: CreateTopicsResponse<'_> = decoded(&body, 7);
    let mut answers: Vec<String> = response
        .topics
        .iter()
        .map(|topic| answer(topic.error_code, topic.error_message.as_deref()))
        .collect();
    answers.sort();
    answers
}

fn topic<'a>(name: &'a str, partitions: i32, replicas: i16) -> CreatableTopic<'a> {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..Default::default()
    }
}

#[test]
fn names_and_numbers_of_new_topics() {
    let place = Place::new();
    let node = node(&place);
    assert_eq!(node.create_topic("a.b", 1, &[]), 0);
    let mut peer = node.connect();
    let mut answers = Vec::new();
    let long = "n".repeat(250);
    let names = ["", ".", "..", &long, "bad name!", "a/b", "ä", "a\u{0}b", "a_b", "r", "fine"];
    for name in names {
        let shown = if name.len() > 50 { "250 letters" } else { name };
        answers.push((format!("{shown:?}"), create(&mut peer, vec![topic(name, 1, 1)]).join("; ")));
    }
    answers.push(("none".into(), create(&mut peer, Vec::new()).join("; ")));
    let twice = vec![topic("twice", 1, 1), topic("twice", 1, 1)];
    answers.push(("twice".into(), create(&mut peer, twice).join("; ")));
    for (partitions, replicas) in [(0, 1), (-5, 1), (i32::MAX, 1), (1, 0), (1, -2), (1, 3)] {
        let text = create(&mut peer, vec![topic("n", partitions, replicas)]).join("; ");
        answers.push((format!("{partitions} partitions {replicas} replicas"), text));
    }
    let assigned: &[(&str, i32, i16, &[(i32, &[i32])])] = &[
        ("and counts", 1, 1, &[(0, &[1])]),
        ("not from 0", -1, -1, &[(1, &[1])]),
        ("twice", -1, -1, &[(0, &[1]), (0, &[1])]),
        ("negative", -1, -1, &[(-1, &[1])]),
        ("empty", -1, -1, &[(0, &[])]),
        ("to one broker twice", -1, -1, &[(0, &[1, 1])]),
        ("to an unknown broker", -1, -1, &[(0, &[9])]),
    ];
    for (name, partitions, replicas, assignment) in assigned {
        let assignments =
            assignment.iter().map(|(partition, brokers)| CreatableReplicaAssignment {
                partition_index: *partition,
                broker_ids: brokers.to_vec(),
                ..Default::default()
            });
        let assignments = assignments.collect();
        let topic = CreatableTopic { assignments, ..topic("n", *partitions, *replicas) };
        answers.push((format!("assigned {name}"), create(&mut peer, vec![topic]).join("; ")));
    }
    check("create", &answers);
}

const CONFIGS: &[(&str, Option<&str>)] = &[
    ("no.such.config", Some("1")),
    ("", Some("1")),
    ("retention.ms", Some("soon")),
    ("retention.ms", Some("-2")),
    ("retention.ms", None),
    ("segment.bytes", Some("13")),
    ("segment.bytes", Some("99999999999")),
    ("cleanup.policy", Some("burn")),
    ("cleanup.policy", Some("compact,burn")),
    ("compression.type", Some("rar")),
    ("compression.gzip.level", Some("17")),
    ("min.insync.replicas", Some("0")),
    ("max.message.bytes", Some("-1")),
    ("min.cleanable.dirty.ratio", Some("1.5")),
    ("unclean.leader.election.enable", Some("perhaps")),
    ("message.timestamp.type", Some("Yesterday")),
    ("remote.storage.enable", Some("true")),
    ("min.compaction.lag.ms", Some("-1")),
    ("leader.replication.throttled.replicas", Some("x")),
];

#[test]
fn configs_of_topics() {
    let place = Place::new();
    let node = node(&place);
    let mut peer = node.connect();
    let mut answers = Vec::new();
    for (key, value) in CONFIGS {
        let config = CreatableTopicConfig {
            name: (*key).into(),
            value: value.map(Into::into),
            ..Default::default()
        };
        let topic = CreatableTopic { configs: vec![config], ..topic("n", 1, 1) };
        let text = create(&mut peer, vec![topic]).join("; ");
        answers.push((format!("create {key}={}", value.unwrap_or("null")), text));
    }
    let mut alter =
        |name: &str, kind, resource: &str, key: &str, operation, value: Option<&str>| {
            let config = AlterableConfig {
                name: key.to_owned().into(),
                config_operation: operation,
                value: value.map(|value| value.to_owned().into()),
                ..Default::default()
            };
            let resource = AlterConfigsResource {
                resource_type: kind,
                resource_name: resource.to_owned().into(),
                configs: vec![config],
                ..Default::default()
            };
            let request = IncrementalAlterConfigsRequest {
                resources: vec![resource],
                validate_only: true,
                ..Default::default()
            };
            let body = peer.call(&request, 1);
            let response: IncrementalAlterConfigsResponse<'_> = decoded(&body, 1);
            let answered = response.responses.iter();
            let texts = answered.map(|r| answer(r.error_code, r.error_message.as_deref()));
            answers.push((format!("alter {name}"), texts.collect::<Vec<_>>().join("; ")));
        };
    for (key, value) in CONFIGS {
        let name = format!("{key}={}", value.unwrap_or("null"));
        alter(&name, 2, "r", key, 0, *value);
    }
    alter("unknown topic", 2, "unknown", "retention.ms", 0, Some("1"));
    alter("bad topic name", 2, "bad name!", "retention.ms", 0, Some("1"));
    alter("operation 9", 2, "r", "retention.ms", 9, Some("1"));
    alter("append to no list", 2, "r", "retention.ms", 2, Some("1"));
    alter("subtract from no list", 2, "r", "retention.ms", 3, Some("1"));
    alter("unknown broker", 4, "99", "log.cleaner.threads", 0, Some("1"));
    alter("broker without number", 4, "x", "log.cleaner.threads", 0, Some("1"));
    alter("unknown type", 99, "r", "x", 0, Some("1"));
    check("configs", &answers);
}

#[test]
fn other_administration() {
    let place = Place::new();
    let node = node(&place);
    let mut peer = node.connect();
    let mut answers = Vec::new();
    for (name, version, topic, id) in [
        ("unknown name", 12, Some("unknown"), Uuid::ZERO),
        ("bad name", 12, Some("bad name!"), Uuid::ZERO),
        ("empty name", 12, Some(""), Uuid::ZERO),
        ("unknown id", 12, None, UNKNOWN_ID),
    ] {
        let topic = MetadataRequestTopic {
            name: topic.map(Into::into),
            topic_id: id,
            ..Default::default()
        };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let body = peer.call(&request, version);
        let response: MetadataResponse<'_> = decoded(&body, version);
        let codes: Vec<i16> = response.topics.iter().map(|topic| topic.error_code).collect();
        answers.push((format!("metadata {name}"), format!("{codes:?}")));
    }
    for (name, topic, id) in [
        ("unknown name", Some("unknown"), Uuid::ZERO),
        ("bad name", Some("bad name!"), Uuid::ZERO),
        ("unknown id", None, UNKNOWN_ID),
        ("neither", None, Uuid::ZERO),
        ("both", Some("r"), UNKNOWN_ID),
    ] {
        let state =
            DeleteTopicState { name: topic.map(Into::into), topic_id: id, ..Default::default() };
        let request =
            DeleteTopicsRequest { topics: vec![state], timeout_ms: 5000, ..Default::default() };
        let body = peer.call(&request, 6);
        let response: DeleteTopicsResponse<'_> = decoded(&body, 6);
        let topics = response.responses.iter();
        let texts = topics.map(|topic| answer(topic.error_code, topic.error_message.as_deref()));
        answers.push((format!("delete {name}"), texts.collect::<Vec<_>>().join("; ")));
    }
    for (name, topic, count) in [
        ("unknown topic", "unknown", 2),
        ("as many", "r", 1),
        ("fewer", "r", 0),
        ("-3", "r", -3),
        ("too many", "r", i32::MAX),
    ] {
        let topic = CreatePartitionsTopic {
            name: topic.into(),
            count,
            assignments: None,
            ..Default::default()
        };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: 5000,
            validate_only: true,
            ..Default::default()
        };
        let body = peer.call(&request, 3);
        let response: CreatePartitionsResponse<'_> = decoded(&body, 3);
        let topics = response.results.iter();
        let texts = topics.map(|topic| answer(topic.error_code, topic.error_message.as_deref()));
        answers.push((format!("partitions {name}"), texts.collect::<Vec<_>>().join("; ")));
    }
    for (name, kind, resource) in [
        ("unknown topic", 2, "unknown"),
        ("bad topic name", 2, "bad name!"),
        ("unknown broker", 4, "99"),
        ("broker without number", 4, "x"),
        ("unknown type", 99, "r"),
    ] {
        let resource = DescribeConfigsResource {
            resource_type: kind,
            resource_name: resource.into(),
            configuration_keys: None,
            ..Default::default()
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let body = peer.call(&request, 4);
        let response: DescribeConfigsResponse<'_> = decoded(&body, 4);
        let results = response.results.iter();
        let texts = results.map(|r| answer(r.error_code, r.error_message.as_deref()));
        answers.push((format!("describe {name}"), texts.collect::<Vec<_>>().join("; ")));
    }
    check("admin", &answers);
}
