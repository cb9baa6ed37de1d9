//! Which log the cleaner gets next, what it leaves behind in checkpoints, and which logs it leaves alone. Nothing is cleaned
//! here: the tests say how it went.
#![allow(clippy::unwrap_used)] // helpers of tests

#[path = "common/commit.rs"]
mod commit;
#[path = "common/manager.rs"]
mod manager;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use base::{BrokerEpoch, Offset, TopicIdPartition, TopicPartition, Uuid, WallMs};
use commit::commit;
use manager::{formatted, started};
use records::{BatchBuilder, Compression};
use small_disk::SmallDisk;
use storage::dirs::{CleanResult, Grabbed, LogEntry, LogManager, NewLog};
use storage::{LogConfig, LogError, RealDisk};

const NOW: WallMs = WallMs(1_700_000_000_000);
const CHECKPOINT: &str = "cleaner-offset-checkpoint";

struct World {
    root: tempfile::TempDir,
    config: Arc<LogConfig>,
}

impl World {
    fn new(config: LogConfig) -> Self {
        Self { root: formatted(NOW), config: Arc::new(config) }
    }

    fn start(&self) -> LogManager {
        started(self.root.path(), &self.config, Arc::new(RealDisk), NOW)
    }

    /// A topic with so many segments of one record each.
    fn fill(&self, manager: &LogManager, topic: &str, segments: usize) -> LogEntry {
        let partition = TopicPartition::new(topic, 0);
        let config = Arc::clone(&self.config);
        let topic_id = Uuid([topic.len() as u8; 16]);
        let new = NewLog { partition: &partition, topic_id, config, target: None, is_new: true };
        let entry = manager.get_or_create(&new, NOW).unwrap();
        for n in 0..segments {
            append(&entry, NOW.0 - 1000 + n as i64);
        }
        manager.run_work(&entry, NOW);
        entry
    }

    fn checkpoint(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        text.lines().skip(2).map(str::to_owned).collect()
    }

    fn file(&self) -> PathBuf {
        self.root.path().join(CHECKPOINT)
    }

    fn stop(&self, manager: LogManager) {
        manager.shut_down(BrokerEpoch(1), 1, NOW);
    }
}

/// Every append rolls.
fn compacted() -> LogConfig {
    LogConfig {
        segment_bytes: 100,
        compact: true,
        delete: false,
        retention_ms: 0,
        ..LogConfig::default()
    }
}

fn append(entry: &LogEntry, timestamp: i64) {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(timestamp, Some(b"key"), Some(b"a value"), &[]).unwrap();
    commit(entry, builder, NOW);
}

fn topic(grabbed: &Option<Grabbed>) -> Option<&str> {
    grabbed.as_ref().map(|grabbed| &*grabbed.partition.topic)
}

/// As if everything that may be cleaned was.
fn clean(manager: &LogManager, grabbed: &Grabbed) {
    let upto = Offset(grabbed.dirt.first_uncleanable);
    manager.cleaned(grabbed, CleanResult::Upto(upto), NOW);
}

#[test]
fn the_filthiest_log_comes_first_and_only_once() {
    let world = World::new(compacted());
    let manager = world.start();
    let half = world.fill(&manager, "half", 9);
    half.log.write().set_cleaned_upto(Offset(3));
    world.fill(&manager, "all", 3);
    world.fill(&manager, "none", 1);
    let first = manager.grab_filthiest(NOW);
    assert_eq!(topic(&first), Some("all"));
    let second = manager.grab_filthiest(NOW);
    assert_eq!(topic(&second), Some("half"));
    assert!(manager.grab_filthiest(NOW).is_none());
    clean(&manager, &first.unwrap());
    assert_eq!(world.checkpoint(), ["all 0 2", "half 0 3"]);
    clean(&manager, &second.unwrap());
    assert_eq!(world.checkpoint(), ["all 0 2", "half 0 8"]);
    assert!(manager.grab_filthiest(NOW).is_none());
    // What is void is tried again.
    world.fill(&manager, "all", 3);
    let again = manager.grab_filthiest(NOW).unwrap();
    assert_eq!((again.dirt.first_dirty, again.dirt.first_uncleanable), (2, 5));
    manager.cleaned(&again, CleanResult::Void, NOW);
    assert_eq!(topic(&manager.grab_filthiest(NOW)), Some("all"));
}

