//! The manager of all logs: loading, creating, deleting, checkpoints, directories that fail, clean and unclean stops.
#![allow(clippy::unwrap_used)] // helpers of tests

#[path = "common/commit.rs"]
mod commit;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::{
    BrokerEpoch, DirectoryId, NodeId, Offset, TopicId, TopicIdPartition, TopicPartition, Uuid,
    WallMs,
};
use commit::commit;
use records::{BatchBuilder, Compression};
use storage::dirs::{
    DirError, LoadOptions, LoadReport, LogEntry, LogManager, MetaProperties, NewLog, Unique,
    clean_shutdown,
};
use storage::disk::{FileInfo, OpenMode};
use storage::log::ProducerConfig;
use storage::{Disk, DiskFile, FilePool, LogConfig, RealDisk};

const NOW: WallMs = WallMs(1_700_000_000_000);
const DELAY_MS: u64 = 60_000;

/// The real disk, until writing small files is refused.
#[derive(Default)]
struct Breakable {
    broken_dir: parking_lot::Mutex<Option<PathBuf>>,
    breaks: AtomicBool,
}

impl Breakable {
    fn check(&self, path: &Path) -> io::Result<()> {
        let broken = self.broken_dir.lock().as_ref().is_some_and(|dir| path.starts_with(dir));
        if broken && self.breaks.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }
}

impl Disk for Breakable {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.check(path)?;
        RealDisk.open(path, mode)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.check(path)?;
        RealDisk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        self.check(path)?;
        RealDisk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        RealDisk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(to)?;
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

struct World {
    root: tempfile::TempDir,
    disk: Arc<Breakable>,
    dirs: Vec<PathBuf>,
}

fn dir_id(index: u8) -> DirectoryId {
    Uuid([index + 1; 16])
}

fn topic_id(topic: &str) -> TopicId {
    Uuid([topic.len() as u8 + 100; 16])
}

impl World {
    fn new(dirs: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..dirs).map(|n| root.path().join(format!("d{n}"))).collect();
        for (index, path) in paths.iter().enumerate() {
            fs::create_dir(path).unwrap();
            let meta = MetaProperties::new("cluster", NodeId(1), dir_id(index as u8));
            meta.write(&RealDisk, path, NOW).unwrap();
        }
        Self { root, disk: Arc::default(), dirs: paths }
    }

    fn open(&self) -> Result<LogManager, DirError> {
        let counter = AtomicU64::new(1);
        let unique: Unique = Arc::new(move || counter.fetch_add(1, Ordering::Relaxed).into());
        let disk: Arc<dyn Disk> = self.disk.clone();
        LogManager::new(FilePool::new(disk, 64), &self.dirs, ProducerConfig::default(), unique)
    }

    fn load(
        &self,
        is_stray: &(dyn Fn(&TopicPartition, Option<TopicId>) -> bool + Sync),
    ) -> Result<(LogManager, LoadReport), DirError> {
        let manager = self.open()?;
        let options = LoadOptions {
            config: &|_| Arc::default(),
            is_stray,
            threads_per_dir: 2,
            delete_delay_ms: DELAY_MS,
        };
        let report = manager.load(&options, NOW)?;
        Ok((manager, report))
    }

    fn start(&self) -> (LogManager, LoadReport) {
        self.load(&|_, _| false).unwrap()
    }

    fn entries(&self, dir: usize) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.dirs[dir])
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn has_dir(&self, dir: usize, suffix: &str) -> bool {
        self.entries(dir).iter().any(|name| name.ends_with(suffix))
    }
}

fn create(manager: &LogManager, topic: &str, partition: i32) -> LogEntry {
    create_in(manager, topic, partition, None, true).unwrap()
}

fn create_in(
    manager: &LogManager,
    topic: &str,
    partition: i32,
    target: Option<DirectoryId>,
    is_new: bool,
) -> Result<LogEntry, DirError> {
    let partition = TopicPartition::new(topic, partition);
    let config = Arc::new(LogConfig { segment_bytes: 300, ..LogConfig::default() });
    let topic_id = topic_id(topic);
    let new = NewLog { partition: &partition, topic_id, config, target, is_new };
    manager.get_or_create(&new, NOW)
}

