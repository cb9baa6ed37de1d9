//! Records in `__transaction_state` that no coordinator wrote, as administrators can write them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base::PartitionIndex;
use protocol::ErrorCode;
use protocol::coordinator_records::transaction_log_key::TransactionLogKey;
use protocol::coordinator_records::transaction_log_value::{PartitionsSchema, TransactionLogValue};
use protocol::coordinator_records::{encode_key, encode_value};
use protocol::messages::produce_response::ProduceResponse;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, encode_to_vec};
use records::{BatchBuilder, Compression};

use crate::common::cluster::until;
use crate::common::{Node, Peer, Place, Reaction, decoded, frame, produce_request};
use crate::limits::init;
use crate::producer::{Producer, checked, decides, leader, patiently, state};
use crate::single::{MINUTE_MS, SETTINGS, started, with_topic};

const TOPIC: &str = "__transaction_state";
const PARTITIONS: i32 = 3;
const VERSION: i16 = 12;
const PREPARE_COMMIT: i8 = 2;

/// A transaction as its record says it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub id: i64,
    pub epoch: i16,
    pub status: i8,
    pub partitions: Vec<(&'static str, i32)>,
}

impl Known {
    pub fn key(&self, name: &str) -> Vec<u8> {
        encode_key(&TransactionLogKey { transactional_id: name.to_owned().into() }).unwrap()
    }

    pub fn value(&self) -> Vec<u8> {
        let topics = self.partitions.iter().map(|(topic, index)| PartitionsSchema {
            topic: (*topic).into(),
            partition_ids: vec![*index],
            ..Default::default()
        });
        let value = TransactionLogValue {
            producer_id: self.id,
            producer_epoch: self.epoch,
            transaction_timeout_ms: MINUTE_MS,
            transaction_status: self.status,
            transaction_partitions: Some(topics.collect()),
            transaction_last_update_timestamp_ms: 1_700_000_000_000,
            transaction_start_timestamp_ms: 1_700_000_000_000,
            previous_producer_id: -1,
            next_producer_id: -1,
            ..Default::default()
        };
        encode_value(&value, 1).unwrap()
    }
}

/// Where a transactional id has its records.
pub fn partition_of(name: &str) -> i32 {
    partition_of_many(name, PARTITIONS)
}

fn partition_of_many(name: &str, partitions: i32) -> i32 {
    let hash = name
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    PartitionIndex((hash & i32::MAX) % partitions).get()
}

/// Appends a record to a partition of the coordinators' log, as Kafka allows it to administrators.
pub fn write(
    seed: &str,
    partition: i32,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), ErrorCode> {
    write_as(seed, "__admin_client", partition, Some(key), value)
}

fn write_as(
    seed: &str,
    client: &str,
    partition: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), ErrorCode> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(1_700_000_000_000, key, value, &[]).unwrap();
    let batch = builder.build().unwrap();
    let header = RequestHeader {
        request_api_key: ApiKey::Produce as i16,
        request_api_version: VERSION,
        client_id: Some(client.into()),
        ..Default::default()
    };
    let mut bytes = encode_to_vec(&header, 2).unwrap();
    bytes.extend(encode_to_vec(&produce_request(TOPIC, partition, &batch), VERSION).unwrap());
    let (_, address) = patiently(|| leader(seed, TOPIC, partition)).unwrap();
    let mut peer = Peer::connect(&address);
    peer.send(&frame(&bytes));
    let Reaction::Answer(answer) = peer.reaction() else { panic!("no answer") };
    let response: ProduceResponse<'_> = decoded(&answer[5..], VERSION);
    checked(response.responses[0].partition_responses[0].error_code)
}

#[test]
fn who_may_write_to_the_coordinators_log() {
    let place = Place::new();
    let mut node = with_topic(&place);
    Producer::new(&node.address, "x", MINUTE_MS);
    let known = Known::default();
    let (key, value) = (known.key("x"), known.value());
    let write = |client, key| write_as(&node.address, client, 0, key, Some(&value));
    assert_eq!(write("someone", Some(&key)), Err(ErrorCode::InvalidTopicException));
    assert_eq!(write("__admin_client", None), Err(ErrorCode::InvalidRecord), "it is compacted");
    node.assert_alive("records in the coordinators' log");
}

