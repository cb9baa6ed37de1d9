//! Batches and markers that belong to no transaction: of others, of nobody, against what the request says. Nothing of them is written.

use base::{ProducerEpoch, ProducerId};
use protocol::ErrorCode;
use protocol::messages::produce_response::ProduceResponse;
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use protocol::messages::write_txn_markers_response::WriteTxnMarkersResponse;
use records::{BatchBuilder, Compression};

use crate::common::{Peer, Place, decoded, produce_request};
use crate::producer::{Producer, checked, committed, decides, leader, patiently, state};
use crate::single::{MINUTE_MS, with_topic};

/// What a batch says of itself.
#[derive(Clone, Copy)]
pub struct Said {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub transactional: bool,
    pub control: bool,
}

impl Said {
    /// By a producer in its transaction.
    pub fn by(producer: &Producer, sequence: i32) -> Self {
        let (id, epoch) = (producer.id, producer.epoch);
        Self { id, epoch, sequence, transactional: true, control: false }
    }

    pub fn batch(self, values: &[&str]) -> Vec<u8> {
        self.batch_at(1_700_000_000_000, values)
    }

    pub fn batch_at(self, time: i64, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None).producer(
            ProducerId(self.id),
            ProducerEpoch(self.epoch),
            self.sequence,
        );
        if self.transactional {
            builder = builder.transactional();
        }
        if self.control {
            builder = builder.control();
        }
        for value in values {
            let key = self.control.then_some(&[0, 0, 0, 1][..]);
            builder.append(time, key, Some(value.as_bytes()), &[]).unwrap();
        }
        builder.build().unwrap()
    }
}

/// One batch in one request; the offset it gets.
pub fn write(
    seed: &str,
    version: i16,
    transactional_id: Option<&str>,
    (topic, partition): (&str, i32),
    batch: &[u8],
) -> Result<i64, ErrorCode> {
    let mut request = produce_request(topic, partition, batch);
    request.transactional_id = transactional_id.map(|id| id.to_owned().into());
    let address = patiently(|| leader(seed, topic, partition)).unwrap().1;
    let body = Peer::connect(&address).call(&request, version);
    let response: ProduceResponse<'_> = decoded(&body, version);
    let answer = &response.responses[0].partition_responses[0];
    checked(answer.error_code).map(|()| answer.base_offset)
}