fn append(entry: &LogEntry, records: usize) {
    let mut builder = BatchBuilder::new(Compression::None);
    for n in 0..records {
        builder.append(NOW.0, None, Some(format!("value {n}").as_bytes()), &[]).unwrap();
    }
    commit(entry, builder, NOW);
}

fn get(manager: &LogManager, topic: &str, partition: i32) -> Option<LogEntry> {
    manager.get(&TopicPartition::new(topic, partition))
}

fn end(manager: &LogManager, topic: &str, partition: i32) -> Option<i64> {
    get(manager, topic, partition).map(|entry| entry.log.read().end_offset().0)
}

#[test]
fn logs_come_back_after_a_clean_stop() {
    let world = World::new(2);
    let (manager, report) = world.start();
    assert_eq!(report, LoadReport::default());
    for partition in 0..4 {
        let entry = create(&manager, "my.topic-x", partition);
        append(&entry, partition as usize + 1);
    }
    create(&manager, "empty", 0);
    manager.sync_created().unwrap();
    manager.checkpoint_high_watermarks();
    manager.shut_down(BrokerEpoch(9), 2, NOW);
    drop(manager);
    for dir in &world.dirs {
        assert_eq!(clean_shutdown::read_epoch(&RealDisk, dir), Some(BrokerEpoch(9)));
    }
    // Spread over both directories: the one with fewer logs is taken.
    assert_eq!(world.entries(0).iter().filter(|name| name.contains("topic-x-")).count(), 2);

    let (manager, report) = world.start();
    assert_eq!(report, LoadReport { logs: 5, ..LoadReport::default() });
    for (partition, dir) in world.dirs.iter().cycle().take(4).enumerate() {
        let partition = partition as i32;
        assert_eq!(end(&manager, "my.topic-x", partition), Some(i64::from(partition) + 1));
        let entry = get(&manager, "my.topic-x", partition).unwrap();
        assert_eq!(entry.topic_id, Some(topic_id("my.topic-x")));
        let log = entry.log.read();
        assert_eq!(log.high_watermark(), log.end_offset());
        assert_eq!(log.recovery_point(), log.end_offset());
        assert_eq!(manager.dir_of(&entry).unwrap().0, dir);
    }
    assert_eq!(end(&manager, "empty", 0), Some(0));
    assert!(world.dirs.iter().all(|dir| manager.was_clean(dir)));
    // The marker is gone as long as the broker runs.
    assert!(!clean_shutdown::exists(&RealDisk, &world.dirs[0]).unwrap());
}

#[test]
fn logs_recover_after_an_unclean_stop() {
    let world = World::new(1);
    let (manager, _) = world.start();
    append(&create(&manager, "t", 0), 3);
    append(&get(&manager, "t", 0).unwrap(), 4);
    drop(manager);
    let log = world.dirs[0].join("t-0").join("00000000000000000000.log");
    let len = fs::metadata(&log).unwrap().len();
    fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(len - 1).unwrap();

    let (manager, report) = world.start();
    assert_eq!(report, LoadReport { logs: 1, unclean_dirs: 1, ..LoadReport::default() });
    assert_eq!(end(&manager, "t", 0), Some(3));
    assert!(!manager.was_clean(&world.dirs[0]));
}

