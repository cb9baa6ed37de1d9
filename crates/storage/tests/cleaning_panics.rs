//! A pass that panics costs its log the cleaner, and no other log anything: wherever in the pass it is, what is not cleaned
//! stays, and the next start begins anew.
#![allow(clippy::unwrap_used)] // helpers of tests
#![allow(clippy::panic)] // panics are what is tested

mod common;
#[path = "common/manager.rs"]
mod manager;

use std::sync::Arc;

use base::{Offset, TopicPartition, Uuid};
use common::keyed::*;
use common::*;
use manager::{formatted, started};
use records::Compression;
use simdisk::KillDisk;
use simdisk::kill::Point;
use storage::dirs::{CleanResult, Grabbed, LogEntry, LogManager, NewLog};
use storage::log::cleaning::{CleanError, CleanRequest, KeyMap, clean};
use storage::{Disk, LogConfig, RealDisk};

const TOPICS: [&str; 2] = ["bad", "good"];

struct World {
    root: tempfile::TempDir,
    config: Arc<LogConfig>,
}

impl World {
    fn new() -> Self {
        let root = formatted(NOW);
        let config = LogConfig { min_cleanable_dirty_ratio: 0.01, ..compacted(1 << 20) };
        let world = Self { root, config: Arc::new(config) };
        let manager = world.start(Arc::new(RealDisk));
        for topic in TOPICS {
            world.fill(&manager, topic);
        }
        world
    }

    fn start(&self, disk: Arc<dyn Disk>) -> LogManager {
        started(self.root.path(), &self.config, disk, NOW)
    }

    /// Three segments of two records each, and the active one.
    fn fill(&self, manager: &LogManager, topic: &str) {
        let partition = TopicPartition::new(topic, 0);
        let config = Arc::clone(&self.config);
        let topic_id = Uuid([topic.len() as u8; 16]);
        let new = NewLog { partition: &partition, topic_id, config, target: None, is_new: true };
        let entry = manager.get_or_create(&new, NOW).unwrap();
        let mut log = entry.log.write();
        for pair in [["a", "b"], ["a", "c"], ["b", "d"]] {
            for key in pair {
                append_keyed(&mut log, &[keyed(key, "value")], Compression::None, None).unwrap();
            }
            log.roll(NOW).unwrap();
        }
        append_keyed(&mut log, &[keyed("e", "active")], Compression::None, None).unwrap();
        run_work(&mut log);
        log.flush(NOW).unwrap();
    }
}

fn get(manager: &LogManager, topic: &str) -> LogEntry {
    manager.get(&TopicPartition::new(topic, 0)).unwrap()
}

fn offsets(entry: &LogEntry) -> Vec<i64> {
    consume(&entry.log.read(), false).into_iter().map(|(offset, ..)| offset).collect()
}

/// A pass as the broker runs it; `at_look` is what happens each time it looks whether to go on.
fn pass(manager: &LogManager, grabbed: &Grabbed, mut at_look: impl FnMut()) {
    let log = &grabbed.entry.log;
    let request = CleanRequest {
        first_dirty: Offset(grabbed.dirt.first_dirty),
        first_uncleanable: Offset(grabbed.dirt.first_uncleanable),
        now: NOW,
        delete_retention_ms: 0,
    };
    let result = CleanResult::of(|| {
        let mut map = KeyMap::new(1 << 10, 0.9, [3, 4]);
        let mut pace = |_| {
            at_look();
            true
        };
        match clean(log, &request, &mut map, &mut pace, &mut || {}) {
            Ok(stats) => CleanResult::Upto(stats.upto),
            Err(CleanError::Cancelled | CleanError::Changed) => CleanResult::Void,
            Err(CleanError::Log(fault)) => CleanResult::Failed(fault),
        }
    });
    manager.cleaned(grabbed, result, NOW);
}

/// Cleans until nothing is left to be cleaned; gives the topics, in their order.
fn clean_all(manager: &LogManager, mut at_look: impl FnMut(&str)) -> Vec<String> {
    let mut cleaned = Vec::new();
    while let Some(grabbed) = manager.grab_filthiest(NOW) {
        let topic = grabbed.partition.topic.to_string();
        pass(manager, &grabbed, || at_look(&topic));
        assert!(!grabbed.entry.log.read().is_being_cleaned(), "{topic}");
        cleaned.push(topic);
        assert!(cleaned.len() < 10, "without end: {cleaned:?}");
    }
    cleaned.sort();
    cleaned
}

