//! Cleaning a compacted log: what stays, what goes, when, and what the log knows afterwards.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use base::{Offset, WallMs};
use common::keyed::*;
use common::*;
use parking_lot::RwLock;
use records::batch::Attributes;
use records::{Batches, Compression};
use storage::Log;
use storage::log::cleaning::{CleanError, CleanRequest, KeyMap, clean};

/// Each of these in a batch of its own, then a new segment.
fn fill(log: &mut Log, records: &[Keyed]) {
    for record in records {
        append_keyed(log, std::slice::from_ref(record), Compression::None, None).unwrap();
    }
    log.roll(NOW).unwrap();
    run_work(log);
}

fn offsets(log: &Log) -> Vec<i64> {
    consume(log, true).into_iter().map(|(offset, ..)| offset).collect()
}

#[test]
fn the_newest_record_of_each_key_stays() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    fill(&mut log, &[keyed("a", "1"), keyed("b", "1"), keyed("a", "2")]);
    fill(&mut log, &[keyed("c", "1"), keyed("a", "3")]);
    append_keyed(&mut log, &[keyed("b", "active")], Compression::None, None).unwrap();
    let (log, stats) = cleaned(log, Pass::from(0));
    assert_eq!(offsets(&log), [1, 3, 4, 5], "the active segment does not count");
    assert_eq!(stats.upto, Offset(5));
    assert_eq!((stats.segments_read, stats.segments_written), (2, 1));
    assert_eq!((stats.records_read, stats.records_written), (5, 3));
    assert_eq!(log.segment_base_offsets(), [Offset(0), Offset(5)]);
    let names = place.names();
    assert!(
        !names.iter().any(|name| name.contains("cleaned") || name.contains("swap")),
        "{names:?}"
    );
    for offset in [0, 2] {
        let data = log.read(Offset(offset), 1, log.end_offset(), true, false).unwrap();
        let found = records_in(&data.records.unwrap().read().unwrap());
        assert_eq!(found[0].0, offset + 1, "the next one is read in its place");
    }
}

#[test]
fn a_batch_keeps_its_offsets_and_its_codec() {
    for codec in Compression::ALL {
        let place = Place::new(compacted(1 << 20));
        let mut log = place.open();
        let value = "v".repeat(100);
        append_keyed(
            &mut log,
            &[
                keyed("a", &value),
                keyed("b", &value),
                keyed("a", "2"),
                keyed("b", &value),
                keyed("c", &value),
            ],
            codec,
            None,
        )
        .unwrap();
        append_keyed(&mut log, &[keyed("c", &value)], codec, None).unwrap();
        log.roll(NOW).unwrap();
        let before = bytes_of(&log);
        let (log, _) = cleaned(log, Pass::from(0));
        let after = bytes_of(&log);
        let batches: Vec<_> = Batches::new(&after[0]).map(Result::unwrap).collect();
        let old: Vec<_> = Batches::new(&before[0]).map(Result::unwrap).collect();
        let header = batches[0].v2().unwrap();
        assert_eq!((header.base_offset.0, header.last_offset().0, header.count), (0, 4, 2));
        assert_eq!(header.attributes.compression().unwrap(), codec);
        assert_eq!(header.partition_leader_epoch, EPOCH);
        assert_eq!(batches[1].bytes(), old[1].bytes(), "what stays whole stays as it was");
        assert_eq!(offsets(&log), [2, 3, 5]);
    }
}

#[test]
fn tombstones_stay_until_their_horizon() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    fill(&mut log, &[keyed("a", "1"), tombstone("a"), keyed("b", "1")]);
    fill(&mut log, &[keyed("c", "1")]);
    let (log, _) = cleaned(log, Pass::from(0));
    assert_eq!(offsets(&log), [1, 2, 3]);
    let bytes = bytes_of(&log);
    let first = Batches::new(&bytes[0]).next().unwrap().unwrap();
    let header = first.v2().unwrap();
    assert_ne!(header.attributes.0 & Attributes::DELETE_HORIZON, 0);
    assert_eq!(header.base_timestamp, NOW.0 + 1000);
    assert_eq!(records_in(first.bytes())[0].1, NOW.0, "the record keeps its time");

    let mut log = log;
    fill(&mut log, &[keyed("d", "1")]);
    let early = Pass { now: WallMs(NOW.0 + 999), ..Pass::from(4) };
    let (mut log, _) = cleaned(log, early);
    assert_eq!(offsets(&log), [1, 2, 3, 4]);
    fill(&mut log, &[keyed("e", "1")]);
    let late = Pass { now: WallMs(NOW.0 + 1000), ..Pass::from(5) };
    let (log, _) = cleaned(log, late);
    assert_eq!(offsets(&log), [2, 3, 4, 5]);
}

