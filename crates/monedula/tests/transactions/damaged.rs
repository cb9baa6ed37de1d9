//! Records in `__transaction_state` that no coordinator wrote, as administrators can write them.

use std::collections::BTreeMap;

use base::PartitionIndex;
use protocol::ErrorCode;
use protocol::coordinator_records::transaction_log_key::TransactionLogKey;
use protocol::coordinator_records::transaction_log_value::{PartitionsSchema, TransactionLogValue};
use protocol::coordinator_records::{encode_key, encode_value};
use protocol::messages::produce_response::ProduceResponse;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, encode_to_vec};
use records::{BatchBuilder, Compression};

use crate::common::{Peer, Place, Reaction, decoded, frame, produce_request};
use crate::limits::init;
use crate::producer::{Producer, checked, decides, leader, patiently, state};
use crate::single::{MINUTE_MS, started, with_topic};

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
    let hash = name
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    PartitionIndex((hash & i32::MAX) % PARTITIONS).get()
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
        let refused = init(&node.address, &names[&at], (-1, -1));
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
