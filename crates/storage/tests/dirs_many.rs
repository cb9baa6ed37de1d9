//! Many partitions at once: a change of a thousand partitions writes a log directory's small files as often as a change of one.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{BrokerEpoch, TopicPartition, Uuid, WallMs};
use simdisk::SimDisk;
use storage::dirs::{LoadOptions, LogManager, NewLog, Unique};
use storage::log::ProducerConfig;
use storage::{Disk, FilePool, LogConfig};

const NOW: WallMs = WallMs(1_700_000_000_000);

fn partitions(count: i32) -> Vec<TopicPartition> {
    (0..count).map(|index| TopicPartition::new("many", index)).collect()
}

fn start(disk: &SimDisk, root: &Path) -> LogManager {
    let counter = AtomicU64::new(disk.operations());
    let unique: Unique = Arc::new(move || counter.fetch_add(1, Ordering::Relaxed).into());
    let pool = FilePool::new(Arc::new(disk.clone()), 64);
    let manager =
        LogManager::new(pool, &[root.to_path_buf()], ProducerConfig::default(), unique).unwrap();
    let options = LoadOptions {
        config: &|_| Arc::default(),
        is_stray: &|_, _| false,
        threads_per_dir: 1,
        delete_delay_ms: 0,
    };
    manager.load(&options, NOW).unwrap();
    manager
}

fn create(manager: &LogManager, partitions: &[TopicPartition]) {
    for partition in partitions {
        let new = NewLog {
            partition,
            topic_id: Uuid([7; 16]),
            config: Arc::new(LogConfig::default()),
            target: None,
            is_new: true,
        };
        manager.get_or_create(&new, NOW).unwrap();
    }
    manager.sync_created().unwrap();
}

/// How often each small file of the directory was written, and how often names were made durable.
fn counted(disk: &SimDisk, root: &Path, run: impl FnOnce()) -> (u64, BTreeMap<String, usize>) {
    disk.take_photos();
    let before = disk.operations();
    run();
    let operations = disk.operations() - before;
    let mut counts = BTreeMap::new();
    let above = format!("sync directory {}", root.display());
    for photo in disk.photos() {
        let written = photo.what.strip_prefix("rename ").and_then(|what| what.split(" to ").nth(1));
        let file = written.map(Path::new).filter(|path| path.parent() == Some(root));
        let name = file.and_then(|path| path.file_name()?.to_str());
        if let Some(name) = name.filter(|name| name.ends_with("checkpoint")) {
            *counts.entry(name.to_owned()).or_default() += 1;
        } else if photo.what == above {
            *counts.entry("names".to_owned()).or_default() += 1;
        }
    }
    (operations, counts)
}

struct Lived {
    created: (u64, BTreeMap<String, usize>),
    deleted: (u64, BTreeMap<String, usize>),
    stopped: (u64, BTreeMap<String, usize>),
}

/// So many partitions are created, deleted, created anew; and a clean stop.
fn live(count: i32) -> Lived {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let disk = SimDisk::default();
    disk.create_dir(root).unwrap();
    let manager = start(&disk, root);
    // One that stays: the checkpoints have something to say.
    create(&manager, &[TopicPartition::new("one", 0)]);
    let partitions = partitions(count);
    let created = counted(&disk, root, || create(&manager, &partitions));
    let deleted = counted(&disk, root, || {
        assert!(manager.delete(partitions.clone(), 0, NOW).is_empty());
    });
    create(&manager, &partitions);
    let stopped = counted(&disk, root, || manager.shut_down(BrokerEpoch(1), 1, NOW));
    Lived { created, deleted, stopped }
}

#[test]
fn many_partitions_are_written_down_at_once() {
    let (few, many) = (live(4), live(60));
    assert_eq!(few.created.1, many.created.1, "creating");
    assert_eq!(few.deleted.1, many.deleted.1, "deleting");
    assert_eq!(few.stopped.1, many.stopped.1, "stopping");
    assert_eq!(many.created.1, BTreeMap::from([("names".to_owned(), 1)]));
    assert_eq!(many.deleted.1.get("recovery-point-offset-checkpoint"), Some(&1));
    // A rename each, and nothing else.
    assert_eq!(many.deleted.0 - few.deleted.0, 56);
}

/// Above a number of new directories one sync of the file system is cheaper than one of each.
#[test]
fn very_many_new_partitions_are_synced_together() {
    let root = tempfile::tempdir().unwrap();
    let disk = SimDisk::default();
    disk.create_dir(root.path()).unwrap();
    let manager = start(&disk, root.path());
    let partitions = partitions(200);
    for partition in &partitions {
        let new = NewLog {
            partition,
            topic_id: Uuid([7; 16]),
            config: Arc::new(LogConfig::default()),
            target: None,
            is_new: true,
        };
        manager.get_or_create(&new, NOW).unwrap();
    }
    let before = disk.operations();
    manager.sync_created().unwrap();
    assert_eq!(disk.operations() - before, 1);
}
