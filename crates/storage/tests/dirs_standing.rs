//! Of two log directories the first stands still, because somebody holds one of its logs: what deals with both of them goes on.
#![allow(clippy::unwrap_used)] // helpers of tests

#[path = "common/commit.rs"]
mod commit;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use base::{BrokerEpoch, NodeId, TopicPartition, Uuid, WallMs};
use commit::commit;
use records::{BatchBuilder, Compression};
use storage::dirs::{
    LoadOptions, LogEntry, LogManager, MetaProperties, NewLog, Unique, clean_shutdown,
};
use storage::log::ProducerConfig;
use storage::{FilePool, LogConfig, RealDisk};

const NOW: WallMs = WallMs(1_700_000_000_000);
const LIMIT: Duration = Duration::from_secs(60);

struct World {
    root: tempfile::TempDir,
    manager: Arc<LogManager>,
    /// One in each directory.
    logs: [LogEntry; 2],
}

impl World {
    /// Every append rolls.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dirs = ["d0", "d1"].map(|name| root.path().join(name));
        for (n, dir) in (1..).zip(&dirs) {
            std::fs::create_dir(dir).unwrap();
            let meta = MetaProperties::new("cluster", NodeId(1), Uuid([n; 16]));
            meta.write(&RealDisk, dir, NOW).unwrap();
        }
        let counter = AtomicU64::new(1);
        let unique: Unique = Arc::new(move || counter.fetch_add(1, Ordering::Relaxed).into());
        let pool = FilePool::new(Arc::new(RealDisk), 64);
        let manager = LogManager::new(pool, &dirs, ProducerConfig::default(), unique).unwrap();
        let config = Arc::new(LogConfig {
            segment_bytes: 100,
            compact: true,
            delete: false,
            ..LogConfig::default()
        });
        let options = LoadOptions {
            config: &|_| Arc::clone(&config),
            is_stray: &|_, _| false,
            threads_per_dir: 1,
            delete_delay_ms: 0,
        };
        manager.load(&options, NOW).unwrap();
        let logs = [0, 1].map(|n| {
            let partition = TopicPartition::new("t", n);
            let topic_id = Uuid([7; 16]);
            let config = Arc::clone(&config);
            let new =
                NewLog { partition: &partition, topic_id, config, target: None, is_new: true };
            manager.get_or_create(&new, NOW).unwrap()
        });
        let lies = |entry| manager.dir_of(entry).unwrap().0.to_path_buf();
        assert_eq!([lies(&logs[0]), lies(&logs[1])], dirs);
        for entry in &logs {
            (0..4).for_each(|n| append(entry, NOW.0 - 1000 + n));
            manager.run_work(entry, NOW);
        }
        Self { root, manager: Arc::new(manager), logs }
    }

    /// What it does is done although a log of the first directory is held.
    fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LogManager) -> T + Send + 'static,
    ) -> Option<T> {
        let (done, is_done) = mpsc::channel();
        let manager = Arc::clone(&self.manager);
        std::thread::spawn(move || {
            let _late = done.send(work(&manager));
        });
        is_done.recv_timeout(LIMIT).ok()
    }
}

fn append(entry: &LogEntry, timestamp: i64) {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(timestamp, Some(b"key"), Some(b"a value"), &[]).unwrap();
    commit(entry, builder, NOW);
}

#[test]
fn the_cleaner_takes_another_log() {
    let world = World::new();
    let held = world.logs[0].log.write();
    let grabbed = world.beside(|manager| {
        manager.delete_old_compacted(NOW);
        manager.grab_filthiest(NOW).map(|grabbed| grabbed.partition)
    });
    assert_eq!(grabbed, Some(Some(TopicPartition::new("t", 1))));
    drop(held);
}

#[test]
fn its_failure_is_told() {
    let world = World::new();
    let held = world.logs[0].log.write();
    let entry = world.logs[0].clone();
    let failures = world.beside(move |manager| {
        manager.fail_log(&entry, &"it stands still");
        manager.take_failures()
    });
    let partitions = failures.unwrap().into_iter().map(|failure| failure.partitions);
    assert_eq!(partitions.collect::<Vec<_>>(), [[TopicPartition::new("t", 0)]]);
    assert!(held.failure().is_none());
    drop(held);
    let begin = Instant::now();
    while world.logs[0].log.read().failure().is_none() {
        assert!(begin.elapsed() < LIMIT, "the log fails when it is let go");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(world.logs[1].log.read().failure().is_none());
}

#[test]
fn another_directory_is_stopped_cleanly() {
    let world = World::new();
    let held = world.logs[0].log.write();
    let manager = Arc::clone(&world.manager);
    let stopping = std::thread::spawn(move || manager.shut_down(BrokerEpoch(1), 1, NOW));
    let is_clean = |dir: &str| world.root.path().join(dir).join(clean_shutdown::FILE_NAME).exists();
    let begin = Instant::now();
    while !is_clean("d1") {
        assert!(begin.elapsed() < LIMIT, "it waits for another");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!is_clean("d0"));
    drop(held);
    stopping.join().unwrap();
    assert!(is_clean("d0"));
}