#[test]
fn a_full_map_ends_the_pass_where_it_is_full() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    let keys: Vec<Keyed> = (0..40).map(|n| keyed(&format!("{}", n % 30), "v")).collect();
    fill(&mut log, &keys);
    let (log, stats) = cleaned(log, Pass { keys: 20, ..Pass::from(0) });
    assert_eq!(stats.upto, Offset(20));
    assert_eq!(offsets(&log), (0..40).collect::<Vec<_>>());
    let (log, stats) = cleaned(log, Pass { keys: 20, ..Pass::from(20) });
    assert_eq!(stats.upto, Offset(40));
    assert_eq!(offsets(&log), (10..40).collect::<Vec<_>>());
}

#[test]
fn a_tombstone_that_a_full_map_does_not_know_stays_whatever_its_age() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    let mut records = vec![keyed("deleted", "old")];
    records.extend((1..41).map(|n| keyed(&format!("{n}"), "v")));
    records.push(tombstone("deleted"));
    fill(&mut log, &records);
    let (log, first) = cleaned(log, Pass { keys: 20, ..Pass::from(0) });
    // Its time has begun with the first pass, and is over when the second does not come as far as it either.
    let late = Pass { keys: 20, now: WallMs(NOW.0 + 1000), ..Pass::from(first.upto.0) };
    let (log, second) = cleaned(log, late);
    assert_eq!((first.upto, second.upto), (Offset(20), Offset(40)));
    assert_eq!(offsets(&log), (0..42).collect::<Vec<_>>(), "or else the old value would be back");
}

#[test]
fn records_without_a_key_go() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    fill(&mut log, &[(None, Some(b"x".to_vec())), keyed("a", "1")]);
    let (log, stats) = cleaned(log, Pass::from(0));
    assert_eq!((offsets(&log), stats.keyless_records), (vec![1], 1));
}

#[test]
fn the_last_batch_of_a_producer_stays_as_an_empty_one() {
    let mut place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    for sequence in 0..3 {
        append_keyed(&mut log, &[keyed("a", "1")], Compression::None, idempotent(7, 2, sequence))
            .unwrap();
    }
    append_keyed(&mut log, &[keyed("a", "2")], Compression::None, None).unwrap();
    log.roll(NOW).unwrap();
    let before = log.active_producers();
    let (log, _) = cleaned(log, Pass::from(0));
    assert_eq!(offsets(&log), [3]);
    let bytes = bytes_of(&log);
    let batches: Vec<_> = Batches::new(&bytes[0]).map(Result::unwrap).collect();
    let header = batches[0].v2().unwrap();
    assert_eq!((batches.len(), header.count, header.last_offset().0), (2, 0, 2));
    assert_eq!((header.base_sequence, header.producer_epoch.0), (2, 2));
    // The producers are read from the log again.
    for name in place.names().iter().filter(|name| name.ends_with(".snapshot")) {
        std::fs::remove_file(place.file(name)).unwrap();
    }
    let mut log = place.reopen_unclean(log);
    assert_eq!(log.active_producers(), before);
    let again = append_keyed(&mut log, &[keyed("a", "1")], Compression::None, idempotent(7, 2, 2));
    assert_eq!(again.unwrap(), 2, "a repeated batch is known");
}

