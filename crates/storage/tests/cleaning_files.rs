//! A crash at any moment of a pass, and another in the start that follows, leaves of each group either the files that were there
//! or those that replace them, to the byte: logs, indexes and transaction indexes.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Offset, TopicPartition};
use common::keyed::*;
use common::*;
use parking_lot::RwLock;
use records::Compression;
use simdisk::{Loss, Photo, SimDisk};
use storage::log::OpenOptions;
use storage::{Disk, FilePool, Log};

/// First and last segment of each group.
const GROUPS: [(i64, i64); 2] = [(0, 4), (8, 12)];
const ACTIVE: i64 = 16;

type Files = BTreeMap<String, Vec<u8>>;

fn dir() -> PathBuf {
    PathBuf::from("/logs/topic-0")
}

fn open(disk: &SimDisk, options: &OpenOptions) -> Log {
    let pool = FilePool::new(Arc::new(disk.clone()), 32);
    let name = TopicPartition::new("topic", 0);
    let mut log = Log::open(&pool, dir(), name, options.clone(), NOW).unwrap();
    log.set_high_watermark(log.end_offset());
    log
}

/// Segments of four offsets, two of which fit into one. In each group a transaction was aborted: its data lie in one segment, its
/// marker in the next.
fn fill(log: &mut Log) {
    for group in 0..2 {
        let producer = transactional(7 + group, 0, 0).unwrap();
        for part in 0..2 {
            let mut keys = vec!["a", "b", "c"];
            if part == 0 {
                let aborted = [keyed("d", "aborted")];
                append_keyed(log, &aborted, Compression::None, Some(producer)).unwrap();
            } else {
                append_marker(log, producer, false, 0).unwrap();
                keys = vec!["a", "b", "e"];
            }
            for key in keys {
                let value = format!("{group} {part}");
                append_keyed(log, &[keyed(key, &value)], Compression::None, None).unwrap();
            }
            log.roll(NOW).unwrap();
        }
    }
    append_keyed(log, &[keyed("f", "active")], Compression::None, None).unwrap();
    log.flush(NOW).unwrap();
    run_work(log);
    let bases: Vec<i64> = log.segment_base_offsets().into_iter().map(|base| base.0).collect();
    assert_eq!(bases, [0, 4, 8, 12, ACTIVE]);
}

/// The files of a group's segments under their own names.
fn files_of(disk: &SimDisk, (first, last): (i64, i64)) -> Files {
    let kinds = [".log", ".index", ".timeindex", ".txnindex"];
    let mut found = Files::new();
    for (path, bytes) in disk.contents() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let base = name.get(..20).and_then(|base| base.parse::<i64>().ok());
        if path.parent() == Some(&*dir())
            && base.is_some_and(|base| (first..=last).contains(&base))
            && kinds.iter().any(|kind| name.len() == 20 + kind.len() && name.ends_with(kind))
        {
            found.insert(name, bytes);
        }
    }
    found
}

fn groups_of(disk: &SimDisk) -> Vec<Files> {
    GROUPS.iter().map(|group| files_of(disk, *group)).collect()
}

struct World {
    before: Vec<Files>,
    after: Vec<Files>,
    photos: Vec<Photo>,
    options: OpenOptions,
}

/// One pass over everything, with a photo after each operation.
fn world() -> World {
    let disk = SimDisk::with_pages(64, 16);
    disk.create_dir(Path::new("/logs")).unwrap();
    let config = Arc::new(compacted(800));
    let mut options = OpenOptions { config, cleaned_upto: Some(Offset(0)), ..Default::default() };
    let mut log = open(&disk, &options);
    fill(&mut log);
    disk.sync_file_system(Path::new("/")).unwrap();
    options.recovery_point = log.recovery_point();
    let before = groups_of(&disk);
    disk.take_photos();
    let log = RwLock::new(log);
    clean_log(&log, Pass::from(0)).unwrap();
    run_work(&mut log.write());
    let photos = disk.photos();
    World { before, after: groups_of(&disk), photos, options }
}