#[test]
fn deleted_logs_go_after_their_delay() {
    let world = World::new(1);
    let (manager, _) = world.start();
    let entry = create(&manager, "gone", 0);
    append(&entry, 1);
    append(&create(&manager, "stays", 0), 1);
    manager.checkpoint_recovery_points();
    let missing = [TopicPartition::new("gone", 0), TopicPartition::new("never", 1)];
    assert_eq!(manager.delete(missing.clone(), DELAY_MS, NOW), missing[1..]);
    assert!(get(&manager, "gone", 0).is_none() && get(&manager, "stays", 0).is_some());
    assert!(entry.log.read().failure().is_some());
    assert!(world.has_dir(0, "-delete") && !world.has_dir(0, "gone-0"));
    let checkpoint = fs::read_to_string(world.dirs[0].join("recovery-point-offset-checkpoint"));
    assert_eq!(checkpoint.unwrap(), "0\n1\nstays 0 0\n");

    let due = WallMs(NOW.0 + DELAY_MS as i64);
    assert_eq!(manager.run_removals(WallMs(due.0 - 1)), Some(due));
    assert!(world.has_dir(0, "-delete"));
    assert_eq!(manager.run_removals(due), None);
    assert!(!world.has_dir(0, "-delete"));

    // The name is free again at once; what a stop leaves behind goes after the next start.
    append(&create(&manager, "gone", 0), 2);
    assert_eq!(manager.delete(missing[..1].to_vec(), DELAY_MS, NOW), []);
    drop(manager);
    let (manager, report) = world.start();
    assert_eq!((report.logs, report.marked_for_removal), (1, 1));
    assert_eq!(manager.run_removals(due), None);
    assert!(!world.has_dir(0, "-delete"));
}

#[test]
fn strays_are_set_aside() {
    let world = World::new(1);
    let (manager, _) = world.start();
    append(&create(&manager, "mine", 0), 1);
    append(&create(&manager, "stray", 0), 1);
    append(&create(&manager, "later", 0), 1);
    drop(manager);
    let stray = |partition: &TopicPartition, id: Option<TopicId>| {
        assert_eq!(id, Some(topic_id(&partition.topic)));
        &*partition.topic == "stray"
    };
    let (manager, report) = world.load(&stray).unwrap();
    assert_eq!((report.logs, report.stray), (2, 1));
    assert!(world.has_dir(0, "-stray") && get(&manager, "stray", 0).is_none());
    assert!(manager.mark_stray([TopicPartition::new("later", 0)], NOW).is_empty());
    assert_eq!(manager.run_removals(WallMs(i64::MAX)), None);
    drop(manager);
    let (_, report) = world.start();
    assert_eq!((report.logs, report.stray), (1, 2));
}

#[test]
fn a_log_goes_where_it_is_assigned() {
    let world = World::new(3);
    let (manager, _) = world.start();
    let dir_of = |entry: &LogEntry| manager.dir_of(entry).unwrap().1.unwrap();
    for (partition, target, expected) in [
        (0, Some(dir_id(2)), dir_id(2)),
        (1, Some(Uuid::DIR_UNASSIGNED), dir_id(0)),
        (2, Some(Uuid([9; 16])), dir_id(1)),
        (3, None, dir_id(0)),
    ] {
        let entry = create_in(&manager, "t", partition, target, true).unwrap();
        assert_eq!(dir_of(&entry), expected, "{partition}");
    }
    // The same again is the same log; another topic's id is refused.
    let again = create_in(&manager, "t", 0, None, true).unwrap();
    assert_eq!(dir_of(&again), dir_id(2));
    let partition = TopicPartition::new("t", 0);
    let config: Arc<LogConfig> = Arc::default();
    let new = NewLog {
        partition: &partition,
        topic_id: Uuid([5; 16]),
        config,
        target: None,
        is_new: true,
    };
    assert!(matches!(manager.get_or_create(&new, NOW), Err(DirError::TopicId { .. })));
    let text = fs::read_to_string(world.dirs[2].join("t-0/partition.metadata")).unwrap();
    assert_eq!(text, format!("version: 0\ntopic_id: {}", topic_id("t")));
}

