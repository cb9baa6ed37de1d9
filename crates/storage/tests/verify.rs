//! Looking for damage: nothing is found in what was written, and every flipped bit is found.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use std::path::{Path, PathBuf};

use base::{NodeId, Offset, TopicPartition, Uuid};
use common::look::{dress, look};
use common::*;
use storage::dirs::{MetaProperties, Offsets, checkpoint, clean_shutdown};
use storage::verify::Severity;
use storage::{LogConfig, RealDisk};

/// A directory with one log: small segments, idempotent and transactional producers, committed, aborted and open ones.
fn written() -> Place {
    let mut place = Place::new(LogConfig {
        segment_bytes: 500,
        index_interval_bytes: 150,
        ..LogConfig::default()
    });
    let mut log = place.open();
    let put = |log: &mut storage::Log, time: i64, producer: Option<Producer>| {
        let records: [(i64, &[u8]); 2] = [(NOW.0 + time, b"one"), (NOW.0 + time - 3, b"two")];
        append_batch(log, &records, producer).unwrap();
    };
    for n in 0..4 {
        put(&mut log, n * 10, None);
        put(&mut log, n * 10 + 1, idempotent(7, 0, n as i32 * 2));
        let txn = transactional(8, 0, n as i32 * 2);
        put(&mut log, n * 10 + 2, txn);
        put(&mut log, n * 10 + 5, transactional(9, 1, n as i32 * 2));
        append_marker(&mut log, txn.unwrap(), n % 2 == 0, 3).unwrap();
    }
    append_marker(&mut log, transactional(9, 1, 0).unwrap(), false, 3).unwrap();
    put(&mut log, 100, transactional(8, 0, 8));
    assert!(log.segment_count() > 3);
    let log = place.reopen_clean(log);
    dress(&place, &log);
    drop(log);
    place
}

fn files(place: &Place, suffix: &str) -> Vec<PathBuf> {
    let names = place.names().into_iter().filter(|name| name.ends_with(suffix));
    names.map(|name| place.file(&name)).collect()
}

#[test]
fn nothing_is_found_in_what_was_written() {
    let place = written();
    assert_eq!(look(place.root.path()), []);
    // Nor after a stop that was not clean.
    std::fs::remove_file(place.root.path().join(clean_shutdown::FILE_NAME)).unwrap();
    assert_eq!(look(place.root.path()), []);
}

/// Flips each bit of a file; those that nobody finds to be wrong, or worth a note when that is enough.
fn unfound(place: &Place, path: &Path, step: usize, enough: Severity) -> Vec<String> {
    let whole = std::fs::read(path).unwrap();
    let mut unfound = Vec::new();
    for bit in (0..whole.len() * 8).step_by(step) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(path, &bytes).unwrap();
        let found = look(place.root.path());
        if found.iter().all(|finding| finding.severity < enough) {
            unfound.push(format!("{} byte {} bit {}", path.display(), bit / 8, bit % 8));
        }
    }
    std::fs::write(path, &whole).unwrap();
    unfound
}

#[test]
fn every_flipped_bit_of_a_segment_is_found() {
    let place = written();
    for (n, path) in files(&place, ".log").iter().enumerate() {
        let step = if n == 1 { 1 } else { 29 };
        assert_eq!(unfound(&place, path, step, Severity::Damage), Vec::<String>::new());
    }
    assert_eq!(look(place.root.path()), []);
}

