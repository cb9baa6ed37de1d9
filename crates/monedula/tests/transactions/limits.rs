//! Where numbers end: sequences, epochs, producers of a partition.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::ErrorCode;
use protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use protocol::messages::describe_producers_response::DescribeProducersResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::common::{Node, Peer, Place, WAIT_MAX, decoded};
use crate::damaged::{self, Known};
use crate::many::write_many;
use crate::producer::{Producer, checked, decides, patiently};
use crate::single::{MINUTE_MS, SETTINGS, started, with_topic};
use crate::strangers::{Said, write};

/// In a transaction, over the end and on; what is sent twice is written once, and nothing may be left out.
pub fn sequences_wrap(seed: &str, topic: &str) {
    let name = format!("wrapping-{topic}");
    let mut producer = Producer::new(seed, &name, MINUTE_MS);
    producer.add(topic, 0).unwrap();
    let send = |sequence, values: &[&str]| {
        write(seed, 11, Some(&name), (topic, 0), &Said::by(&producer, sequence).batch(values))
    };
    let out_of_order = Err(ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(send(i32::MAX - 2, &["a"]), Ok(0));
    assert_eq!(send(i32::MAX - 1, &["b", "c", "d", "e"]), Ok(1));
    assert_eq!(send(i32::MAX - 1, &["b", "c", "d", "e"]), Ok(1), "the same again");
    assert_eq!(send(3, &["gap"]), out_of_order);
    assert_eq!(send(1, &["back"]), out_of_order);
    assert_eq!(send(i32::MAX, &["back"]), out_of_order);
    assert_eq!(send(2, &["f"]), Ok(5));
    producer.end_as(4, true).unwrap();
    decides(seed, topic, 0, &["a", "b", "c", "d", "e", "f"]);
}

/// InitProducerId of a producer that says who it is, or does not; again while it may.
fn again(seed: &str, name: &str, who: (i64, i16)) -> Result<(i64, i16), ErrorCode> {
    patiently(|| init(seed, name, who))
}

pub fn init(seed: &str, name: &str, (id, epoch): (i64, i16)) -> Result<(i64, i16), ErrorCode> {
    let request = InitProducerIdRequest {
        transactional_id: Some(name.to_owned().into()),
        transaction_timeout_ms: MINUTE_MS,
        producer_id: id,
        producer_epoch: epoch,
        ..Default::default()
    };
    let body = Peer::connect(seed).call(&request, 5);
    let response: InitProducerIdResponse = decoded(&body, 5);
    checked(response.error_code).map(|()| (response.producer_id, response.producer_epoch))
}

/// From one before the last epoch on: the next transaction has a new producer id, and the old one is fenced.
pub fn epochs_end(seed: &str, topic: &str, mut producer: Producer) {
    let last = i16::MAX - 1;
    assert_eq!(producer.epoch, last - 1);
    let (name, old) = (producer.name.clone(), producer.id);
    let by_old = |epoch| {
        let said = Said { id: old, epoch, sequence: 0, transactional: true, control: false };
        let written = write(seed, 12, Some(&name), (topic, 0), &said.batch(&["never"]));
        written.err().unwrap_or(ErrorCode::None)
    };
    producer.send(topic, 0, &["a"]).unwrap();
    producer.end(true).unwrap();
    assert_eq!((producer.id, producer.epoch), (old, last));
    producer.send(topic, 0, &["b"]).unwrap();
    assert_eq!(by_old(i16::MAX), ErrorCode::InvalidProducerEpoch);
    producer.end(true).unwrap();
    assert_ne!(producer.id, old);
    assert_eq!(producer.epoch, 0);
    decides(seed, topic, 0, &["a", "b"]);
    let stale = [last, i16::MAX, 0].map(by_old);
    let (epoch, mapping) = (ErrorCode::InvalidProducerEpoch, ErrorCode::InvalidProducerIdMapping);
    assert_eq!(stale, [epoch, mapping, epoch]);
    // Who did not hear of its new id is told again; nobody ever had the others.
    let told = [(old, last), (old, i16::MAX), (old, 0)].map(|who| again(seed, &name, who));
    let fenced = Err(ErrorCode::ProducerFenced);
    assert_eq!(told, [Ok((producer.id, 0)), fenced, fenced]);
    producer.send(topic, 0, &["c"]).unwrap();
    producer.end(false).unwrap();
    producer.send(topic, 0, &["d"]).unwrap();
    producer.end(true).unwrap();
    decides(seed, topic, 0, &["a", "b", "d"]);
}

/// The same with InitProducerId, and with transactions of the first generation.
pub fn epochs_end_of_old(seed: &str, topic: &str, mut producer: Producer) {
    let last = i16::MAX - 1;
    let (name, old) = (producer.name.clone(), producer.id);
    assert_eq!(again(seed, &name, (-1, -1)), Ok((old, last)));
    producer.epoch = last;
    producer.add(topic, 0).unwrap();
    producer.send_as(11, topic, 0, &["a"]).unwrap();
    producer.end_as(4, true).unwrap();
    decides(seed, topic, 0, &["a"]);
    producer.add(topic, 0).unwrap();
    producer.send_as(11, topic, 0, &["never"]).unwrap();
    // Its open transaction is aborted on the way, with the last of all epochs.
    let (id, epoch) = again(seed, &name, (-1, -1)).unwrap();
    assert!(id != old && epoch == 1, "{id} {epoch}");
    let late = (
        producer.send_as(11, topic, 0, &["late"]),
        producer.end_as(4, true),
        again(seed, &name, (old, last)),
    );
    let epoch = Err(ErrorCode::InvalidProducerEpoch);
    let mapping = Err(ErrorCode::InvalidProducerIdMapping);
    assert_eq!(late, (epoch, mapping, Err(ErrorCode::ProducerFenced)));
    decides(seed, topic, 0, &["a"]);
}

#[test]
fn sequences_begin_anew_within_a_transaction() {
    let place = Place::new();
    let mut node = with_topic(&place);
    sequences_wrap(&node.address, "t");
    node.assert_alive("the last sequence");
}

/// Producers at the epoch 32,764, as their coordinator finds them in its log.
fn aged(place: &Place, names: [&str; 2]) -> (Node, [Producer; 2]) {
    let node = with_topic(place);
    let ids = names.map(|name| Producer::new(&node.address, name, MINUTE_MS).id);
    for (name, id) in names.into_iter().zip(ids) {
        let known = Known { id, epoch: i16::MAX - 3, ..Known::default() };
        let at = damaged::partition_of(name);
        damaged::write(&node.address, at, &known.key(name), Some(&known.value())).unwrap();
    }
    assert_eq!(node.stop(), Some(0));
    let node = started(place);
    let producers = names.map(|name| Producer::new(&node.address, name, MINUTE_MS));
    (node, producers)
}

#[test]
fn after_the_last_epoch_comes_another_producer_id() {
    let place = Place::new();
    let (mut node, [new, old]) = aged(&place, ["new", "old"]);
    epochs_end(&node.address, "t", new);
    node.assert_alive("the last epoch");
    assert_eq!(node.create_topic("u", 1, &[]), 0);
    epochs_end_of_old(&node.address, "u", old);
    node.assert_alive("the last epoch of the first generation");
}

const MANY: i32 = 20_000;

pub fn active(node: &Node) -> usize {
    let topic = TopicRequest { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
    let request = DescribeProducersRequest { topics: vec![topic], ..Default::default() };
    let body = node.ask(&request, 0);
    let response: DescribeProducersResponse<'_> = decoded(&body, 0);
    response.topics[0].partitions[0].active_producers.len()
}

/// The most memory after the first batches.
fn write_to(node: &Node, time: i64) -> u64 {
    let mut before = 0;
    write_many(&node.address, MANY, time, || before = node.peak_bytes());
    before
}

#[test]
fn many_producers_take_little_memory_and_are_forgotten() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let many = usize::try_from(MANY).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let before = write_to(&node, i64::try_from(now).unwrap());
    assert_eq!(active(&node), many);
    let grown = node.peak_bytes().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes for {MANY} producers");
    node.assert_alive("many producers");
    assert_eq!(node.stop(), Some(0));
    // They are known again from the snapshot.
    let node = started(&place);
    assert_eq!(active(&node), many);
    assert_eq!(node.stop(), Some(0));
    let short = [
        ("producer.id.expiration.ms", "1000"),
        ("producer.id.expiration.check.interval.ms", "200"),
    ];
    let place = Place::new();
    let mut node = Node::start_with(&place.data, &[&SETTINGS[..], &short].concat());
    assert_eq!(node.create_topic("t", 1, &[]), 0);
    decides(&node.address, "t", 0, &[]);
    let written = write_to(&node, 1_700_000_000_000);
    assert!(written > 0);
    let began = Instant::now();
    while active(&node) > 0 {
        assert!(began.elapsed() < WAIT_MAX, "{} stay", active(&node));
        std::thread::sleep(Duration::from_millis(50));
    }
    node.assert_alive("the end of many producers");
}