/// A producer's wrong batches, and what it is told when partitions were to be added first, and when they need not.
fn rows(producer: &Producer) -> [(&'static str, Option<&str>, Said, [ErrorCode; 2]); 17] {
    use ErrorCode::{
        InvalidProducerEpoch as Epoch, InvalidProducerIdMapping as Mapping, InvalidRecord,
        InvalidRequest, None as Taken, OutOfOrderSequenceNumber as Sequence,
        TransactionAbortable as Abortable, TransactionalIdAuthorizationFailed as Authorization,
    };
    let right = Said::by(producer, 0);
    let none = Said { id: -1, epoch: -1, sequence: -1, ..right };
    let name = Some(&*producer.name);
    [
        ("nobody's request", None, right, [Authorization; 2]),
        ("nobody's request and batch", None, none, [Authorization; 2]),
        ("another's request", Some("nosuch"), right, [Mapping; 2]),
        ("an empty name", Some(""), right, [InvalidRequest; 2]),
        // As Kafka does: no producer, no transaction to be part of.
        ("transactional without a producer", name, none, [Taken; 2]),
        ("a negative producer", name, Said { id: -7, ..right }, [Taken; 2]),
        ("a foreign producer", name, Said { id: producer.id + 1_000_000, ..right }, [Mapping; 2]),
        ("an older epoch", name, Said { epoch: right.epoch - 1, ..right }, [Epoch; 2]),
        ("a newer epoch", name, Said { epoch: right.epoch + 1, ..right }, [Epoch; 2]),
        ("the last epoch", name, Said { epoch: i16::MAX, ..right }, [Epoch; 2]),
        ("a negative epoch", name, Said { epoch: -1, ..right }, [Epoch; 2]),
        ("sequence -1", name, Said { sequence: -1, ..right }, [Abortable, InvalidRecord]),
        (
            "the least sequence",
            name,
            Said { sequence: i32::MIN, ..right },
            [Abortable, InvalidRecord],
        ),
        ("a gap at the start", name, Said { sequence: 5, ..right }, [Abortable, Sequence]),
        ("a marker", name, Said { control: true, ..right }, [Abortable, InvalidRecord]),
        (
            "a marker as they are",
            name,
            Said { control: true, sequence: -1, ..right },
            [Abortable, InvalidRecord],
        ),
        (
            "nobody's marker",
            None,
            Said { control: true, transactional: false, ..none },
            [InvalidRecord; 2],
        ),
    ]
}

/// Markers that clients make up: producer, epoch, partition, coordinator's epoch, version of the transaction; in this order.
type Marker = (i64, i16, i32, i32, i8);

fn mark(seed: &str, version: i16, topic: &str, marker: Marker) -> ErrorCode {
    let (producer_id, producer_epoch, partition, coordinator_epoch, transaction_version) = marker;
    let marker = WritableTxnMarker {
        producer_id,
        producer_epoch,
        topics: vec![WritableTxnMarkerTopic {
            name: topic.to_owned().into(),
            partition_indexes: vec![partition],
            ..Default::default()
        }],
        coordinator_epoch,
        transaction_version,
        ..Default::default()
    };
    let request = WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() };
    let body = Peer::connect(seed).call(&request, version);
    let response: WriteTxnMarkersResponse<'_> = decoded(&body, version);
    let told = response.markers.first().map(|marker| &marker.topics[0].partitions[0]);
    told.map_or(ErrorCode::None, |told| ErrorCode::from_code(told.error_code))
}

#[test]
fn batches_of_strangers_are_refused() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let seed = &node.address;
    // The second of its name: there is an epoch before.
    Producer::new(seed, "x", MINUTE_MS);
    let producer = Producer::new(seed, "x", MINUTE_MS);
    let mut taken = 0;
    for (version, generation) in [(11, 0), (12, 1)] {
        for (what, name, said, expected) in rows(&producer) {
            let value = if said.control { "\0\0\0\0\0\0" } else { what };
            let answer = write(seed, version, name, ("t", 0), &said.batch(&[value]));
            let error = answer.err().unwrap_or(ErrorCode::None);
            assert_eq!(error, expected[generation], "{what}, version {version}");
            taken += i64::from(error.is_none());
        }
    }
    let seen = committed(seed, "t", 0);
    assert_eq!((seen.stable, seen.high_watermark), (taken, taken), "{seen:?}");
    node.assert_alive("batches of strangers");
}

/// The flag of the batch against the request, and the transaction against both.
#[test]
fn flags_that_contradict_the_request_or_the_transaction() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let seed = &node.address;
    let mut producer = Producer::new(seed, "x", MINUTE_MS);
    let inside = |sequence| Said::by(&producer, sequence);
    let outside = |sequence| Said { transactional: false, ..inside(sequence) };
    let plain = Said { id: -1, epoch: -1, sequence: -1, transactional: false, control: false };
    let no_state = Err(ErrorCode::InvalidTxnState);
    let not_allowed = Err(ErrorCode::TransactionalIdAuthorizationFailed);
    let rows = [
        (Some("x"), plain, "plain", Ok(0)),
        (Some("x"), outside(0), "idempotent", Ok(1)),
        (Some("x"), inside(1), "begun", Ok(2)),
        (Some("x"), outside(2), "never", no_state),
        (None, outside(2), "never", no_state),
        (None, inside(2), "never", not_allowed),
        (Some("x"), plain, "plain again", Ok(3)),
    ];
    for (number, (name, said, value, expected)) in rows.into_iter().enumerate() {
        let answer = write(seed, 12, name, ("t", 0), &said.batch(&[value]));
        assert_eq!(answer, expected, "row {number}, {value}");
    }
    producer.end(true).unwrap();
    decides(seed, "t", 0, &["plain", "idempotent", "begun", "plain again"]);
    let outside = Said { transactional: false, ..Said::by(&producer, 0) };
    assert_eq!(write(seed, 12, None, ("t", 0), &outside.batch(&["outside"])), Ok(5));
    decides(seed, "t", 0, &["plain", "idempotent", "begun", "plain again", "outside"]);
    node.assert_alive("contradictions");
}