#[test]
fn aborted_records_go_and_markers_later() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    let (first, second) = (transactional(7, 0, 0), transactional(8, 0, 0));
    append_keyed(&mut log, &[keyed("a", "1")], Compression::None, None).unwrap();
    append_keyed(&mut log, &[keyed("a", "aborted")], Compression::None, first).unwrap();
    append_keyed(&mut log, &[keyed("b", "committed")], Compression::None, second).unwrap();
    append_marker(&mut log, first.unwrap(), false, 0).unwrap();
    append_marker(&mut log, second.unwrap(), true, 0).unwrap();
    // Their producers' last batches are others.
    for p in [transactional(7, 0, 1), transactional(8, 0, 1)] {
        append_keyed(&mut log, &[keyed("c", "1")], Compression::None, p).unwrap();
        append_marker(&mut log, p.unwrap(), true, 0).unwrap();
    }
    fill(&mut log, &[keyed("d", "1")]);
    assert_eq!(offsets(&log), [0, 2, 5, 7, 9]);
    let kinds = |log: &Log| -> Vec<(i64, bool)> {
        let bytes = bytes_of(log).concat();
        let batches: Vec<_> = Batches::new(&bytes).map(Result::unwrap).collect();
        batches.iter().map(|b| (b.last_offset().0, b.is_control())).collect()
    };
    let (mut log, _) = cleaned(log, Pass::from(0));
    assert_eq!(offsets(&log), [0, 2, 7, 9]);
    let left = [
        (0, false),
        (2, false),
        (3, true),
        (4, true),
        (5, false),
        (6, true),
        (7, false),
        (8, true),
        (9, false),
    ];
    assert_eq!(kinds(&log), left, "5 is the last of its producer");
    assert_eq!(log.aborted_transactions(Offset(0), Offset(10)).unwrap().len(), 1);

    fill(&mut log, &[keyed("b", "2")]);
    let (mut log, _) = cleaned(log, Pass::from(10));
    assert_eq!(offsets(&log), [0, 7, 9, 10]);
    assert!(kinds(&log).contains(&(3, true)), "it stays for a while");
    assert_eq!(log.aborted_transactions(Offset(0), Offset(10)).unwrap(), []);

    fill(&mut log, &[keyed("e", "2")]);
    let late = Pass { now: WallMs(NOW.0 + 1000), ..Pass::from(11) };
    let (log, _) = cleaned(log, late);
    assert!(!kinds(&log).contains(&(3, true)), "{:?}", kinds(&log));
    assert!(kinds(&log).contains(&(4, true)), "its horizon begins a pass later");
    assert_eq!(offsets(&log), [0, 7, 9, 10, 11]);
}

#[test]
fn nothing_of_an_open_transaction_is_touched() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    fill(&mut log, &[keyed("a", "1"), keyed("a", "2")]);
    append_keyed(&mut log, &[keyed("a", "3")], Compression::None, None).unwrap();
    append_keyed(&mut log, &[keyed("a", "open")], Compression::None, transactional(7, 0, 0))
        .unwrap();
    fill(&mut log, &[keyed("a", "4")]);
    let (log, stats) = cleaned(log, Pass::from(0));
    assert_eq!(stats.upto, Offset(2), "the segment with the first open record is not cleaned");
    assert_eq!(consume(&log, false).len(), 4);
    // Even if the caller does not know of it.
    let log = RwLock::new(log);
    let request = CleanRequest {
        first_dirty: Offset(0),
        first_uncleanable: log.read().end_offset(),
        now: NOW,
        delete_retention_ms: 0,
    };
    let mut map = KeyMap::new(1 << 10, 0.9, [3, 4]);
    let stats = clean(&log, &request, &mut map, &mut |_| true, &mut || {}).unwrap();
    assert_eq!((stats.upto, consume(&log.read(), false).len()), (Offset(2), 4));
}

#[test]
fn a_flipped_bit_ends_the_cleaning_and_changes_nothing() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    fill(&mut log, &[keyed("a", "1"), keyed("a", "2")]);
    fill(&mut log, &[keyed("b", "1"), keyed("b", "2")]);
    let file = place.file("00000000000000000002.log");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[65] ^= 4;
    std::fs::write(&file, &bytes).unwrap();
    let before = bytes_of(&log);
    let log = RwLock::new(log);
    let fault = clean_log(&log, Pass::from(0)).unwrap_err();
    assert!(fault.to_string().contains("00000000000000000002.log is corrupt at byte 0"), "{fault}");
    assert_eq!(bytes_of(&log.read()), before);
    assert!(!place.names().iter().any(|name| name.contains("cleaned")));
}

