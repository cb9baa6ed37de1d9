//! On a disk whose syncs take as long as the test wants.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use base::{LeaderEpoch, NodeId, PartitionEpoch, TopicIdPartition, TopicPartition, Uuid, WallMs};
use bytes::BytesMut;
use config::BrokerConfig;
use metadata::Image;
use parking_lot::{Condvar, Mutex, RwLock};
use records::{BatchBuilder, Compression};
use replication::{Ask, LeaderConfig};
use storage::log::OpenOptions;
use storage::{FilePool, Log, RealDisk};
use tokio::sync::oneshot::error::TryRecvError;

use super::slow_disk::SlowDisk;
use super::*;
use crate::clock::Clock;
use crate::partitions::neighbours::Neighbours;
use crate::partitions::settings::PartitionSettings;
use crate::partitions::{Appended, FetchedPart, Followed, Turn};

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
            assert!(begin.elapsed() < Duration::from_secs(60), "no sync");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A partition that this node leads alone, with `flush.messages`.
struct Place {
    root: tempfile::TempDir,
    gate: Arc<Gate>,
    partition: Arc<Partition>,
}

impl Place {
    fn ask(&self) -> Option<Turn> {
        self.partition.ask_locked(&mut self.partition.lock(), NodeId(2), NOW.mono)
    }

    fn until_durable(&self) -> Option<oneshot::Receiver<Written>> {
        self.partition.until_durable_locked(&mut self.partition.lock())
    }

    fn new(flush_messages: i64) -> Self {
        Self::with_slow(".log", flush_messages)
    }

    /// Syncs of files whose names end so pass the gate.
    fn with_slow(slow: &'static str, flush_messages: i64) -> Self {
        let root = tempfile::tempdir().unwrap();
        let gate = Arc::new(Gate::default());
        gate.set(true);
        let mut topic = BrokerConfig::default().topic_defaults;
        topic.flush_messages = flush_messages;
        let settings = Arc::new(PartitionSettings::new(&topic, false));
        let passing = Arc::clone(&gate);
        let before_sync = Arc::new(move || passing.pass());
        let disk = SlowDisk { disk: Arc::new(RealDisk), slow, before_sync };
        let pool = FilePool::new(Arc::new(disk), 16);
        let options = OpenOptions { config: Arc::clone(&settings.log), ..OpenOptions::default() };
        let name = TopicPartition::new("topic", 0);
        let log = Log::open(&pool, root.path().join("topic-0"), name, options, NOW.wall).unwrap();
        let image = Arc::new(ArcSwap::from_pointee(Image::default()));
        let neighbours = Arc::new(Neighbours::new(NodeId(1), image, Clock::new()));
        let id = TopicIdPartition::new(Uuid::ONE, 0);
        let log = Arc::new(RwLock::new(log));
        let partition = Arc::new(Partition::new(id, "topic".into(), log, settings, neighbours));
        partition.lead(leader(1), NOW.mono).unwrap();
        Self { root, gate, partition }
    }

    fn append(&self, all: bool) -> Appended {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.append(NOW.wall.0, Some(b"key"), Some(b"value"), &[]).unwrap();
        let bytes = BytesMut::from(&batch.build().unwrap()[..]);
        self.partition.append(bytes, all, None, NOW, MonoMs(30_000)).unwrap()
    }

    /// All its records.
    fn bytes(&self) -> Vec<u8> {
        let read = |log: &mut Log| log.read(Offset(0), 1 << 20, log.end_offset(), true, false);
        self.partition.with_log(read).unwrap().records.unwrap().read().unwrap()
    }

