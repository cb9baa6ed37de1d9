//! Crashes and failing disks: after a crash at any moment, with any loss of what was not synced, the log opens, holds
//! everything below the recovery point, and nothing that was never appended.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{LeaderEpoch, Offset, TopicPartition};
use common::*;
use protocol::ErrorCode;
use records::{AppendOrigin, Compression};
use simdisk::{Loss, SimDisk};
use storage::log::{OpenOptions, Result};
use storage::{Disk, FilePool, Log, LogConfig, LogError};

fn options(recovery_point: Offset, start_offset: Offset) -> OpenOptions {
    let config =
        LogConfig { segment_bytes: 700, index_interval_bytes: 100, ..LogConfig::default() };
    OpenOptions { config: Arc::new(config), recovery_point, start_offset, ..OpenOptions::default() }
}

/// With small pages, and a log directory that is there for good.
fn new_disk() -> SimDisk {
    let disk = SimDisk::with_pages(64, 16);
    disk.create_dir(Path::new("/logs")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open_on(disk: &SimDisk, options: OpenOptions) -> Result<Log> {
    let pool = FilePool::new(Arc::new(disk.clone()), 64);
    let name = TopicPartition::new("topic", 0);
    Log::open(&pool, PathBuf::from("/logs/topic-0"), name, options, NOW)
}

/// What was told to have been appended and to be durable.
#[derive(Default)]
struct Told {
    /// Every value that was ever given to the log for an offset.
    given: BTreeMap<i64, Vec<Vec<u8>>>,
    /// What the log should hold now.
    current: BTreeMap<i64, Vec<u8>>,
    recovery_point: i64,
    start: i64,
}

impl Told {
    fn append(&mut self, log: &mut Log, step: i32, epoch: i32) -> Result<()> {
        let values: Vec<Vec<u8>> = (0..3).map(|n| vec![step as u8; 20 + n * 7]).collect();
        let records: Vec<(i64, &[u8])> =
            values.iter().map(|value| (NOW.0 + i64::from(step), value.as_slice())).collect();
        let codec = if step % 3 == 0 { Compression::Zstd } else { Compression::None };
        let bytes = client_batch(&records, codec, idempotent(5, epoch as i16, -1));
        let mut batch = prepared(bytes, AppendOrigin::Coordinator);
        let first = log.end_offset().0;
        for (n, value) in values.into_iter().enumerate() {
            self.given.entry(first + n as i64).or_default().push(value.clone());
            self.current.insert(first + n as i64, value);
        }
        log.append_as_leader(&mut batch, LeaderEpoch(epoch), AppendOrigin::Coordinator, NOW)?;
        log.set_high_watermark(log.end_offset());
        Ok(())
    }

    fn note(&mut self, log: &Log) {
        self.recovery_point = log.recovery_point().0;
        self.start = log.start_offset().0;
    }
}

/// A life of the log with everything in it; stops at the first failure.
fn live(disk: &SimDisk, told: &mut Told) -> Result<()> {
    let mut log = open_on(disk, options(Offset(0), Offset(0)))?;
    for step in 0..40 {
        told.append(&mut log, step, if step < 25 { 1 } else { 2 })?;
        if step % 7 == 6 {
            log.flush(NOW)?;
        }
        if step % 11 == 10 {
            common::run_work_on(&mut log)?;
        }
        if step == 20 {
            let offset = log.end_offset().0 - 12;
            told.current.retain(|kept, _| *kept < offset);
            // From here on only the records before the cut are promised.
            told.recovery_point = told.recovery_point.min(offset);
            log.truncate_to(Offset(offset), NOW)?;
        }
        if step == 30 {
            log.delete_records(Offset(20))?;
            log.delete_old_segments(NOW)?;
        }
        told.note(&log);
    }
    log.close(NOW)?;
    told.recovery_point = log.end_offset().0;
    Ok(())
}

fn check_after(disk: &SimDisk, told: &Told, context: &str) {
    let options = options(Offset(told.recovery_point), Offset(told.start));
    let mut log = open_on(disk, options).unwrap_or_else(|error| panic!("{context}: {error}"));
    let end = log.end_offset().0;
    assert!(end >= told.recovery_point, "{context}: {end} of {}", told.recovery_point);
    let mut expected = log.start_offset().0;
    for (offset, _, value) in read_all(&log, log.start_offset().0) {
        assert_eq!(offset, expected, "{context}: a gap");
        expected += 1;
        if offset < told.recovery_point {
            assert_eq!(Some(&value), told.current.get(&offset), "{context}: flushed {offset}");
        }
        let given = told.given.get(&offset);
        assert!(given.is_some_and(|g| g.contains(&value)), "{context}: garbage at {offset}");
    }
    assert_eq!(expected, end, "{context}");
    // It goes on from there.
    let info = append(&mut log, NOW.0, b"after");
    assert_eq!(info.first_offset.0, end, "{context}");
    assert_eq!(read_all(&log, end), vec![(end, NOW.0, b"after".to_vec())], "{context}");
}

#[test]
fn a_crash_after_any_operation_keeps_what_was_flushed() {
    let whole = new_disk();
    live(&whole, &mut Told::default()).unwrap();
    let operations = whole.operations();
    assert!(operations > 150, "{operations}");
    for crash_at in new_disk().operations()..=operations {
        for loss in [Loss::None, Loss::All, Loss::Some(crash_at + 1), Loss::Some(crash_at << 20)] {
            let disk = new_disk();
            disk.crash_at(crash_at);
            let mut told = Told::default();
            let lived = live(&disk, &mut told);
            assert_eq!(lived.is_ok(), crash_at >= operations, "{crash_at}: {lived:?}");
            let context = format!("crash at operation {crash_at} of {operations}, loss {loss:?}");
            check_after(&disk.after_crash(loss), &told, &context);
        }
    }
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let disk = new_disk();
    let mut told = Told::default();
    disk.crash_at(110);
    live(&disk, &mut told).unwrap_err();
    let crashed = disk.after_crash(Loss::None);
    let options = || options(Offset(told.recovery_point), Offset(told.start));
    let again = crashed.after_crash(Loss::None);
    open_on(&again, options()).unwrap();
    for crash_at in 0..again.operations() {
        let disk = crashed.after_crash(Loss::None);
        disk.crash_at(crash_at);
        open_on(&disk, options()).err().unwrap();
        let context = format!("second crash at operation {crash_at}");
        check_after(&disk.after_crash(Loss::None), &told, &context);
        check_after(&disk.after_crash(Loss::All), &told, &context);
    }
}

/// Cuts the active file of a log at every byte: the whole batches before the cut are there, nothing else.
#[test]
fn a_file_cut_at_any_byte_gives_its_whole_batches() {
    let place = Place::new(LogConfig { segment_bytes: 2000, ..LogConfig::default() });
    let mut log = place.open();
    let mut ends = vec![(0, 0)];
    for n in 0..6u8 {
        append_batch(&mut log, &[(NOW.0, &[n; 30]), (NOW.0, &[n; 9])], None).unwrap();
        let position = log.position_of(log.end_offset()).unwrap().position;
        ends.push((position, log.end_offset().0));
    }
    drop(log);
    let file = place.file("00000000000000000000.log");
    let whole = std::fs::read(&file).unwrap();
    for cut in 0..=whole.len() {
        // The cut itself, and the same with rubbish behind it.
        for tail in [0, 40] {
            let mut bytes = whole[..cut].to_vec();
            bytes.resize(cut + tail, 0x55);
            std::fs::write(&file, &bytes).unwrap();
            let log = place.open();
            let (size, end) = *ends.iter().rev().find(|(size, _)| *size <= cut as u64).unwrap();
            assert_eq!((log.end_offset().0, log.size()), (end, size), "cut at {cut}");
            assert_eq!(read_all(&log, 0).len() as i64, end);
            assert_eq!(std::fs::metadata(&file).unwrap().len(), size);
        }
    }
}

/// Flips each byte of the unflushed log: the batches before the flip stay, and no record is ever different.
#[test]
fn a_flipped_byte_ends_the_recovered_log() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open();
    let mut sizes = vec![0];
    for n in 0..4u8 {
        append(&mut log, NOW.0, &[n; 25]);
        sizes.push(log.size() as usize);
    }
    let expected = read_all(&log, 0);
    drop(log);
    let file = place.file("00000000000000000000.log");
    let whole = std::fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        let log = place.open();
        let before = sizes.iter().filter(|size| **size <= at).count() - 1;
        let found = read_all(&log, 0);
        // Offset and leader epoch are under no checksum. An offset shows by the gap before it, an epoch only where a
        // neighbour contradicts it: else it looks like another leader's, and the records are still those of the batch.
        let kept = match at - sizes[before] {
            12..16 => found.len(),
            _ => before,
        };
        assert_eq!(found[..], expected[..kept], "flipped byte {at}");
    }
}

