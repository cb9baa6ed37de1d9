//! One node that coordinates, and leads all partitions.

use protocol::ErrorCode;
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use protocol::messages::write_txn_markers_response::WriteTxnMarkersResponse;

use crate::common::{Node, Place, decoded};
use crate::producer::{Producer, committed, decides, stable_offset, state};

pub const MINUTE_MS: i32 = 60_000;
pub const SETTINGS: [(&str, &str); 5] = [
    ("transaction.state.log.num.partitions", "3"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("offsets.topic.num.partitions", "3"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "100"),
];

pub fn started(place: &Place) -> Node {
    Node::start_with(&place.data, &SETTINGS)
}

pub fn with_topic(place: &Place) -> Node {
    let node = started(place);
    assert_eq!(node.create_topic("t", 2, &[]), 0);
    node
}

#[test]
fn all_partitions_of_a_transaction_are_decided_as_one() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let mut producer = Producer::new(&node.address, "x", MINUTE_MS);
    let first = (producer.id, producer.epoch);
    producer.send("t", 0, &["a", "b"]).unwrap();
    producer.send("t", 1, &["c"]).unwrap();
    let seen = committed(&node.address, "t", 0);
    assert_eq!((seen.values.len(), seen.stable, seen.high_watermark), (0, 0, 2));
    assert_eq!(state(&node.address, "x"), "Ongoing");
    producer.end(true).unwrap();
    assert_eq!((producer.id, producer.epoch), (first.0, first.1 + 1), "each one has its epoch");
    decides(&node.address, "t", 0, &["a", "b"]);
    decides(&node.address, "t", 1, &["c"]);
    producer.send("t", 0, &["never"]).unwrap();
    producer.send("t", 1, &["never"]).unwrap();
    producer.end(false).unwrap();
    producer.send("t", 0, &["d"]).unwrap();
    producer.end(true).unwrap();
    decides(&node.address, "t", 0, &["a", "b", "d"]);
    decides(&node.address, "t", 1, &["c"]);
    assert_eq!(state(&node.address, "x"), "CompleteCommit");
    node.assert_alive("transactions");
}

#[test]
fn older_clients_tell_the_coordinator_first() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let mut producer = Producer::new(&node.address, "x", MINUTE_MS);
    let epoch = producer.epoch;
    let unknown = [(10, ErrorCode::InvalidTxnState), (11, ErrorCode::TransactionAbortable)];
    for (version, error) in unknown {
        assert_eq!(producer.send_as(version, "t", 0, &["a"]), Err(error), "Produce {version}");
    }
    producer.add("t", 0).unwrap();
    producer.send_as(11, "t", 0, &["a"]).unwrap();
    producer.send_as(10, "t", 0, &["b"]).unwrap();
    producer.end_as(4, true).unwrap();
    producer.add("t", 0).unwrap();
    producer.send_as(11, "t", 0, &["c"]).unwrap();
    producer.end_as(4, false).unwrap();
    assert_eq!(producer.epoch, epoch);
    decides(&node.address, "t", 0, &["a", "b"]);
    node.assert_alive("transactions of older clients");
}

#[test]
fn who_comes_later_fences_who_was_there() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let mut zombie = Producer::new(&node.address, "x", MINUTE_MS);
    zombie.send("t", 0, &["never"]).unwrap();
    let mut heir = Producer::new(&node.address, "x", MINUTE_MS);
    assert_eq!(zombie.send("t", 0, &["late"]), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(zombie.end(true), Err(ErrorCode::ProducerFenced));
    heir.send("t", 0, &["a"]).unwrap();
    heir.end(true).unwrap();
    decides(&node.address, "t", 0, &["a"]);
    node.assert_alive("zombies");
}

#[test]
fn what_takes_too_long_is_aborted() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let mut slow = Producer::new(&node.address, "x", 500);
    slow.send("t", 0, &["never"]).unwrap();
    decides(&node.address, "t", 0, &[]);
    assert_eq!(slow.send("t", 0, &["late"]), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(slow.end(true), Err(ErrorCode::InvalidTxnState), "it is aborted");
    node.assert_alive("a timeout");
}

#[test]
fn offsets_of_groups_are_part_of_it() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let mut producer = Producer::new(&node.address, "x", MINUTE_MS);
    let offset = || stable_offset(&node.address, "g", "t");
    producer.commit_offset("g", "t", 3).unwrap();
    assert_eq!(offset(), Err(ErrorCode::UnstableOffsetCommit));
    producer.end(true).unwrap();
    let wait = || {
        crate::common::cluster::until("the offset is stable", || offset().is_ok());
        offset().unwrap()
    };
    assert_eq!(wait(), 3);
    producer.send("t", 0, &["never"]).unwrap();
    producer.commit_offset("g", "t", 9).unwrap();
    assert_eq!(offset(), Err(ErrorCode::UnstableOffsetCommit));
    producer.end(false).unwrap();
    assert_eq!(wait(), 3);
    producer.epoch -= 1;
    assert_eq!(producer.commit_offset("g", "t", 11), Err(ErrorCode::InvalidProducerEpoch));
    node.assert_alive("offsets in transactions");
}

#[test]
fn a_killed_node_goes_on_where_it_was() {
    let place = Place::new();
    let node = with_topic(&place);
    let mut done = Producer::new(&node.address, "done", MINUTE_MS);
    let mut open = Producer::new(&node.address, "open", MINUTE_MS);
    done.send("t", 0, &["a"]).unwrap();
    open.send("t", 0, &["b"]).unwrap();
    open.send("t", 1, &["c"]).unwrap();
    open.commit_offset("g", "t", 5).unwrap();
    done.end(true).unwrap();
    node.kill();
    let mut node = started(&place);
    done.moved_to(&node.address);
    open.moved_to(&node.address);
    assert_eq!(committed(&node.address, "t", 1).values, [""; 0]);
    let offset = || stable_offset(&node.address, "g", "t");
    assert_eq!(offset(), Err(ErrorCode::UnstableOffsetCommit));
    open.send("t", 1, &["d"]).unwrap();
    open.end(true).unwrap();
    decides(&node.address, "t", 0, &["a", "b"]);
    decides(&node.address, "t", 1, &["c", "d"]);
    crate::common::cluster::until("the offset is stable", || offset() == Ok(5));
    node.assert_alive("a kill with an open transaction");
}

#[test]
fn hanging_transactions_can_be_ended_by_hand() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let mut producer = Producer::new(&node.address, "x", MINUTE_MS);
    producer.send("t", 0, &["never"]).unwrap();
    let mark = |epoch: i16, topic: &str| {
        let marker = WritableTxnMarker {
            producer_id: producer.id,
            producer_epoch: epoch,
            topics: vec![WritableTxnMarkerTopic {
                name: topic.to_owned().into(),
                partition_indexes: vec![0],
                ..Default::default()
            }],
            coordinator_epoch: -1,
            ..Default::default()
        };
        let request = WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() };
        let body = node.ask(&request, 1);
        let response: WriteTxnMarkersResponse<'_> = decoded(&body, 1);
        ErrorCode::from_code(response.markers[0].topics[0].partitions[0].error_code)
    };
    assert_eq!(mark(producer.epoch, "nowhere"), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(mark(producer.epoch, "t"), ErrorCode::None);
    decides(&node.address, "t", 0, &[]);
    node.assert_alive("markers from a client");
}
