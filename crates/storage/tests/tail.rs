//! The tail of a log: whatever it finds is what the log itself finds, and it stays what it was while the log goes on.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use base::Offset;
use common::{EPOCH, NOW, Place, append_batch, append_marker, transactional};
use storage::log::{FetchData, LogTail};
use storage::{Log, LogConfig};

const RECORDS: i64 = 3;

fn filled(place: &Place, batches: i64) -> Log {
    let mut log = place.open();
    log.assign_leader_epoch(EPOCH).unwrap();
    for n in 0..batches {
        let value = vec![7; usize::try_from(n % 5 * 40).unwrap()];
        let records: Vec<(i64, &[u8])> = (0..RECORDS).map(|_| (NOW.0, &value[..])).collect();
        append_batch(&mut log, &records, None).unwrap();
    }
    log
}

fn place_and_rest(data: &FetchData) -> (Option<(u64, u32)>, bool, usize) {
    let records = data.records.as_ref().map(|slice| (slice.position, slice.len));
    (records, data.first_batch_incomplete, data.aborted.as_ref().map_or(0, Vec::len))
}

/// How many questions the tail answers, all of them as the log does.
fn answered(log: &Log, tail: &LogTail) -> usize {
    let (start, end) = (log.start_offset().0, log.end_offset().0);
    let mut found = 0;
    for offset in start..=end {
        for upper in offset..=end {
            for (bytes, whole) in [(0, true), (1, false), (200, false), (200, true), (9000, true)] {
                let (offset, upper) = (Offset(offset), Offset(upper));
                for committed in [false, true] {
                    let Some(data) = tail.read(offset, bytes, upper, whole, committed) else {
                        continue;
                    };
                    let expected = log.read(offset, bytes, upper, whole, committed).unwrap();
                    let shown = format!("{offset} {upper} {bytes} {whole} {committed}");
                    assert_eq!(place_and_rest(&data), place_and_rest(&expected), "{shown}");
                    assert_eq!(data.start, expected.start, "{shown}");
                    found += 1;
                }
            }
        }
    }
    found
}

#[test]
fn it_finds_what_the_log_finds() {
    for (batches, segment_bytes) in [(0, 1 << 20), (5, 1 << 20), (40, 1 << 20), (40, 3000)] {
        let place = Place::new(LogConfig { segment_bytes, ..LogConfig::default() });
        let log = filled(&place, batches);
        let tail = log.tail().unwrap();
        let end = log.end_offset();
        assert!(tail.read(end, 100, end, true, true).unwrap().is_empty());
        if batches > 0 {
            let last = tail.read(end.plus(-1), 100, end, true, true).unwrap();
            assert!(!last.is_empty() && answered(&log, &tail) > 300);
        }
        if batches > 32 {
            assert!(tail.read(Offset::ZERO, 100, end, true, false).is_none(), "too far back");
        }
    }
}

#[test]
fn it_stays_as_it_was() {
    let place = Place::new(LogConfig::default());
    let mut log = filled(&place, 10);
    let (tail, end) = (log.tail().unwrap(), log.end_offset());
    append_batch(&mut log, &[(NOW.0, b"more")], None).unwrap();
    let read = |upper| tail.read(Offset(27), 1 << 20, upper, true, false).unwrap();
    let expected = log.read(Offset(27), 1 << 20, end, true, false).unwrap();
    assert_eq!(place_and_rest(&read(log.end_offset())), place_and_rest(&expected));
    assert!(tail.read(end, 100, log.end_offset(), true, false).unwrap().is_empty());
}

#[test]
fn it_leaves_aborted_transactions_to_the_log() {
    let place = Place::new(LogConfig::default());
    let mut log = filled(&place, 2);
    let producer = transactional(9, 0, 0);
    append_batch(&mut log, &[(NOW.0, b"undecided")], producer).unwrap();
    append_marker(&mut log, producer.unwrap(), false, 0).unwrap();
    let (tail, end) = (log.tail().unwrap(), log.end_offset());
    let last = end.plus(-1);
    assert!(tail.read(last, 100, end, true, true).is_none());
    assert!(!tail.read(last, 100, end, true, false).unwrap().is_empty());
}