/// A marker of a later coordinator's epoch lies in the log: what the one that this broker knows says is of no worth there.
#[test]
fn a_coordinator_that_another_has_replaced_is_not_believed() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let seed = &node.address;
    let producer = Producer::new(seed, "x", MINUTE_MS);
    producer.add("t", 0).unwrap();
    producer.add("t", 1).unwrap();
    assert_eq!(mark(seed, 1, "t", (producer.id, producer.epoch, 0, 1_000, 0)), ErrorCode::None);
    let batch = Said::by(&producer, 0).batch(&["a"]);
    for version in [11, 12] {
        let refused = write(seed, version, Some("x"), ("t", 0), &batch);
        assert_eq!(refused, Err(ErrorCode::NotEnoughReplicas), "version {version}");
        assert_eq!(write(seed, version, Some("x"), ("t", 1), &batch), Ok(0), "elsewhere it is");
    }
    assert_eq!(state(seed, "x"), "Ongoing");
    node.assert_alive("a coordinator that was replaced");
}

/// Without an authorizer whoever comes may write markers, as in Kafka; stale ones end nothing.
#[test]
fn markers_that_clients_make_up() {
    let place = Place::new();
    let mut node = with_topic(&place);
    let seed = &node.address;
    Producer::new(seed, "x", MINUTE_MS);
    let mut producer = Producer::new(seed, "x", MINUTE_MS);
    producer.send("t", 0, &["a"]).unwrap();
    let (id, epoch) = (producer.id, producer.epoch);
    let (stale, unknown) = (ErrorCode::InvalidProducerEpoch, ErrorCode::UnknownTopicOrPartition);
    let refused = [
        (1, "t", (id, epoch - 1, 0, 0, 0), stale),
        (2, "t", (id, epoch - 1, 0, 0, 1), stale),
        (2, "t", (id, epoch, 0, 0, 2), stale),
        (2, "t", (id, epoch, 7, 0, 2), unknown),
        (2, "t", (id, epoch, -1, 0, 2), unknown),
        (1, "nosuch", (id, epoch, 0, 0, 0), unknown),
        (1, "__consumer_offsets", (id, epoch, 999, 0, 0), unknown),
        (1, "", (id, epoch, 0, 0, 0), unknown),
    ];
    let nobodys = [(-1, 0, 0, 0, 0), (-1, -1, 0, 0, 2), (id, -1, 0, 0, 0), (id, epoch, 0, 0, -1)]
        .map(|marker| (2, "t", marker, ErrorCode::UnknownServerError));
    for (version, topic, marker, expected) in refused.into_iter().chain(nobodys) {
        assert_eq!(mark(seed, version, topic, marker), expected, "{topic} {marker:?}");
    }
    let seen = committed(seed, "t", 0);
    assert_eq!((seen.stable, seen.high_watermark), (0, 1), "nothing ended it");
    assert_eq!(state(seed, "x"), "Ongoing");
    // Of a producer that never wrote here; of the coordinator before; of an epoch before.
    let other = id + 1_000_000;
    let fenced = ErrorCode::TransactionCoordinatorFenced;
    assert_eq!(mark(seed, 1, "t", (other, 3, 0, i32::MIN, 0)), fenced);
    assert_eq!(mark(seed, 1, "t", (other, 3, 0, 9, 0)), ErrorCode::None);
    assert_eq!(mark(seed, 1, "t", (other, 3, 0, 8, 0)), fenced);
    assert_eq!(mark(seed, 1, "t", (other, 2, 0, 9, 0)), stale);
    producer.end(true).unwrap();
    decides(seed, "t", 0, &["a"]);
    node.assert_alive("markers of clients");
}