#[test]
fn a_failed_write_or_sync_is_the_last_thing_a_log_does() {
    type Break = fn(&SimDisk, bool);
    let breaks: [(&str, Break); 2] =
        [("write", SimDisk::fail_writes), ("sync", SimDisk::fail_syncs)];
    for (name, break_disk) in breaks {
        let disk = new_disk();
        let mut log = open_on(&disk, options(Offset(0), Offset(0))).unwrap();
        let mut told = Told::default();
        told.append(&mut log, 1, 1).unwrap();
        log.flush(NOW).unwrap();
        told.note(&log);
        break_disk(&disk, true);
        let failed = told.append(&mut log, 2, 1).and_then(|()| log.flush(NOW)).unwrap_err();
        assert!(matches!(failed, LogError::Io { .. }), "{name}: {failed}");
        assert_eq!(failed.error_code(), ErrorCode::KafkaStorageError);
        // Never retried, not even when the disk is well again.
        break_disk(&disk, false);
        for result in [
            told.append(&mut log, 3, 1),
            log.flush(NOW),
            log.roll(NOW).map(|_| ()),
            log.read(Offset(0), 100, log.end_offset(), true, false).map(|_| ()),
            log.close(NOW),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, LogError::Offline { .. }), "{name}: {error}");
        }
        assert!(log.failure().is_some());
        check_after(&disk.after_crash(Loss::All), &told, name);
    }
}