#[test]
fn changed_settings_count_at_once() {
    let world = World::new(LogConfig { min_cleanable_dirty_ratio: 1.0, ..compacted() });
    let manager = world.start();
    let entry = world.fill(&manager, "topic", 5);
    let set = |config: LogConfig| entry.log.write().set_config(Arc::new(config));
    assert!(manager.grab_filthiest(NOW).is_none());
    set(LogConfig { min_cleanable_dirty_ratio: 0.9, min_compaction_lag_ms: 999, ..compacted() });
    let grabbed = manager.grab_filthiest(NOW).unwrap();
    assert_eq!(grabbed.dirt.first_uncleanable, 2);
    manager.cleaned(&grabbed, CleanResult::Void, NOW);
    set(LogConfig { compact: false, delete: true, ..compacted() });
    assert!(manager.grab_filthiest(NOW).is_none());
    set(LogConfig { min_cleanable_dirty_ratio: 1.0, max_compaction_lag_ms: 999, ..compacted() });
    assert_eq!(manager.grab_filthiest(NOW).unwrap().dirt.delay_ms, 1);
}

#[test]
fn what_was_cleaned_is_known_after_a_start_and_wrong_entries_begin_anew() {
    let world = World::new(compacted());
    let manager = world.start();
    for name in ["cleaned", "beyond", "before"] {
        world.fill(&manager, name, 5);
    }
    while let Some(grabbed) = manager.grab_filthiest(NOW) {
        clean(&manager, &grabbed);
    }
    let before = manager.get(&TopicPartition::new("before", 0)).unwrap();
    before.log.write().delete_records(Offset(5)).unwrap();
    world.stop(manager);
    assert_eq!(world.checkpoint(), ["before 0 4", "beyond 0 4", "cleaned 0 4"]);
    fs::write(world.file(), "0\n4\nbefore 0 4\nbeyond 0 6\ncleaned 0 4\ngone 0 7\n").unwrap();
    let manager = world.start();
    let grabbed = manager.grab_filthiest(NOW);
    assert_eq!(topic(&grabbed), Some("beyond"));
    assert_eq!(grabbed.unwrap().dirt.first_dirty, 0);
    assert!(manager.grab_filthiest(NOW).is_none());
    // Who is no partition here is forgotten.
    assert_eq!(world.checkpoint(), ["before 0 5", "beyond 0 0", "cleaned 0 4"]);
    // A file that cannot be read holds nothing.
    world.stop(manager);
    fs::write(world.file(), "0\n1\nbefore 0 x\n").unwrap();
    let manager = world.start();
    let mut topics = Vec::new();
    while let Some(grabbed) = manager.grab_filthiest(NOW) {
        topics.push(grabbed.partition.topic.to_string());
    }
    topics.sort();
    assert_eq!(topics, ["beyond", "cleaned"]);
}

#[test]
fn what_was_cut_off_counts_as_dirty_when_it_comes_back() {
    let world = World::new(compacted());
    let manager = world.start();
    let entry = world.fill(&manager, "topic", 9);
    clean(&manager, &manager.grab_filthiest(NOW).unwrap());
    entry.log.write().truncate_to(Offset(4), NOW).unwrap();
    for n in 0..6 {
        append(&entry, NOW.0 + n);
    }
    let grabbed = manager.grab_filthiest(NOW).unwrap();
    assert_eq!((grabbed.dirt.first_dirty, grabbed.dirt.first_uncleanable), (4, 9));
    // Cut again while it is being cleaned, to another place.
    entry.log.write().truncate_fully_and_start_at(Offset(2), None, NOW).unwrap();
    manager.cleaned(&grabbed, CleanResult::Upto(Offset(9)), NOW);
    manager.checkpoint_recovery_points();
    assert_eq!(world.checkpoint(), ["topic 0 2"]);
    manager.delete([TopicPartition::new("topic", 0)], 0, NOW);
    assert_eq!(world.checkpoint(), Vec::<String>::new());
}