#[test]
fn records_of_later_versions_are_passed_over() {
    let place = Place::new();
    let node = with_topic(&place);
    let mut open = Producer::new(&node.address, "open", MINUTE_MS);
    open.send("t", 0, &["a"]).unwrap();
    let known = Known { id: 4_000, ..Known::default() };
    let at = partition_of("open");
    let later = [&[0, 99], &known.value()[2..]].concat();
    write(&node.address, at, &[0, 77, 1, 2, 3], Some(b"of another kind")).unwrap();
    write(&node.address, at, &[0, 77], None).unwrap();
    write(&node.address, at, &known.key("open"), Some(&later)).unwrap();
    // Decided, with partitions that there are no more, or never were.
    let gone = Known {
        status: PREPARE_COMMIT,
        partitions: vec![("nosuch", 0), ("t", 7), ("t", -1), ("t", 1)],
        ..known.clone()
    };
    write(&node.address, partition_of("gone"), &gone.key("gone"), Some(&gone.value())).unwrap();
    node.kill();
    let mut node = started(&place);
    open.moved_to(&node.address);
    assert_eq!(state(&node.address, "open"), "Ongoing");
    open.end(true).unwrap();
    decides(&node.address, "t", 0, &["a"]);
    crate::common::cluster::until("it is complete", || {
        state(&node.address, "gone") == "CompleteCommit"
    });
    decides(&node.address, "t", 1, &[]);
    let log = node.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("skipped=3")).collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains(&format!("__transaction_state-{at}")), "{said:?}");
    node.assert_alive("records of later versions");
}

/// Of each kind one in a partition of its own: ids there have no coordinator, all others do, and the log stays as it was.
#[test]
fn a_log_that_cannot_be_read_is_not_served_and_said_once() {
    let place = Place::new();
    let node = with_topic(&place);
    let names: BTreeMap<i32, String> =
        (0..100).map(|n| format!("id-{n}")).map(|name| (partition_of(&name), name)).collect();
    assert_eq!(names.len(), 3);
    for name in names.values() {
        let mut producer = Producer::new(&node.address, name, MINUTE_MS);
        producer.send("t", 0, &[name]).unwrap();
    }
    let known = Known { status: 55, ..Known::default() };
    let cut = [0, 1, 0];
    write(&node.address, 0, &known.key("cut"), Some(&cut)).unwrap();
    write(&node.address, 1, &known.key("unknown status"), Some(&known.value())).unwrap();
    node.kill();
    let mut node = started(&place);
    assert_eq!(state(&node.address, &names[&2]), "Ongoing");
    for at in [0, 1] {
        let refused = init_once_loaded(&node, &names[&at]);
        assert_eq!(refused, Err(ErrorCode::NotCoordinator));
    }
    let log = node.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(said.len(), 2, "{log}");
    for (line, partition) in
        said.into_iter().zip(["__transaction_state-0", "__transaction_state-1"])
    {
        assert!(line.contains("the record at offset 2 cannot be read"), "{line}");
        assert!(log.contains(partition), "{line}");
    }
    node.assert_alive("records that cannot be read");
}

/// Of the coordinators' log, in the tests of damaged files.
const FILES: i32 = 12;
/// Of these the files stay as they are.
const INTACT: std::ops::Range<i32> = 9..FILES;

fn started_with_many(place: &Place) -> Node {
    let count = FILES.to_string();
    let mut settings = SETTINGS;
    for setting in &mut settings {
        if setting.0 == "transaction.state.log.num.partitions" {
            setting.1 = &count;
        }
    }
    Node::start_with(&place.data, &settings)
}

/// In each partition of the coordinators' log an open transaction.
fn open_everywhere(node: &Node) -> BTreeMap<i32, Producer> {
    assert_eq!(node.create_topic("t", 1, &[]), 0);
    let mut producers = BTreeMap::new();
    for name in (0..1_000).map(|n| format!("id-{n}")) {
        let at = partition_of_many(&name, FILES);
        if let Entry::Vacant(vacant) = producers.entry(at) {
            let mut producer = Producer::new(&node.address, &name, MINUTE_MS);
            producer.send("t", 0, &[&name]).unwrap();
            vacant.insert(producer);
        }
    }
    assert_eq!(producers.len(), 12);
    producers
}