#[test]
fn what_cannot_be_loaded_names_its_place() {
    let fault = |prepare: &dyn Fn(&World)| {
        let world = World::new(2);
        let (manager, _) = world.start();
        append(&create(&manager, "t", 0), 1);
        drop(manager);
        prepare(&world);
        world.load(&|_, _| false).map(|_| ()).unwrap_err().to_string()
    };
    let text = fault(&|world| fs::create_dir(world.dirs[1].join("lost+found")).unwrap());
    assert!(text.contains("d1/lost+found") && text.contains("not in the form of"), "{text}");
    let text = fault(&|world| {
        fs::create_dir(world.dirs[1].join("t-0")).unwrap();
    });
    assert!(text.contains("Duplicate log directories for t-0"), "{text}");
    assert!(text.contains("d0/t-0") && text.contains("d1/t-0"), "{text}");
    let text = fault(&|world| {
        fs::write(world.dirs[0].join("t-0/partition.metadata"), "rubbish").unwrap();
    });
    assert!(text.contains("d0/t-0/partition.metadata"), "{text}");

    // A checkpoint at fault costs time, not data.
    let world = World::new(1);
    let (manager, _) = world.start();
    append(&create(&manager, "t", 0), 3);
    manager.shut_down(BrokerEpoch(1), 1, NOW);
    for name in ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint"] {
        fs::write(world.dirs[0].join(name), "rubbish").unwrap();
    }
    let (manager, _) = world.start();
    assert_eq!(end(&manager, "t", 0), Some(3));
}

#[test]
fn a_directory_belongs_to_one_manager() {
    let mut world = World::new(2);
    let first = world.open().unwrap();
    assert!(matches!(world.open().map(|_| ()), Err(DirError::Locked { .. })));
    drop(first);
    world.open().unwrap();
    world.dirs.push(world.root.path().join("d0/../d0"));
    let fault = world.open().map(|_| ()).unwrap_err();
    assert!(matches!(fault, DirError::DuplicateDir { .. } | DirError::Locked { .. }), "{fault}");
}

#[test]
fn a_directory_that_cannot_be_opened_is_offline() {
    let mut world = World::new(1);
    world.dirs.push(world.root.path().join("new/deep"));
    world.dirs.push(world.root.path().join("file"));
    fs::write(&world.dirs[2], "").unwrap();
    let (manager, _) = world.start();
    assert!(world.dirs[1].is_dir());
    let failures = manager.take_failures();
    assert_eq!(failures.iter().map(|failure| &failure.dir).collect::<Vec<_>>(), [&world.dirs[2]]);
    assert!(failures[0].cause.contains("is not a directory"));
    assert_eq!(manager.online_ids(), [dir_id(0)]);
    assert!(create_in(&manager, "t", 0, None, true).is_ok());
    // It may have its log in the directory that is offline.
    let refused = create_in(&manager, "t", 1, None, false).map(|_| ());
    assert!(matches!(refused, Err(DirError::MaybeOffline { .. })));
    drop(manager);
    world.dirs.drain(..2);
    assert!(matches!(world.open().map(|_| ()), Err(DirError::NoneOnline { .. })));
}

#[test]
fn a_failing_disk_takes_its_directory_offline() {
    let world = World::new(2);
    let (manager, _) = world.start();
    let (a, b) = (create(&manager, "a", 0), create(&manager, "b", 0));
    append(&a, 1);
    append(&b, 1);
    *world.disk.broken_dir.lock() = Some(world.dirs[0].clone());
    world.disk.breaks.store(true, Ordering::Relaxed);
    manager.checkpoint_recovery_points();
    let failures = manager.take_failures();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].partitions, [TopicPartition::new("a", 0)]);
    assert_eq!(failures[0].id, Some(dir_id(0)));
    assert!(failures[0].cause.contains("the disk is broken"), "{}", failures[0].cause);
    assert!(get(&manager, "a", 0).is_none() && a.log.read().failure().is_some());
    append(&b, 1);
    manager.check_any_online().unwrap();
    manager.shut_down(BrokerEpoch(1), 1, NOW);
    // No clean marker where the disk failed.
    assert!(!clean_shutdown::exists(&RealDisk, &world.dirs[0]).unwrap());
    assert!(clean_shutdown::exists(&RealDisk, &world.dirs[1]).unwrap());
}

