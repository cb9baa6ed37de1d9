//! A flipped bit in a log: found when it is read for recovery, for cleaning or by a consumer; never served as what was written.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use common::keyed::*;
use common::look::{dress, look};
use common::*;
use records::{Batches, Compression};
use storage::LogConfig;
use storage::verify::Severity;

/// The files of a log's directory.
type Files = Vec<(String, Vec<u8>)>;

fn files(place: &Place) -> Files {
    place
        .names()
        .into_iter()
        .map(|name| (name.clone(), std::fs::read(place.file(&name)).unwrap()))
        .collect()
}

/// Puts the directory back to what it was.
fn restore(place: &Place, files: &Files) {
    for name in place.names() {
        if files.iter().all(|(kept, _)| *kept != name) {
            std::fs::remove_file(place.file(&name)).unwrap();
        }
    }
    for (name, bytes) in files {
        std::fs::write(place.file(name), bytes).unwrap();
    }
}

/// Where a batch has its leader epoch.
const EPOCH_BYTES: std::ops::Range<usize> = 12..16;
const LOG: &str = "00000000000000000000.log";

/// One small segment: an aborted transaction, and a record that follows.
fn small() -> (Place, Files, Vec<(i64, i64, Vec<u8>)>) {
    let place = Place::new(LogConfig { index_interval_bytes: 100, ..LogConfig::default() });
    let mut log = place.open();
    append_batch(&mut log, &[(NOW.0, b"a"), (NOW.0, b"b")], transactional(5, 0, 0)).unwrap();
    append_marker(&mut log, transactional(5, 0, 0).unwrap(), false, 1).unwrap();
    append(&mut log, NOW.0 + 7, b"last");
    let expected = read_all(&log, 0);
    drop(log);
    let files = files(&place);
    (place, files, expected)
}

/// First byte of each batch.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut batches = Batches::new(bytes);
    loop {
        starts.push(batches.position());
        if batches.next().is_none() {
            return starts;
        }
    }
}

#[test]
fn recovery_cuts_the_log_at_every_flipped_bit() {
    let (place, files, expected) = small();
    let whole = &files.iter().find(|(name, _)| name == LOG).unwrap().1;
    let starts = starts(whole);
    let mut wrong = Vec::new();
    for bit in 0..whole.len() * 8 {
        restore(&place, &files);
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(place.file(LOG), &bytes).unwrap();
        let mut log = place.open();
        log.set_high_watermark(log.end_offset());
        let batch = starts.partition_point(|start| *start <= bit / 8) - 1;
        let at = bit / 8 - starts[batch];
        // All of a body is under the checksum: every third bit will do.
        if at >= records::batch::HEADER_LEN && bit % 3 != 0 {
            continue;
        }
        // That the first batch is of an older leader, or the last one of a newer, looks right.
        if (batch == 0 || batch + 2 == starts.len()) && EPOCH_BYTES.contains(&at) {
            continue;
        }
        let (kept, end) = (log.size() as usize, log.end_offset().0);
        let found = read_all(&log, 0);
        let epochs = log.epochs().iter().all(|entry| entry.epoch == EPOCH);
        if kept > starts[batch] || !expected.starts_with(&found) || !epochs {
            wrong.push(format!("byte {} of batch {batch}: {kept} bytes stay, end {end}", at));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Bytes of a batch that its checksum does not cover and that no size depends on: base offset and leader epoch.
fn is_covered(at: usize) -> bool {
    !(0..8).contains(&at) && !EPOCH_BYTES.contains(&at)
}

#[test]
fn a_consumer_never_takes_a_flipped_bit_for_what_was_written() {
    let (place, files, expected) = small();
    let mut log = place.open();
    log.set_high_watermark(log.end_offset());
    let whole = &files.iter().find(|(name, _)| name == LOG).unwrap().1;
    let starts = starts(whole);
    for bit in 0..whole.len() * 8 {
        let batch = starts.partition_point(|start| *start <= bit / 8) - 1;
        if !is_covered(bit / 8 - starts[batch]) {
            continue;
        }
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(place.file(LOG), &bytes).unwrap();
        let mut found = Vec::new();
        let mut next = 0;
        while let Ok(data) = read(&log, next, 300) {
            let bytes = data.records.map(|slice| slice.read().unwrap()).unwrap_or_default();
            // What every consumer does.
            let sound = Batches::new(&bytes).map_while(Result::ok);
            let sound: Vec<_> = sound.take_while(|batch| batch.check_crc().is_ok()).collect();
            let Some(last) = sound.last() else { break };
            next = last.last_offset().0 + 1;
            found.extend(sound.iter().flat_map(|batch| records_in(batch.bytes())));
        }
        assert!(expected.starts_with(&found), "bit {bit}: {found:?}");
        assert!(found.len() < expected.len(), "bit {bit} was not found");
    }
}

#[test]
fn cleaning_ends_at_every_flipped_bit() {
    let place = Place::new(compacted(1 << 20));
    let mut log = place.open();
    for key in ["a", "b"] {
        append_keyed(&mut log, &[keyed(key, "1"), keyed(key, "2")], Compression::None, None)
            .unwrap();
    }
    log.roll(NOW).unwrap();
    run_work(&mut log);
    let whole = std::fs::read(place.file(LOG)).unwrap();
    let starts = starts(&whole);
    let log = parking_lot::RwLock::new(log);
    for bit in 0..whole.len() * 8 {
        let batch = starts.partition_point(|start| *start <= bit / 8) - 1;
        if !is_covered(bit / 8 - starts[batch]) {
            continue;
        }
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(place.file(LOG), &bytes).unwrap();
        assert!(clean_log(&log, Pass::from(0)).is_err(), "bit {bit}");
        assert!(std::fs::read(place.file(LOG)).unwrap() == bytes, "bit {bit}: it was changed");
    }
    std::fs::write(place.file(LOG), &whole).unwrap();
    clean_log(&log, Pass::from(0)).unwrap();
    assert!(std::fs::read(place.file(LOG)).unwrap().len() < whole.len());
}

/// Nothing is wrong in a log that was cleaned, over and over, with transactions and tombstones in it.
#[test]
fn nothing_is_found_in_what_the_cleaner_wrote() {
    let mut place = Place::new(compacted(700));
    let mut log = place.open();
    for round in 0..6i32 {
        for n in 0..5i32 {
            let key = format!("k{}", (n * 7 + round) % 6);
            let txn = transactional(5, 0, (round * 5 + n) * 2);
            let codec = Compression::ALL[n as usize % Compression::ALL.len()];
            append_keyed(&mut log, &[keyed(&key, "in"), tombstone("k1")], codec, txn).unwrap();
            append_keyed(&mut log, &[keyed("k2", "beside"), keyed(&key, "x")], codec, None)
                .unwrap();
            append_marker(&mut log, txn.unwrap(), n % 2 == 0, 1).unwrap();
        }
        log.roll(NOW).unwrap();
        run_work(&mut log);
        let now = base::WallMs(NOW.0 + i64::from(round) * 600);
        log = cleaned(log, Pass { now, ..Pass::from(0) }).0;
        run_work(&mut log);
    }
    append_keyed(&mut log, &[keyed("k9", "last")], Compression::None, None).unwrap();
    let log = place.reopen_clean(log);
    dress(&place, &log);
    let found = look(place.root.path());
    let wrong: Vec<_> = found.iter().filter(|f| f.severity > Severity::Note).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
