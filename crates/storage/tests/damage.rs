//! Damaged, missing and left-over files: repaired, or refused with the file's name, never served.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use base::{LeaderEpoch, Offset};
use common::*;
use storage::{Log, LogConfig, LogError};

const RECORDS: i64 = 60;

/// A log of several segments, closed.
fn written() -> (Place, Vec<(i64, i64, Vec<u8>)>) {
    let mut place = Place::new(LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        ..LogConfig::default()
    });
    let mut log = place.open();
    for n in 0..RECORDS {
        append(&mut log, NOW.0 + n, format!("value {n}").as_bytes());
    }
    let expected = read_all(&log, 0);
    assert!(log.segment_count() > 3);
    let log = place.reopen_clean(log);
    drop(log);
    (place, expected)
}

fn names(place: &Place, suffix: &str) -> Vec<String> {
    place.names().into_iter().filter(|name| name.ends_with(suffix)).collect()
}

fn check_all(log: &Log, expected: &[(i64, i64, Vec<u8>)], context: &str) {
    for from in [0, 17, 31, 59] {
        assert_eq!(read_all(log, from), expected[from as usize..], "{context}, from {from}");
    }
    for time in [0, 5, 33, 59] {
        let found = log.offset_for_timestamp(NOW.0 + time).unwrap().unwrap();
        assert_eq!(found.offset.0, time, "{context}, time {time}");
    }
}

#[test]
fn missing_and_corrupt_indexes_are_rebuilt() {
    type Damage = fn(&[u8]) -> Option<Vec<u8>>;
    let damages: [(&str, Damage); 6] = [
        ("missing", |_| None),
        ("empty", |_| Some(Vec::new())),
        ("of odd length", |bytes| Some(bytes[..bytes.len().saturating_sub(3)].to_vec())),
        ("zeros", |bytes| Some(vec![0; bytes.len()])),
        ("rubbish", |bytes| Some(vec![0x33; bytes.len()])),
        ("too long", |bytes| Some([bytes, &[0; 240][..]].concat())),
    ];
    for suffix in [".index", ".timeindex"] {
        for (name, damage) in damages {
            for clean in [true, false] {
                let (mut place, expected) = written();
                for file in names(&place, suffix) {
                    let path = place.file(&file);
                    match damage(&std::fs::read(&path).unwrap()) {
                        Some(bytes) => std::fs::write(path, bytes).unwrap(),
                        None => std::fs::remove_file(path).unwrap(),
                    }
                }
                place.options.clean = clean;
                let mut log = place.open();
                log.set_high_watermark(log.end_offset());
                let context = format!("{suffix} {name}, clean {clean}");
                assert_eq!(read_all(&log, 0), expected, "{context}");
                check_all(&log, &expected, &context);
                // What reads found to be wrong is repaired with the next retention pass.
                assert_eq!(log.delete_old_segments(NOW).unwrap(), 0, "{context}");
                check_all(&log, &expected, &context);
            }
        }
    }
}