/// A log that is being written to, on a disk that stands still, is told later.
#[test]
fn a_directory_fails_without_waiting_for_those_who_write() {
    let world = World::new(2);
    let (manager, _) = world.start();
    let busy = create_in(&manager, "busy", 0, Some(dir_id(0)), true).unwrap();
    let idle = create_in(&manager, "idle", 0, Some(dir_id(0)), true).unwrap();
    let writes = busy.log.write();
    manager.fail_log(&idle, &"its disk failed");
    assert_eq!(manager.online_ids(), [dir_id(1)]);
    assert_eq!(manager.take_failures()[0].partitions.len(), 2);
    assert!(idle.log.read().failure().is_some() && writes.failure().is_none());
    drop(writes);
    let begin = Instant::now();
    while busy.log.read().failure().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn retention_and_deleted_records() {
    let world = World::new(1);
    let (manager, _) = world.start();
    let entry = create(&manager, "t", 0);
    for _ in 0..10 {
        append(&entry, 4);
    }
    assert!(entry.log.read().segment_count() > 4);
    entry.log.write().delete_records(Offset(17)).unwrap();
    manager.checkpoint_log_starts();
    let path = world.dirs[0].join("log-start-offset-checkpoint");
    assert_eq!(fs::read_to_string(&path).unwrap(), "0\n1\nt 0 17\n");
    let gone = manager.delete_old_segments_of(0, NOW);
    assert!(gone.segments > 0);
    assert_eq!(gone.logs, [TopicIdPartition::new(entry.topic_id.unwrap(), 0)]);
    assert!(manager.delete_old_segments_of(0, NOW).logs.is_empty());
    assert_eq!(entry.log.read().start_offset(), Offset(17));
    let deleted = || {
        let files = fs::read_dir(world.dirs[0].join("t-0")).unwrap();
        files
            .filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "deleted"))
            .count()
    };
    assert!(deleted() > 0);
    assert!(manager.run_removals(NOW).is_some() && deleted() > 0);
    assert_eq!(manager.run_removals(WallMs(NOW.0 + DELAY_MS as i64)), None);
    assert_eq!(deleted(), 0);
    manager.flush(&entry, NOW);
    manager.shut_down(BrokerEpoch(1), 1, NOW);
    drop((manager, entry));
    let (manager, _) = world.start();
    let entry = get(&manager, "t", 0).unwrap();
    assert_eq!(entry.log.read().start_offset(), Offset(17));
    assert_eq!(entry.log.read().end_offset(), Offset(40));
    assert_eq!(manager.take_failures().len(), 0);
}

/// A log that is made durable at once waits for its own directory only, and that one does not go offline for another's fault.
#[test]
fn a_log_that_is_durable_at_once_asks_nothing_of_other_directories() {
    let world = World::new(2);
    let (manager, _) = world.start();
    create_in(&manager, "later", 0, Some(dir_id(0)), true).unwrap();
    *world.disk.broken_dir.lock() = Some(world.dirs[0].clone());
    world.disk.breaks.store(true, Ordering::Relaxed);
    let partition = TopicPartition::new("durable", 0);
    let config = Arc::new(LogConfig { flush_messages: 1, ..LogConfig::default() });
    let (topic_id, target) = (topic_id("durable"), Some(dir_id(1)));
    let new = NewLog { partition: &partition, topic_id, config, target, is_new: true };
    manager.get_or_create(&new, NOW).unwrap();
    assert!(world.has_dir(1, "durable-0"));
    assert_eq!(manager.online_ids(), [dir_id(0), dir_id(1)]);
    // Those whose own it is go offline with it.
    create_in(&manager, "later", 1, Some(dir_id(1)), true).unwrap();
    manager.delete([TopicPartition::new("later", 1)], 0, NOW);
    manager.sync_created_of(1);
    assert!(!manager.has_offline_dirs());
    manager.sync_created_of(0);
    assert_eq!(manager.online_ids(), [dir_id(1)]);
}
