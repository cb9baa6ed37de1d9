//! Directories that Apache Kafka wrote: opened, recovered, compared with what Kafka answered, and written again by us
//! from the same batches, byte for byte.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use std::path::{Path, PathBuf};

use base::{LeaderEpoch, Offset, TopicPartition, WallMs};
use common::{Place, records_in};
use records::Batches;
use storage::log::OpenOptions;
use storage::{Log, LogConfig};

/// After the fixtures were made.
const NOW: WallMs = WallMs(1_795_257_000_000);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kafka-4.4").join(name)
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 6000,
        segment_index_bytes: 2048,
        index_interval_bytes: 400,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// A copy of a fixture's log, opened.
fn open(name: &str, clean: bool, recovery_point: i64) -> (Place, Log) {
    let mut place = Place::new(config());
    std::fs::create_dir(place.dir()).unwrap();
    for entry in std::fs::read_dir(fixture(name).join("fix-0")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), place.dir().join(entry.file_name())).unwrap();
    }
    let mut options: OpenOptions = place.options.clone();
    options.clean = clean;
    options.recovery_point = Offset(recovery_point);
    options.producers.id_expiration_ms = i64::MAX;
    place.options = options.clone();
    let name = TopicPartition::new("topic", 0);
    let mut log = Log::open(&place.pool, place.dir(), name, options, NOW).unwrap();
    log.set_high_watermark(log.end_offset());
    (place, log)
}

/// What Kafka wrote down, in our words.
fn describe(log: &Log, expected: &str) -> String {
    let mut out = String::new();
    let mut records = Vec::new();
    let mut next = 0;
    while next < log.end_offset().0 {
        let data = log.read(Offset(next), 500, log.end_offset(), true, false).unwrap();
        let bytes = data.records.unwrap().read().unwrap();
        for batch in Batches::new(&bytes).map(Result::unwrap) {
            next = batch.last_offset().0 + 1;
            if !batch.is_control() {
                let epoch = batch.partition_leader_epoch();
                let txn = batch.is_transactional().then(|| batch.producer_id());
                let found = records_in(batch.bytes());
                records.extend(found.into_iter().map(|record| (record, epoch, txn)));
            }
        }
    }
    out += &format!("end read_uncommitted {}\n", log.end_offset());
    for ((offset, time, value), epoch, _) in &records {
        let value = String::from_utf8_lossy(value);
        out += &format!("record {offset} {time} {epoch} {value}\n");
    }
    let stable = log.last_stable_offset();
    out += &format!("end read_committed {stable}\n");
    let aborted =
        log.read(Offset(0), u32::MAX, stable, true, true).unwrap().aborted.unwrap_or_default();
    let all = log.aborted_transactions(Offset(0), stable).unwrap();
    assert!(aborted.iter().all(|txn| all.contains(txn)));
    for ((offset, ..), _, txn) in &records {
        let is_aborted = all.iter().any(|a| {
            Some(a.producer_id) == *txn && (a.first_offset..=a.last_offset).contains(offset)
        });
        if *offset < stable.0 && !is_aborted {
            out += &format!("committed {offset}\n");
        }
    }
    for line in expected.lines().filter(|line| line.starts_with("at ")) {
        let time = line.split(' ').nth(1).unwrap().parse().unwrap();
        let found = log.offset_for_timestamp(time).unwrap();
        // The broker answers a consumer without transactions up to its high watermark.
        out += &match found {
            Some(f) => format!("at {time} {} {} {}\n", f.offset, f.timestamp, f.leader_epoch),
            None => format!("at {time} -1 -1 -1\n"),
        };
    }
    let max = log.offset_of_max_timestamp().unwrap().unwrap();
    out += &format!("max {} {} {}\n", max.offset, max.timestamp, max.leader_epoch);
    let earliest = log.earliest();
    out += &format!("earliest {} -1 {}\n", earliest.offset, earliest.leader_epoch);
    let mut producers = log.active_producers();
    producers.sort_by_key(|producer| producer.producer_id);
    for p in producers {
        out += &format!(
            "producer {} {} {} {} {} {}\n",
            p.producer_id,
            p.producer_epoch,
            p.last_sequence,
            p.last_timestamp,
            p.coordinator_epoch,
            p.txn_start_offset.unwrap_or(Offset::NONE)
        );
    }
    out
}

fn check(name: &str, clean: bool, recovery_point: i64) {
    let expected = std::fs::read_to_string(fixture(name).join("expected.txt")).unwrap();
    let (_place, log) = open(name, clean, recovery_point);
    let found = describe(&log, &expected);
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[test]
fn a_cleanly_stopped_log_answers_as_kafka_did() {
    check("clean", true, 319);
}

#[test]
fn a_killed_log_answers_as_kafka_did() {
    check("unclean", false, 212);
}

#[test]
fn a_log_without_checkpoints_answers_as_kafka_did() {
    check("unclean", false, 0);
    check("clean", false, 0);
}

/// Appends the batches of a fixture one by one, as a follower receives them.
fn write_again(name: &str) -> (Place, Log) {
    let (_theirs, log) = open(name, true, 0);
    let place = Place::new(config());
    let mut copy = place.open();
    let mut next = 0;
    while next < log.end_offset().0 {
        let data = log.read(Offset(next), 1, log.end_offset(), true, false).unwrap();
        let batch = data.records.unwrap().read().unwrap();
        copy.append_as_follower(&batch, LeaderEpoch(0), NOW).unwrap();
        next = copy.end_offset().0;
    }
    (place, copy)
}

#[test]
fn the_same_batches_give_the_same_files() {
    let (place, mut copy) = write_again("clean");
    copy.close(NOW).unwrap();
    let theirs = fixture("clean").join("fix-0");
    let mut compared = 0;
    for entry in std::fs::read_dir(&theirs).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The topic's id is not the log's.
        if name == "partition.metadata" {
            continue;
        }
        let expected = std::fs::read(theirs.join(&name)).unwrap();
        let found =
            std::fs::read(place.file(&name)).unwrap_or_else(|_| panic!("{name} is missing"));
        assert!(found == expected, "{name} differs:\n{found:?}\n{expected:?}");
        compared += 1;
    }
    assert_eq!(place.names().len(), compared);
    assert_eq!(compared, 14);
}
