//! Groups that nobody means well with: fakes that join, commits of what does not exist, records of the coordinator's topic that
//! cannot be read.

use std::time::{Duration, Instant};

use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;
use protocol::messages::produce_response::ProduceResponse;
use protocol::messages::request_header::RequestHeader;
use protocol::{ErrorCode, encode_to_vec};
use records::BatchBuilder;

use crate::common::{Node, Place, Reaction, decoded, frame, produce_request};

const MIB: u64 = 1 << 20;
/// Of the coordinator's topic: the group "h" is in the first, "g" in the second.
const TWO_SHARDS: &[(&str, &str)] = &[("offsets.topic.num.partitions", "2")];
const UNKNOWN_TYPE: &[u8] = &[0, 99, 1, 2, 3];
/// The key of an offset, cut.
const CUT_KEY: &[u8] = &[0, 1, 0];

/// Commits one offset; the coordinator's topic comes into being.
pub fn commit(node: &Node, group: &str, topic: &str) -> i16 {
    let began = Instant::now();
    let find = FindCoordinatorRequest { key: group.into(), ..Default::default() };
    node.connect().call(&find, 0);
    loop {
        let partition = OffsetCommitRequestPartition {
            committed_offset: 7,
            committed_metadata: Some("".into()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: -1,
            retention_time_ms: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let body = node.connect().call(&request, 8);
        let response: OffsetCommitResponse<'_> = decoded(&body, 8);
        let error = response.topics[0].partitions[0].error_code;
        if ![3, 14, 15, 16].contains(&error) || began.elapsed() > Duration::from_secs(30) {
            return error;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The committed offset and the error, once the log is read.
fn fetched(node: &Node, group: &str, topic: &str) -> (i64, i16) {
    let began = Instant::now();
    loop {
        let topics = vec![OffsetFetchRequestTopic {
            name: topic.into(),
            partition_indexes: vec![0],
            ..Default::default()
        }];
        let request = OffsetFetchRequest {
            group_id: group.into(),
            topics: Some(topics),
            ..Default::default()
        };
        let body = node.connect().call(&request, 5);
        let response: OffsetFetchResponse<'_> = decoded(&body, 5);
        let loads = ErrorCode::CoordinatorLoadInProgress.code();
        if response.error_code != loads || began.elapsed() > Duration::from_secs(30) {
            let row = response.topics.first().and_then(|topic| topic.partitions.first());
            return (row.map_or(-1, |row| row.committed_offset), response.error_code);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Writes a record into the coordinator's topic, as nobody but an administrator may.
fn plant(node: &Node, partition: i32, key: &[u8]) {
    let mut builder = BatchBuilder::new(records::Compression::None);
    builder.append(1_700_000_000_000, Some(key), Some(b"?"), &[]).unwrap();
    let batch = builder.build().unwrap();
    let header = RequestHeader {
        request_api_key: 0,
        request_api_version: 12,
        correlation_id: 1,
        client_id: Some("__admin_client".into()),
        ..Default::default()
    };
    let mut bytes = encode_to_vec(&header, 2).unwrap();
    let request = produce_request("__consumer_offsets", partition, &batch);
    bytes.extend(encode_to_vec(&request, 12).unwrap());
    let mut peer = node.connect();
    peer.send(&frame(&bytes));
    let Reaction::Answer(answer) = peer.reaction() else { panic!("no answer") };
    let response: ProduceResponse<'_> = decoded(&answer[5..], 12);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn records_of_unknown_types_are_skipped_and_broken_ones_cost_their_shard_only() {
    let place = Place::new();
    let node = Node::start_with(&place.data, TWO_SHARDS);
    assert_eq!(node.create_topic("t", 1, &[]), 0);
    for group in ["g", "h"] {
        assert_eq!(commit(&node, group, "t"), 0, "{group}");
    }
    plant(&node, 1, UNKNOWN_TYPE);
    assert_eq!(node.stop(), Some(0));

    let node = Node::start_with(&place.data, TWO_SHARDS);
    for group in ["g", "h"] {
        assert_eq!(fetched(&node, group, "t"), (7, 0), "{group}");
    }
    plant(&node, 1, CUT_KEY);
    assert_eq!(node.stop(), Some(0));

    let mut node = Node::start_with(&place.data, TWO_SHARDS);
    assert_eq!(fetched(&node, "h", "t"), (7, 0));
    assert_eq!(fetched(&node, "g", "t"), (-1, ErrorCode::NotCoordinator.code()));
    node.assert_alive("a broken record");
}

#[test]
fn ten_thousand_fakes_that_ask_for_a_member_id_cost_little() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    assert_eq!(node.create_topic("t", 1, &[]), 0);
    assert_eq!(commit(&node, "g", "t"), 0);
    let before = node.peak_bytes();
    let protocol = JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: vec![7; 1_000].into(),
        ..Default::default()
    };
    let request = JoinGroupRequest {
        group_id: "fakes".into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let mut peer = node.connect();
    for fake in 0..10_000 {
        let body = peer.call(&request, 4);
        let response: JoinGroupResponse<'_> = decoded(&body, 4);
        assert_eq!(response.error_code, ErrorCode::MemberIdRequired.code(), "{fake}");
    }
    node.assert_alive("fakes");
    let grown = node.peak_bytes() - before;
    assert!(grown < 32 * MIB, "grown by {} KiB", grown >> 10);
    assert_eq!(fetched(&node, "g", "t"), (7, 0));
}

#[test]
fn a_commit_of_a_hundred_thousand_unknown_topics_is_answered_soon() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    assert_eq!(node.create_topic("t", 1, &[]), 0);
    assert_eq!(commit(&node, "g", "t"), 0);
    let topics = (0..100_000).map(|number| OffsetCommitRequestTopic {
        name: format!("nosuch-{number}").into(),
        partitions: vec![OffsetCommitRequestPartition::default()],
        ..Default::default()
    });
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        retention_time_ms: -1,
        topics: topics.collect(),
        ..Default::default()
    };
    let began = Instant::now();
    let body = node.connect().call(&request, 8);
    let response: OffsetCommitResponse<'_> = decoded(&body, 8);
    assert_eq!(response.topics.len(), 100_000);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    node.assert_alive("unknown topics");
}
