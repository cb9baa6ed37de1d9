//! Offsets that are missing after a crash: a cleaner took them, or the crash did. What was durable stays, whatever else is known.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use base::{LeaderEpoch, Offset};
use common::keyed::*;
use common::*;
use records::Compression;
use storage::log::AppendOrigin;
use storage::{Log, LogConfig};

/// Three batches fill a segment.
const SEGMENT_BYTES: u32 = 300;

fn put(log: &mut Log, keys: &[&str]) {
    for key in keys {
        append_keyed(log, &[keyed(key, "v")], Compression::None, None).unwrap();
    }
}

fn bases(log: &Log) -> Vec<i64> {
    log.segment_base_offsets().into_iter().map(Offset::get).collect()
}

/// A log that was compacted once: of its first segment only the first record is left, then it goes on without a hole.
fn compacted_once() -> (Place, Vec<Read>) {
    let mut place = Place::new(compacted(SEGMENT_BYTES));
    let mut log = place.open();
    put(&mut log, &["a", "b", "c"]);
    log.roll(NOW).unwrap();
    put(&mut log, &["c", "b", "d"]);
    log.roll(NOW).unwrap();
    put(&mut log, &["e", "f"]);
    log.flush(NOW).unwrap();
    run_work(&mut log);
    let (mut log, _) = cleaned(log, Pass::from(0));
    run_work(&mut log);
    assert_eq!(bases(&log), [0, 3, 6]);
    let left = consume(&log, false);
    assert_eq!(left.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 3, 4, 5, 6, 7]);
    // Its topic is compacted no more, and its checkpoints are gone.
    place.options.checkpoint_lost = true;
    place.options.config =
        std::sync::Arc::new(LogConfig { segment_bytes: SEGMENT_BYTES, ..LogConfig::default() });
    (place, left)
}

fn reopened(place: &Place) -> Log {
    let mut log = place.open();
    log.set_high_watermark(log.end_offset());
    log
}

/// Neither checkpoint is there any more: all is read, and all is kept, this time and the next.
#[test]
fn a_log_that_was_compacted_once_keeps_its_holes() {
    let (mut place, left) = compacted_once();
    for _ in 0..2 {
        let log = reopened(&place);
        assert_eq!(consume(&log, false), left);
        assert_eq!(bases(&log), [0, 3, 6]);
        // What is written down of such a log is as good as nothing.
        let point = log.recovery_point();
        assert_eq!(point, Offset::ZERO);
    }
    // The hole is before what is known to be durable.
    for point in 2..=8 {
        place.options.checkpoint_lost = false;
        place.options.recovery_point = Offset(point);
        assert_eq!(consume(&reopened(&place), false), left, "recovery point {point}");
    }
}

/// What is missing beyond a known recovery point was lost, and what follows goes, too: a replica must fetch it anew.
#[test]
fn what_follows_a_loss_goes() {
    let mut place = Place::new(LogConfig { segment_bytes: SEGMENT_BYTES, ..LogConfig::default() });
    let mut log = place.open();
    put(&mut log, &["a", "b", "c"]);
    log.roll(NOW).unwrap();
    put(&mut log, &["d", "e"]);
    drop(log);
    let first = place.file("00000000000000000000.log");
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes[..bytes.len() / 3 * 2]).unwrap();
    let copy: Vec<_> =
        place.names().into_iter().map(|n| (std::fs::read(place.file(&n)).unwrap(), n)).collect();
    place.options.recovery_point = Offset(1);
    let log = reopened(&place);
    assert_eq!((log.end_offset(), bases(&log)), (Offset(2), vec![0]));
    drop(log);
    // Flushed further than that: it was durable without them.
    for name in place.names() {
        std::fs::remove_file(place.file(&name)).unwrap();
    }
    copy.iter().for_each(|(bytes, name)| std::fs::write(place.file(name), bytes).unwrap());
    place.options.checkpoint_lost = true;
    let log = reopened(&place);
    assert_eq!((log.end_offset(), bases(&log)), (Offset(5), vec![0, 3]));
}

/// The checksum does not cover a batch's base offset: a sector that ends within it may be lost alone. The batch before follows on
/// what was before it, so it is not in doubt, be it the first of its epoch.
#[test]
fn a_batch_whose_offset_was_torn_takes_no_other_with_it() {
    for epochs in [[3, 3, 3], [3, 4, 4], [3, 3, 4]] {
        for torn in 1..3 {
            let mut place = Place::new(LogConfig::default());
            let mut log = place.open();
            for epoch in epochs {
                let bytes = client_batch(&[(1, b"v")], Compression::None, None);
                let mut batch = prepared(bytes, AppendOrigin::Client);
                let (epoch, origin) = (LeaderEpoch(epoch), AppendOrigin::Client);
                log.append_as_leader(&mut batch, epoch, origin, NOW).unwrap();
            }
            drop(log);
            let path = place.file("00000000000000000000.log");
            let mut bytes = std::fs::read(&path).unwrap();
            let begin = bytes.len() / epochs.len() * torn;
            bytes[begin..begin + 8].fill(0);
            std::fs::write(&path, bytes).unwrap();
            place.options.clean = false;
            let (log, expected) = (place.open(), i64::try_from(torn).unwrap());
            assert_eq!(log.end_offset(), Offset(expected), "{epochs:?} {torn}");
        }
    }
}

/// The bytes of all batches of a log.
fn batches(log: &Log) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for bytes in bytes_of(log) {
        let batches = records::Batches::new(&bytes);
        found.extend(batches.map(|batch| batch.unwrap().bytes().to_vec()));
    }
    found
}

/// A follower of such a log stores what its leader has, whatever the crash comes after: no batch that it has answered for goes.
#[test]
fn a_follower_keeps_what_lies_behind_a_hole() {
    let (place, _) = compacted_once();
    let given = batches(&reopened(&place));
    assert_eq!(given.len(), 6);
    for segment_bytes in [SEGMENT_BYTES, 1 << 20] {
        let config = LogConfig { segment_bytes, ..LogConfig::default() };
        for count in 1..=given.len() {
            let mut place = Place::new(config.clone());
            let mut log = place.open();
            for bytes in &given[..count] {
                log.append_as_follower(bytes, LeaderEpoch(9), NOW).unwrap();
            }
            log.set_high_watermark(log.end_offset());
            run_work(&mut log);
            let (end, rows, was) = (log.end_offset(), consume(&log, false), bases(&log));
            assert_eq!(log.cleaned_upto().is_some(), count > 1, "it is noted");
            place.options.cleaned_upto = log.cleaned_upto();
            let mut log = place.reopen_unclean(log);
            log.set_high_watermark(log.end_offset());
            assert_eq!((log.end_offset(), consume(&log, false), bases(&log)), (end, rows, was));
        }
    }
}