impl World {
    /// What a start makes of a disk: how many groups are new.
    fn start(&self, disk: &SimDisk, when: &str) -> usize {
        drop(open(disk, &self.options));
        let names: Vec<String> =
            disk.list(&dir()).unwrap().into_iter().map(|file| file.name).collect();
        let left = |name: &String| [".swap", ".cleaned"].iter().any(|end| name.ends_with(end));
        assert!(!names.iter().any(left), "{when}: {names:?}");
        let mut new = 0;
        for (at, found) in groups_of(disk).into_iter().enumerate() {
            let is_new = found == self.after[at];
            assert!(
                is_new || found == self.before[at],
                "{when}: of group {at} there are {:?}",
                lengths(&found)
            );
            new += usize::from(is_new);
        }
        new
    }
}

fn lengths(files: &Files) -> Vec<(&str, usize)> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect()
}

#[test]
fn a_group_is_the_old_one_or_the_new_one_whole() {
    let world = world();
    for (before, after) in world.before.iter().zip(&world.after) {
        // What could be mixed up differs; all times are the same.
        for (name, bytes) in after.iter().filter(|(name, _)| !name.contains("time")) {
            assert!(before.get(name) != Some(bytes), "{name} is as it was");
        }
        assert_eq!((before.len(), after.len()), (7, 4), "{:?}", lengths(after));
    }
    let mut seen = [0; 3];
    for (n, photo) in world.photos.iter().enumerate() {
        for loss in Loss::every(n as u64) {
            let when = format!("operation {} ({}), {loss:?}", photo.operation, photo.what);
            let disk = photo.after_crash(loss);
            seen[world.start(&disk, &when)] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times > 20), "{seen:?}");
}

/// Not every file system keeps the order of names that were not synced.
fn each_step_is_durable_before_the_next(photos: &[Photo]) {
    let mut unsynced: Vec<&str> = Vec::new();
    for what in photos.iter().map(|photo| photo.what.as_str()) {
        let removes = |end: &str| what.starts_with("remove") && what.ends_with(end);
        let (step, needs) = if what.starts_with("sync") {
            unsynced.clear();
            continue;
        } else if removes(".swap") {
            ("unfinished", None)
        } else if removes(".cleaned") {
            ("half-written", Some("unfinished"))
        } else if what.starts_with("rename") && what.contains(".swap to ") {
            ("installed", Some("replaced"))
        } else if what.starts_with("remove") && !what.ends_with(".deleted") {
            ("replaced", None)
        } else {
            continue;
        };
        let early = needs.is_some_and(|before| unsynced.contains(&before));
        assert!(!early, "what is {needs:?} is not durable before: {what}");
        unsynced.push(step);
    }
    assert_eq!(unsynced.iter().find(|step| **step == "installed"), None, "durable in the end");
}

#[test]
fn so_it_is_after_a_second_crash_in_the_start() {
    let world = world();
    let mut starts = 0;
    for (n, photo) in world.photos.iter().enumerate() {
        for loss in [Loss::None, Loss::Some(n as u64)] {
            let disk = photo.after_crash(loss);
            let names = disk.list(&dir()).unwrap();
            if !names.iter().any(|file| file.name.ends_with(".swap")) {
                continue;
            }
            disk.take_photos();
            drop(open(&disk, &world.options));
            let photos = disk.photos();
            each_step_is_durable_before_the_next(&photos);
            for (m, second) in photos.iter().enumerate() {
                for loss in [Loss::None, Loss::Some((n * 100 + m) as u64)] {
                    let when = format!(
                        "operation {} ({}), then {} ({}), {loss:?}",
                        photo.operation, photo.what, second.operation, second.what
                    );
                    world.start(&second.after_crash(loss), &when);
                    starts += 1;
                }
            }
        }
    }
    assert!(starts > 200, "{starts}");
}
