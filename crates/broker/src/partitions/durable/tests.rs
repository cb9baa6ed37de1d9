//! On a disk whose syncs take as long as the test wants.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use base::{LeaderEpoch, NodeId, PartitionEpoch, TopicIdPartition, TopicPartition, Uuid, WallMs};
use bytes::BytesMut;
use config::BrokerConfig;
use metadata::Image;
use parking_lot::{Condvar, Mutex, RwLock};
use records::{BatchBuilder, Compression};
use replication::LeaderConfig;
use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};
use storage::log::OpenOptions;
use storage::{FilePool, Log, RealDisk};
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::partitions::Appended;
use crate::partitions::neighbours::Neighbours;
use crate::partitions::settings::PartitionSettings;

const NOW: Now = Now { wall: WallMs(1_700_000_000_000), mono: MonoMs(0) };

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    syncs: AtomicU32,
    waiting: AtomicU32,
    fails: Mutex<bool>,
}

impl Gate {
    fn set(&self, open: bool) {
        *self.open.lock() = open;
        self.changed.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut open = self.open.lock();
        while !*open {
            self.changed.wait(&mut open);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if *self.fails.lock() { Err(io::Error::other("sync failed")) } else { Ok(()) }
    }

    /// A sync is under way.
    fn until_waiting(&self) {
        let begin = Instant::now();
        while self.waiting.load(Ordering::SeqCst) == 0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "no sync");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

struct SlowDisk(Arc<Gate>);

/// Only syncs of a log's records wait.
struct SlowFile(Arc<dyn DiskFile>, Option<Arc<Gate>>);

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let slow = path.extension().is_some_and(|extension| extension == "log");
        let gate = slow.then(|| Arc::clone(&self.0));
        Ok(Arc::new(SlowFile(RealDisk.open(path, mode)?, gate)))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        RealDisk.list(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        RealDisk.stat(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        RealDisk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buf, position)
    }
    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.0.write_at(buf, position)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.0.preallocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.as_ref().map_or(Ok(()), |gate| gate.pass())
    }
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd()
    }
}

/// A partition that this node leads alone, with `flush.messages`.
struct Place {
    _root: tempfile::TempDir,
    gate: Arc<Gate>,
    partition: Arc<Partition>,
}

impl Place {
    fn new(flush_messages: i64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let gate = Arc::new(Gate::default());
        gate.set(true);
        let mut topic = BrokerConfig::default().topic_defaults;
        topic.flush_messages = flush_messages;
        let settings = Arc::new(PartitionSettings::new(&topic, false));
        let pool = FilePool::new(Arc::new(SlowDisk(Arc::clone(&gate))), 16);
        let options = OpenOptions { config: Arc::clone(&settings.log), ..OpenOptions::default() };
        let name = TopicPartition::new("topic", 0);
        let log = Log::open(&pool, root.path().join("topic-0"), name, options, NOW.wall).unwrap();
        let image = Arc::new(ArcSwap::from_pointee(Image::default()));
        let neighbours = Arc::new(Neighbours::new(NodeId(1), image, Clock::new()));
        let id = TopicIdPartition::new(Uuid::ONE, 0);
        let log = Arc::new(RwLock::new(log));
        let partition = Arc::new(Partition::new(id, "topic".into(), log, settings, neighbours));
        partition.lead(leader(1), NOW.mono).unwrap();
        Self { _root: root, gate, partition }
    }

    fn append(&self, all: bool) -> Appended {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.append(NOW.wall.0, Some(b"key"), Some(b"value"), &[]).unwrap();
        let bytes = BytesMut::from(&batch.build().unwrap()[..]);
        self.partition.append(bytes, all, None, NOW, MonoMs(30_000)).unwrap()
    }

    fn recovery_point(&self) -> i64 {
        self.partition.with_log(|log| log.recovery_point().get())
    }
}

fn leader(epoch: i32) -> LeaderConfig {
    LeaderConfig {
        node_id: NodeId(1),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(epoch),
        epoch_start: Offset::NONE,
        replicas: vec![NodeId(1)],
        isr: vec![NodeId(1)],
        min_insync_replicas: 1,
        lag_time_max_ms: 30_000,
    }
}

#[test]
fn nobody_is_answered_before_the_sync_and_one_sync_answers_all() {
    let place = Place::new(1);
    place.gate.set(false);
    let mut first = place.append(false).committed.unwrap();
    place.gate.until_waiting();
    // These come while the first flush is under way: the second one is for all of them.
    let mut later: Vec<_> = (0..20).map(|n| place.append(n % 2 == 0).committed.unwrap()).collect();
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(place.partition.high_watermark(), Offset(0));
    assert_eq!(place.recovery_point(), 0);
    let before = place.gate.syncs.load(Ordering::SeqCst);
    place.gate.set(true);
    assert_eq!(first.blocking_recv(), Ok(Written::Committed));
    for waiting in later.drain(..) {
        assert_eq!(waiting.blocking_recv(), Ok(Written::Committed));
    }
    assert_eq!(place.partition.high_watermark(), Offset(21));
    assert_eq!(place.recovery_point(), 21);
    assert_eq!(place.gate.syncs.load(Ordering::SeqCst) - before, 2);
}

#[test]
fn so_many_records_may_wait_for_a_flush() {
    let place = Place::new(3);
    place.gate.set(false);
    assert!(place.append(true).committed.is_none());
    assert!(place.append(false).committed.is_none());
    assert_eq!(place.partition.high_watermark(), Offset(2));
    let third = place.append(true).committed.unwrap();
    assert_eq!(place.partition.high_watermark(), Offset(2));
    place.gate.set(true);
    assert_eq!(third.blocking_recv(), Ok(Written::Committed));
    assert_eq!((place.partition.high_watermark(), place.recovery_point()), (Offset(3), 3));
}

#[test]
fn a_failed_sync_answers_nobody_and_ends_the_log() {
    let place = Place::new(1);
    *place.gate.fails.lock() = true;
    place.gate.set(false);
    let waiting = [place.append(true), place.append(false)].map(|sent| sent.committed.unwrap());
    place.gate.set(true);
    for waiting in waiting {
        assert!(waiting.blocking_recv().is_err(), "whoever waits asks another leader");
    }
    assert!(place.partition.is_offline());
    assert!(!place.partition.is_leader());
    assert_eq!(place.recovery_point(), 0);
    // Never again, although the disk is well.
    *place.gate.fails.lock() = false;
    assert_eq!(place.gate.syncs.load(Ordering::SeqCst), 1);
}

#[test]
fn a_new_epoch_lets_those_ask_again_who_wait() {
    let place = Place::new(1);
    place.gate.set(false);
    let waiting = place.append(true).committed.unwrap();
    place.gate.until_waiting();
    place.partition.lead(leader(2), NOW.mono).unwrap();
    assert!(waiting.blocking_recv().is_err());
    place.gate.set(true);
    let next = place.append(true).committed;
    if let Some(next) = next {
        assert_eq!(next.blocking_recv(), Ok(Written::Committed));
    }
    assert_eq!(place.recovery_point(), 2);
}