#[test]
fn a_log_that_cannot_be_cleaned_is_left_alone() {
    let world = World::new(compacted());
    let manager = world.start();
    let entry = world.fill(&manager, "damaged", 5);
    let other = world.fill(&manager, "other", 3);
    let grabbed = manager.grab_filthiest(NOW).unwrap();
    let reason = || LogError::Corrupt {
        path: world.root.path().into(),
        position: 7,
        reason: "a bit is wrong".into(),
    };
    manager.cleaned(&grabbed, CleanResult::Failed(reason()), NOW);
    let next = manager.grab_filthiest(NOW).unwrap();
    assert_ne!(next.partition, grabbed.partition);
    assert!(manager.grab_filthiest(NOW).is_none());
    let (quarantined, cause) = manager.uncleanable().remove(0);
    assert!(Arc::ptr_eq(&quarantined.log, &grabbed.entry.log));
    assert!(cause.contains("a bit is wrong"), "{cause}");
    assert!(!manager.has_offline_dirs());
    for log in [&entry.log, &other.log] {
        let end = log.read().end_offset();
        log.write().delete_records(end).unwrap();
    }
    // The other one is still being cleaned.
    assert_eq!(manager.delete_old_compacted(NOW).segments, 0);
    manager.cleaned(&next, CleanResult::Void, NOW);
    assert!(manager.delete_old_compacted(NOW).segments > 0);
    assert_eq!(grabbed.entry.log.read().start_offset(), grabbed.entry.log.read().end_offset());
    assert!(grabbed.entry.log.read().segment_count() > 1);
    // A log that goes away while it is cleaned is no news; a failing disk is.
    let io = || LogError::Io {
        action: "read",
        path: world.root.path().into(),
        source: std::io::Error::other("the disk is broken"),
    };
    world.fill(&manager, "third", 3);
    let third = manager.grab_filthiest(NOW).unwrap();
    manager.delete([third.partition.clone()], 0, NOW);
    manager.cleaned(&third, CleanResult::Failed(io()), NOW);
    assert!(!manager.has_offline_dirs());
    world.fill(&manager, "fourth", 3);
    let fourth = manager.grab_filthiest(NOW).unwrap();
    manager.cleaned(&fourth, CleanResult::Failed(io()), NOW);
    assert!(manager.has_offline_dirs());
}

#[test]
fn retention_of_compacted_logs_is_their_cleaners() {
    let world = World::new(compacted());
    let manager = world.start();
    let compact = world.fill(&manager, "compact", 5);
    let both = world.fill(&manager, "both", 5);
    both.log.write().set_config(Arc::new(LogConfig { delete: true, ..compacted() }));
    let later = WallMs(NOW.0 + 10_000);
    compact.log.write().delete_records(Offset(2)).unwrap();
    assert_eq!(manager.delete_old_segments(later), 0);
    let deleted = manager.delete_old_compacted(later);
    assert_eq!(deleted.segments, 2 + 5);
    let logs = [&compact, &both].map(|entry| entry.topic_id.unwrap());
    assert_eq!(deleted.logs.len(), 2);
    assert!(logs.iter().all(|id| deleted.logs.contains(&TopicIdPartition::new(*id, 0))));
    let starts = |entry: &LogEntry| entry.log.read().segment_base_offsets();
    assert_eq!(starts(&compact), [Offset(2), Offset(3), Offset(4)]);
    assert_eq!(starts(&both), [Offset(5)]);
}

#[test]
fn a_log_waits_until_its_directory_has_room_for_a_copy() {
    let world = World::new(compacted());
    let manager = world.start();
    world.fill(&manager, "all", 3);
    manager.look_at_space(i64::MAX);
    assert!(manager.grab_filthiest(NOW).is_none());
    manager.look_at_space(0);
    assert_eq!(topic(&manager.grab_filthiest(NOW)), Some("all"));
}

/// What the old checkpoint says holds: it is cleaned again at worst.
#[test]
fn a_full_disk_keeps_no_directory_from_its_logs_when_the_cleaner_writes_down_its_place() {
    let world = World::new(compacted());
    let disk = SmallDisk::new(1 << 20);
    let manager = started(world.root.path(), &world.config, Arc::new(disk.clone()), NOW);
    let entry = world.fill(&manager, "topic", 5);
    let grabbed = manager.grab_filthiest(NOW).unwrap();
    disk.set_names_left(Some(0));
    clean(&manager, &grabbed);
    manager.checkpoint_recovery_points();
    assert!(disk.refused() > 0);
    assert!(!manager.has_offline_dirs());
    assert_eq!((world.checkpoint(), entry.log.read().failure()), (Vec::new(), None));
    disk.set_names_left(None);
    manager.checkpoint_recovery_points();
    assert_eq!(world.checkpoint(), ["topic 0 4"]);
}