    /// Takes these from the leader that it follows.
    fn fetch(&self, bytes: &[u8]) {
        let Some(Turn::Ask(_, Ask::Fetch(at))) = self.ask() else {
            panic!("it does not fetch");
        };
        let (high_watermark, log_start) = (Offset(0), Offset(0));
        let part = FetchedPart::Records { bytes, high_watermark, log_start };
        let followed = self.partition.fetched(at, part, NOW);
        assert!(matches!(followed, Followed::Appended { flush: true, .. }), "{followed:?}");
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
fn a_new_epoch_commits_nothing_before_the_sync() {
    let place = Place::new(1);
    place.gate.set(false);
    let mut waiting = place.append(true).committed.unwrap();
    place.gate.until_waiting();
    place.partition.lead(leader(2), NOW.mono).unwrap();
    assert_eq!(waiting.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(place.partition.high_watermark(), Offset(0));
    let next = place.append(true).committed.unwrap();
    place.gate.set(true);
    assert_eq!(waiting.blocking_recv(), Ok(Written::Committed));
    assert_eq!(next.blocking_recv(), Ok(Written::Committed));
    assert_eq!(place.recovery_point(), 2);
}

#[test]
fn what_comes_while_a_flush_is_under_way_does_not_wait_for_the_next() {
    let place = Place::new(3);
    place.gate.set(false);
    assert!(place.append(true).committed.is_none());
    assert!(place.append(true).committed.is_none());
    let third = place.append(true).committed.unwrap();
    place.gate.until_waiting();
    // Three are not durable yet: these wait. When they are, there are two, as many as may always be lost.
    let later = [place.append(true), place.append(false)].map(|sent| sent.committed.unwrap());
    place.gate.set(true);
    assert_eq!(third.blocking_recv(), Ok(Written::Committed));
    for waiting in later {
        assert_eq!(waiting.blocking_recv(), Ok(Written::Committed));
    }
    assert_eq!((place.partition.high_watermark(), place.recovery_point()), (Offset(5), 3));
}

#[test]
fn a_follower_tells_nothing_before_the_sync() {
    let place = Place::new(1);
    let source = Place::new(i64::MAX);
    source.append(false);
    let bytes = source.bytes();
    place.partition.follow(NodeId(2), LeaderEpoch(2), 1000, NOW).unwrap();
    place.gate.set(false);
    place.fetch(&bytes);
    for _ in 0..2 {
        assert!(matches!(place.ask(), Some(Turn::Flush(_))));
    }
    let done = place.until_durable().unwrap();
    place.gate.set(true);
    assert_eq!(done.blocking_recv(), Ok(Written::Committed));
    assert!(place.until_durable().is_none());
    let next = place.ask();
    assert!(matches!(next, Some(Turn::Ask(_, Ask::Fetch(at))) if at.offset == Offset(1)));
}

#[test]
fn a_follower_that_leads_counts_what_is_durable() {
    let place = Place::new(1);
    let source = Place::new(i64::MAX);
    source.append(false);
    place.partition.follow(NodeId(2), LeaderEpoch(2), 1000, NOW).unwrap();
    place.gate.set(false);
    place.fetch(&source.bytes());
    place.partition.lead(leader(3), NOW.mono).unwrap();
    assert_eq!(place.partition.high_watermark(), Offset(0));
    place.gate.until_waiting();
    place.gate.set(true);
    let next = place.append(true).committed.unwrap();
    assert_eq!(next.blocking_recv(), Ok(Written::Committed));
    assert_eq!((place.partition.high_watermark(), place.recovery_point()), (Offset(2), 2));
}

#[test]
fn nobody_waits_for_the_epochs_but_who_has_to() {
    let place = Place::with_slow("checkpoint.tmp", 1);
    let epochs =
        || std::fs::read_to_string(place.root.path().join("topic-0/leader-epoch-checkpoint"));
    place.gate.set(false);
    let mut first = place.append(true).committed.unwrap();
    place.gate.until_waiting();
    // The file of the first epoch is not durable yet; in the next one it lacks an entry.
    place.partition.lead(leader(2), NOW.mono).unwrap();
    let second = place.append(true).committed.unwrap();
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    assert!(epochs().is_err());
    place.gate.set(true);
    for waiting in [first, second] {
        assert_eq!(waiting.blocking_recv(), Ok(Written::Committed));
    }
    assert_eq!(epochs().unwrap(), "0\n2\n1 0\n2 1\n");
    assert_eq!(place.recovery_point(), 2);
}