#[test]
fn what_lies_around_is_tidied_up() {
    let (place, expected) = written();
    let rubbish = [
        "00000000000000000003.log.deleted",
        "00000000000000000003.index.deleted",
        "00000000000000000007.log.cleaned",
        "00000000000000000009.timeindex.cleaned",
        "00000000000000000012.log.swap",
        "00000000000000000777.index",
        "00000000000000000778.txnindex",
        "00000000000000000779.snapshot",
    ];
    for name in rubbish {
        std::fs::write(place.file(name), b"rubbish").unwrap();
    }
    // Not ours to judge.
    let strangers = ["partition.metadata", "notes.txt", "00000000000000000003.checkpoint.deleted"];
    for name in strangers {
        std::fs::write(place.file(name), b"something").unwrap();
    }
    let log = place.open();
    assert_eq!(read_all(&log, 0), expected);
    let left = place.names();
    for name in rubbish {
        assert!(!left.contains(&name.to_owned()), "{name}");
    }
    for name in strangers {
        assert!(left.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn an_interrupted_swap_is_finished() {
    let (place, expected) = written();
    // A cleaner has merged the first two segments and crashed before it removed them.
    let bases: Vec<String> = names(&place, ".log");
    let merged: Vec<u8> =
        bases[..2].iter().flat_map(|name| std::fs::read(place.file(name)).unwrap()).collect();
    std::fs::write(place.file(&format!("{}.swap", bases[0])), merged).unwrap();
    let log = place.open();
    assert_eq!(log.segment_count(), bases.len() - 1);
    assert_eq!(read_all(&log, 0), expected);
    assert!(!place.file(&bases[1]).exists());
}

#[test]
fn a_corrupt_batch_in_flushed_data_is_an_error_to_its_readers() {
    let (mut place, expected) = written();
    let second = names(&place, ".log")[1].clone();
    let mut bytes = std::fs::read(place.file(&second)).unwrap();
    // The magic of the segment's third batch: known by the first two of equal size.
    let size = i32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize + 12;
    bytes[2 * size + 16] = 9;
    std::fs::write(place.file(&second), &bytes).unwrap();
    place.options.clean = true;
    let log = place.open();
    let base: i64 = second[..20].parse().unwrap();
    for offset in 0..base + 2 {
        let bytes = read(&log, offset, 1).unwrap().records.unwrap().read().unwrap();
        assert_eq!(records_in(&bytes), expected[offset as usize..=offset as usize]);
    }
    let error = read(&log, base + 2, 100).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains(&second), "{error}");
    assert_eq!(error.error_code(), protocol::ErrorCode::CorruptMessage);
    // The segments after it are whole.
    assert_eq!(read_all(&log, 59), expected[59..]);
}

#[test]
fn a_corrupt_end_after_a_clean_stop_is_refused() {
    let (mut place, _) = written();
    let last = names(&place, ".log").pop().unwrap();
    let mut bytes = std::fs::read(place.file(&last)).unwrap();
    let size = i32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize + 12;
    let at = bytes.len() - size + 16;
    bytes[at] = 9;
    std::fs::write(place.file(&last), &bytes).unwrap();
    place.options.clean = true;
    let error = place.try_open().err().unwrap();
    assert!(error.to_string().contains(&last), "{error}");
}

#[test]
fn bad_epoch_checkpoints_are_refused_by_name() {
    for text in
        ["1\n0\n", "0\n", "0\nx\n", "0\n2\n1 5\n", "0\n1\n1 5 7\n", "0\n1\n-1 5\n", "\u{0}\u{0}"]
    {
        let (place, _) = written();
        std::fs::write(place.file("leader-epoch-checkpoint"), text).unwrap();
        let error = place.try_open().err().unwrap_or_else(|| panic!("{text:?} was accepted"));
        assert!(error.to_string().contains("leader-epoch-checkpoint"), "{error}");
    }
    // An empty file is what a crash may leave: recovery finds the epochs in the log.
    let (mut place, _) = written();
    place.options.clean = false;
    std::fs::write(place.file("leader-epoch-checkpoint"), "").unwrap();
    assert_eq!(place.open().latest_epoch(), Some(EPOCH));
}

/// Written down for records that never reached the disk; what they had replaced is there again.
#[test]
fn an_epoch_that_begins_within_a_batch_of_an_older_one_is_none() {
    let (mut place, _) = written();
    let first = {
        let mut log = place.open();
        append_batch(&mut log, &[(NOW.0, b"a"), (NOW.0, b"b")], None).unwrap().first_offset
    };
    place.options.clean = false;
    let text = format!("0\n1\n{} {}\n", EPOCH.0 + 1, first.0 + 1);
    std::fs::write(place.file("leader-epoch-checkpoint"), text).unwrap();
    assert_eq!(place.open().latest_epoch(), Some(EPOCH));
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew() {
    let (mut place, _) = written();
    place.options.start_offset = Offset(500);
    let mut log = place.open();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(500), Offset(500)));
    assert_eq!(append(&mut log, NOW.0, b"x").first_offset, Offset(500));
    assert_eq!(log.epochs().len(), 1);
    assert_eq!(log.end_offset_for_epoch(EPOCH), Some((EPOCH, Offset(501))));
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(9)), None);
}