#[test]
fn a_truncation_meanwhile_voids_the_pass() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    fill(&mut log, &[keyed("a", "1"), keyed("a", "2")]);
    fill(&mut log, &[keyed("b", "1")]);
    let log = RwLock::new(log);
    let request = CleanRequest {
        first_dirty: Offset(0),
        first_uncleanable: Offset(3),
        now: NOW,
        delete_retention_ms: 0,
    };
    let mut map = KeyMap::new(1 << 20, 0.9, [0, 0]);
    let mut truncate = |_| {
        log.write().truncate_to(Offset(2), NOW).unwrap();
        true
    };
    let done = clean(&log, &request, &mut map, &mut truncate, &mut || {});
    assert!(matches!(done, Err(CleanError::Changed)), "{done:?}");
    assert_eq!(offsets(&log.read()), [0, 1]);
    assert!(!place.names().iter().any(|name| name.contains("cleaned")));
}

#[test]
fn the_time_of_the_newest_segment_stays() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    fill(&mut log, &[keyed("a", "1"), keyed("a", "2")]);
    let file = place.file("00000000000000000000.log");
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    let mut place = place;
    let log = place.reopen_unclean(log);
    let (_log, _) = cleaned(log, Pass::from(0));
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), old);
}

#[test]
fn a_horizon_stays_when_its_batch_is_written_again() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    let batch = [tombstone("a"), keyed("b", "1"), keyed("c", "1")];
    append_keyed(&mut log, &batch, Compression::None, None).unwrap();
    log.roll(NOW).unwrap();
    let (mut log, _) = cleaned(log, Pass::from(0));
    fill(&mut log, &[keyed("b", "2")]);
    let (mut log, _) = cleaned(log, Pass { now: WallMs(NOW.0 + 500), ..Pass::from(3) });
    assert_eq!(offsets(&log), [0, 2, 3], "the batch has lost a record");
    let bytes = bytes_of(&log);
    let header = *Batches::new(&bytes[0]).next().unwrap().unwrap().v2().unwrap();
    assert_ne!(header.attributes.0 & Attributes::DELETE_HORIZON, 0);
    assert_eq!(header.base_timestamp, NOW.0 + 1000, "as the first pass has set it");
    fill(&mut log, &[keyed("c", "2")]);
    let (log, _) = cleaned(log, Pass { now: WallMs(NOW.0 + 1000), ..Pass::from(4) });
    assert_eq!(offsets(&log), [3, 4], "the tombstone's time has come");
}

#[test]
fn a_marker_that_is_all_that_is_known_of_a_producer_stays_as_an_empty_batch() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    append_keyed(&mut log, &[keyed("a", "aborted")], Compression::None, transactional(7, 0, 0))
        .unwrap();
    // Whoever fences a producer lets its transaction end with a newer epoch: of that nothing but the marker is written.
    append_marker(&mut log, transactional(7, 1, 0).unwrap(), false, 0).unwrap();
    fill(&mut log, &[keyed("b", "1")]);
    let before = log.active_producers();
    assert_eq!((before.len(), before[0].producer_epoch.0, before[0].last_sequence), (1, 1, -1));
    for (pass, from) in [(0, 0), (1, 3), (2, 4)] {
        let now = WallMs(NOW.0 + 1000 * pass);
        let (cleaned_log, _) = cleaned(log, Pass { now, ..Pass::from(from) });
        log = cleaned_log;
        fill(&mut log, &[keyed("b", "again")]);
    }
    let bytes = bytes_of(&log).concat();
    let batches: Vec<_> = Batches::new(&bytes).map(Result::unwrap).collect();
    let header = batches[0].v2().unwrap();
    assert!(header.attributes.is_control());
    assert_eq!((header.count, header.last_offset().0, header.producer_epoch.0), (0, 1, 1));
    assert_eq!(log.active_producers(), before);
}
