//! A start that has no space for a log it finds: the log waits, with all that was written down of it, until it is wanted again.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;
#[path = "common/manager.rs"]
mod manager;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use base::{BrokerEpoch, Offset, TopicId, TopicPartition, Uuid};
use common::{NOW, append, read_all};
use manager::{formatted, started, started_with};
use small_disk::SmallDisk;
use storage::dirs::{DirError, LogEntry, LogManager, NewLog, clean_shutdown};
use storage::{LogConfig, RealDisk};

const STARTS: &str = "log-start-offset-checkpoint";
const ID: TopicId = Uuid([7; 16]);

struct World {
    root: tempfile::TempDir,
    disk: SmallDisk,
    config: Arc<LogConfig>,
}

fn partition() -> TopicPartition {
    TopicPartition::new("topic", 0)
}

impl World {
    /// A log of four records, the first of them deleted; then the process ended, the last batch is damaged, an index is gone, and
    /// no file can be made any more.
    fn new() -> Self {
        let (root, disk) = (formatted(NOW), SmallDisk::new(1 << 20));
        let world = Self { root, disk, config: Arc::default() };
        let manager = world.start();
        let entry = world.get_or_create(&manager, ID).unwrap();
        {
            let mut log = entry.log.write();
            for n in 0..4 {
                append(&mut log, NOW.0, &[n; 100]);
            }
            log.set_high_watermark(Offset(4));
            log.delete_records(Offset(1)).unwrap();
        }
        manager.checkpoint_log_starts();
        drop((manager, entry));
        let file = world.path("topic-0/00000000000000000000.log");
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file, bytes).unwrap();
        fs::remove_file(world.path("topic-0/00000000000000000000.timeindex")).unwrap();
        world.disk.set_names_left(Some(0));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn start(&self) -> LogManager {
        started(self.root.path(), &self.config, Arc::new(self.disk.clone()), NOW)
    }

    fn get_or_create(&self, manager: &LogManager, topic_id: TopicId) -> Result<LogEntry, DirError> {
        let (partition, config) = (partition(), Arc::clone(&self.config));
        let new = NewLog { partition: &partition, topic_id, config, target: None, is_new: false };
        manager.get_or_create(&new, NOW)
    }

    /// The directories of logs.
    fn dirs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.path()).unwrap().map(Result::unwrap);
        let dirs = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        dirs.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn a_log_without_space_at_the_start_is_recovered_and_starts_where_it_did() {
    let world = World::new();
    let manager = world.start();
    assert!(manager.all().is_empty());
    assert!(world.get_or_create(&manager, ID).is_err_and(|fault| fault.is_full()));
    world.disk.set_names_left(None);
    manager.checkpoint_log_starts();
    assert_eq!(fs::read_to_string(world.path(STARTS)).unwrap(), "0\n1\ntopic 0 1\n");
    let entry = world.get_or_create(&manager, ID).unwrap();
    let log = entry.log.read();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(1), Offset(3)));
    assert_eq!(read_all(&log, 1).len(), 2);
    assert_eq!(manager.online_ids().len(), 1);
}

/// A stop that leaves it as it was says nothing of how it is.
#[test]
fn a_log_that_was_never_recovered_is_recovered_by_the_start_after() {
    let world = World::new();
    let manager = world.start();
    world.disk.set_names_left(None);
    manager.shut_down(BrokerEpoch(1), 1, NOW);
    assert!(!clean_shutdown::exists(&RealDisk, world.root.path()).unwrap());
    drop(manager);
    let manager = world.start();
    let log = manager.get(&partition()).unwrap().log;
    let log = log.read();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(1), Offset(3)));
}

#[test]
fn what_waits_for_space_is_set_aside_for_another_topic_and_removed_with_its_own() {
    for deleted in [true, false] {
        let world = World::new();
        let manager = world.start();
        world.disk.set_names_left(None);
        if deleted {
            assert_eq!(manager.delete([partition()], 0, NOW), []);
            assert!(world.dirs().iter().all(|dir| dir.ends_with("-delete")), "{:?}", world.dirs());
            manager.run_removals(NOW);
            assert_eq!(world.dirs(), [""; 0]);
        }
        let entry = world.get_or_create(&manager, Uuid([8; 16])).unwrap();
        assert_eq!(entry.log.read().end_offset(), Offset(0));
        let strays = world.dirs().iter().filter(|dir| dir.ends_with("-stray")).count();
        assert_eq!(strays, usize::from(!deleted));
    }
}

/// A topic was deleted and made anew under the same name meanwhile.
#[test]
fn what_could_not_be_set_aside_at_the_start_is_no_other_topics_log() {
    let world = World::new();
    let disk = Arc::new(world.disk.clone());
    let manager = started_with(world.root.path(), &world.config, disk, NOW, true);
    assert_eq!(world.dirs(), ["topic-0"]);
    assert!(world.get_or_create(&manager, Uuid([8; 16])).is_err_and(|fault| fault.is_full()));
    world.disk.set_names_left(None);
    let entry = world.get_or_create(&manager, Uuid([8; 16])).unwrap();
    assert_eq!(entry.log.read().end_offset(), Offset(0));
    assert_eq!(world.dirs().iter().filter(|dir| dir.ends_with("-stray")).count(), 1);
}