fn uncleanable(manager: &LogManager) -> Vec<(String, String)> {
    let name = |entry: &LogEntry| entry.log.read().name().topic.to_string();
    manager.uncleanable().into_iter().map(|(entry, cause)| (name(&entry), cause)).collect()
}

#[test]
fn other_logs_are_cleaned_and_this_one_goes_on_uncleaned() {
    // The keys are looked at first, then what stays is written.
    for at in 0..4 {
        let world = World::new();
        let manager = world.start(Arc::new(RealDisk));
        let mut looks = 0;
        let cleaned = clean_all(&manager, |topic| {
            assert!(topic != "bad" || looks != at, "planted");
            looks += u64::from(topic == "bad");
        });
        assert_eq!(cleaned, TOPICS, "each once");
        let cause = "its cleaner panicked: planted".to_owned();
        assert_eq!(uncleanable(&manager), [("bad".into(), cause)]);
        assert_eq!(offsets(&get(&manager, "good")), [2, 3, 4, 5, 6]);
        let bad = get(&manager, "bad");
        assert_eq!(offsets(&bad), [0, 1, 2, 3, 4, 5, 6]);
        append_keyed(&mut bad.log.write(), &[keyed("f", "1")], Compression::None, None).unwrap();
        assert_eq!(offsets(&bad).last(), Some(&7));
        let files = std::fs::read_dir(world.root.path().join("bad-0")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let left: Vec<String> = names.filter(|name| name.ends_with(".cleaned")).collect();
        assert_eq!(left, [""; 0]);

        drop((manager, bad));
        let manager = world.start(Arc::new(RealDisk));
        assert_eq!(uncleanable(&manager), []);
        assert_eq!(clean_all(&manager, |_| ()), ["bad"], "after a start it is tried again");
        assert_eq!(offsets(&get(&manager, "bad")), [2, 3, 4, 5, 6, 7]);
    }
}

/// What is under way under the log's lock may be half done: then the log does nothing more, as after a failed write.
#[test]
fn in_the_midst_of_a_swap_the_log_ends_and_the_next_start_puts_it_right() {
    let points = [
        ("create:*bad-0/*.log.cleaned:1:before", false),
        ("write:*bad-0/*.log.cleaned:1:half", false),
        ("sync:*bad-0/*.log.cleaned:1:before", false),
        ("rename:*bad-0/*.index.swap:1:after", true),
        ("rename:*bad-0/*.log.swap:1:after", true),
        ("sync-dir:*bad-0:1:before", false),
        ("rename:*bad-0/*.log.deleted:2:before", true),
        ("rename:*bad-0/*.log.deleted:3:after", true),
        ("sync-dir:*bad-0:2:after", false),
        ("rename:*bad-0/*.log:1:before", true),
        ("rename:*bad-0/*.log:1:after", true),
    ];
    for (point, under_lock) in points {
        let world = World::new();
        let end = || panic!("planted");
        let disk = KillDisk::new(Arc::new(RealDisk), Point::parse(point).unwrap(), end);
        let manager = world.start(Arc::new(disk));
        assert_eq!(clean_all(&manager, |_| ()), TOPICS, "{point}: each once");
        let cause = "its cleaner panicked: planted".to_owned();
        assert_eq!(uncleanable(&manager), [("bad".into(), cause)], "{point}");
        assert_eq!(offsets(&get(&manager, "good")), [2, 3, 4, 5, 6], "{point}");
        let bad = get(&manager, "bad");
        assert_eq!(bad.log.read().failure().is_some(), under_lock, "{point}");
        let appended =
            append_keyed(&mut bad.log.write(), &[keyed("f", "1")], Compression::None, None);
        assert_eq!(appended.is_err(), under_lock, "{point}: {appended:?}");
        assert!(!manager.has_offline_dirs(), "{point}");

        drop((manager, bad));
        let manager = world.start(Arc::new(RealDisk));
        assert_eq!(clean_all(&manager, |_| ()), ["bad"], "{point}");
        let mut expected = vec![2, 3, 4, 5, 6];
        expected.extend((!under_lock).then_some(7));
        assert_eq!(offsets(&get(&manager, "bad")), expected, "{point}");
    }
}