fn damage(place: &Place, partition: i32, damage: impl FnOnce(&mut Vec<u8>)) {
    let directory = place.data.join(format!("{TOPIC}-{partition}"));
    let path = directory.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    damage(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// What InitProducerId is answered when the log was read, or could not be.
fn init_once_loaded(node: &Node, name: &str) -> Result<(i64, i16), ErrorCode> {
    let mut answer = Err(ErrorCode::CoordinatorLoadInProgress);
    until("the log is read", || {
        answer = init(&node.address, name, (-1, -1));
        let loads = [ErrorCode::CoordinatorLoadInProgress, ErrorCode::CoordinatorNotAvailable];
        !answer.is_err_and(|error| loads.contains(&error))
    });
    answer
}

/// The node serves what was not damaged, and has an answer for the rest: the ids that have no coordinator.
fn serves_the_rest(node: &mut Node, producers: BTreeMap<i32, Producer>) -> Vec<i32> {
    let mut without = Vec::new();
    for (at, mut producer) in producers {
        producer.moved_to(&node.address);
        if INTACT.contains(&at) {
            assert_eq!(state(&node.address, &producer.name), "Ongoing", "partition {at}");
            producer.end(true).unwrap();
        } else if init_once_loaded(node, &producer.name) == Err(ErrorCode::NotCoordinator) {
            without.push(at);
        }
    }
    node.assert_alive("damaged files of the coordinators' log");
    let log = node.log();
    for partition in 0..FILES {
        let name = format!("{TOPIC}-{partition}");
        let is_said = |line: &str| line.contains("cannot be loaded") && line.ends_with(&name);
        let said = log.lines().filter(|line| is_said(line)).count();
        assert_eq!(said, usize::from(without.contains(&partition)), "{partition}\n{log}");
    }
    without
}

/// After a crash recovery keeps what is whole, and the coordinators go on from there.
#[test]
fn files_of_the_coordinators_log_that_a_crash_has_damaged() {
    let place = Place::new();
    let node = started_with_many(&place);
    let producers = open_everywhere(&node);
    node.kill();
    let damages: [fn(&mut Vec<u8>); 9] = [
        |bytes| bytes[0] ^= 1,
        |bytes| bytes[30] ^= 1,
        |bytes| *bytes.iter_mut().nth_back(0).unwrap() ^= 1,
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.truncate(bytes.len() - 1),
        Vec::clear,
        |bytes| bytes.fill(0),
        |bytes| bytes.fill(0xff),
        |bytes| bytes.extend([7; 100]),
    ];
    for (partition, how) in (0..).zip(damages) {
        damage(&place, partition, how);
    }
    let mut node = started_with_many(&place);
    assert_eq!(serves_the_rest(&mut node, producers), []);
    assert_eq!(node.stop(), Some(0));
}

/// The records of the last batch say something else, under a checksum that is right; in one file the first batch has a wrong one.
#[test]
fn files_of_the_coordinators_log_that_say_something_else() {
    let place = Place::new();
    let node = started_with_many(&place);
    let producers = open_everywhere(&node);
    assert_eq!(node.stop(), Some(0));
    for partition in 0..8 {
        damage(&place, partition, |bytes| {
            let last = last_batch(bytes);
            let records = last.len() - HEADER_LEN;
            last[HEADER_LEN + records * usize::try_from(partition).unwrap() / 8] ^= 0xff;
            let crc = records::crc::crc32c(&last[CRC_FROM..]);
            last[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        });
    }
    damage(&place, 8, |bytes| bytes[HEADER_LEN + 5] ^= 1);
    let mut node = started_with_many(&place);
    let without = serves_the_rest(&mut node, producers);
    assert!(without.contains(&8) && without.len() > 2, "{without:?}");
    assert_eq!(node.stop(), Some(0));
}

const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
const HEADER_LEN: usize = 61;

fn last_batch(bytes: &mut [u8]) -> &mut [u8] {
    let mut at = 0;
    loop {
        let length = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        let next = at + 12 + usize::try_from(length).unwrap();
        if next == bytes.len() {
            return &mut bytes[at..];
        }
        at = next;
    }
}