#[test]
fn every_flipped_bit_of_an_index_is_found() {
    let place = written();
    // An entry of the offset index that leads to an earlier batch than it could is right, and told as a note.
    for suffix in [".index", ".timeindex", ".txnindex"] {
        let files = files(&place, suffix);
        assert!(!files.is_empty());
        for (n, path) in files.iter().enumerate() {
            let step = if n == 0 { 1 } else { 11 };
            assert_eq!(unfound(&place, path, step, Severity::Note), Vec::<String>::new());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_producer_snapshot_is_found() {
    let place = written();
    for path in files(&place, ".snapshot") {
        assert_eq!(unfound(&place, &path, 5, Severity::Repairable), Vec::<String>::new());
    }
}

/// Damages that leave nothing of a file, or too much.
const DAMAGES: [(&str, fn(&mut Vec<u8>)); 5] = [
    ("cut", |bytes| bytes.truncate(bytes.len() * 2 / 3)),
    ("zeros", |bytes| bytes.fill(0)),
    ("rubbish", |bytes| bytes.fill(0x5a)),
    ("a tail of rubbish", |bytes| bytes.extend([0x5a; 91])),
    ("a tail of zeros", |bytes| bytes.extend([0; 91])),
];

#[test]
fn files_that_are_cut_or_overwritten_are_found() {
    let place = written();
    let mut paths: Vec<PathBuf> = place.names().iter().map(|name| place.file(name)).collect();
    let beside = [
        checkpoint::RECOVERY_POINTS,
        checkpoint::HIGH_WATERMARKS,
        checkpoint::LOG_STARTS,
        "meta.properties",
    ];
    paths.extend(beside.map(|name| place.root.path().join(name)));
    for path in paths {
        let whole = std::fs::read(&path).unwrap();
        for (name, damage) in DAMAGES {
            let mut bytes = whole.clone();
            damage(&mut bytes);
            // Java reads over bytes behind the last line of its properties.
            if bytes == whole || (path.ends_with("meta.properties") && name.contains("tail")) {
                continue;
            }
            std::fs::write(&path, &bytes).unwrap();
            let found = look(place.root.path());
            let wrong = found.iter().any(|finding| finding.severity > Severity::Note);
            assert!(wrong, "{} {name}: {found:?}", path.display());
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert_eq!(look(place.root.path()), []);
}

#[test]
fn missing_files_are_found() {
    let place = written();
    for name in place.names() {
        let path = place.file(&name);
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let found = look(place.root.path());
        // A snapshot of producers may go at any time, and so may an index of aborted transactions of which there are none.
        let may_miss =
            name.ends_with(".snapshot") || (name.ends_with(".txnindex") && whole.is_empty());
        let wrong = found.iter().any(|finding| finding.severity > Severity::Note);
        assert!(wrong || may_miss, "{name}: {found:?}");
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn much_damage_gives_few_findings() {
    let place = written();
    for path in files(&place, ".log") {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.iter_mut().step_by(64).for_each(|byte| *byte ^= 0x10);
        std::fs::write(&path, bytes).unwrap();
    }
    let found = look(place.root.path());
    assert!(found.len() > 5 && found.len() < 400, "{}", found.len());
}

/// A directory that Apache Kafka wrote, with its recovery point where it was stopped or killed.
fn of_kafka(name: &str, clean: bool, end: i64) -> tempfile::TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kafka-4.4").join(name);
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("fix-0")).unwrap();
    for entry in std::fs::read_dir(from.join("fix-0")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), root.path().join("fix-0").join(entry.file_name())).unwrap();
    }
    MetaProperties::new("cluster", NodeId(1), Uuid([9; 16]))
        .write(&RealDisk, root.path(), NOW)
        .unwrap();
    if clean {
        clean_shutdown::write(&RealDisk, root.path(), base::BrokerEpoch(5)).unwrap();
    }
    let offsets: Offsets = [(TopicPartition::new("fix", 0), Offset(end))].into_iter().collect();
    for file in [checkpoint::RECOVERY_POINTS, checkpoint::HIGH_WATERMARKS] {
        checkpoint::write_offsets(&RealDisk, &root.path().join(file), &offsets).unwrap();
    }
    root
}

#[test]
fn nothing_is_found_in_what_kafka_wrote() {
    for (name, clean, end) in [("clean", true, 319), ("unclean", false, 200)] {
        let root = of_kafka(name, clean, end);
        assert_eq!(look(root.path()), [], "{name}");
    }
}
