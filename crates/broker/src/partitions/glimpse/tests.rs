//! A partition whose log is being written to: what readers see of it, and what is left of them afterwards.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::time::Duration;

use arc_swap::ArcSwap;
use base::time::Now;
use base::{LeaderEpoch, PartitionEpoch, TopicIdPartition, TopicPartition, Uuid, WallMs};
use bytes::BytesMut;
use config::BrokerConfig;
use metadata::Image;
use parking_lot::RwLock;
use records::{BatchBuilder, Compression};
use replication::LeaderConfig;
use storage::log::OpenOptions;
use storage::{FilePool, Log, RealDisk};

use super::*;
use crate::clock::Clock;
use crate::partitions::neighbours::Neighbours;
use crate::partitions::settings::PartitionSettings;

const NOW: Now = Now { wall: WallMs(1_700_000_000_000), mono: MonoMs(0) };
const EPOCH: LeaderEpoch = LeaderEpoch(1);
const FOLLOWER: NodeId = NodeId(2);
const CONSUMER: Reader = Reader::Consumer { read_committed: false, leader_only: false };
const REPLICA: Reader = Reader::Replica { id: FOLLOWER, broker_epoch: base::BrokerEpoch(-1) };

/// A partition with a follower.
pub struct Place {
    _root: tempfile::TempDir,
    pub partition: Arc<Partition>,
}

impl Place {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let settings =
            Arc::new(PartitionSettings::new(&BrokerConfig::default().topic_defaults, false));
        let pool = FilePool::new(Arc::new(RealDisk), 16);
        let options = OpenOptions { config: Arc::clone(&settings.log), ..OpenOptions::default() };
        let name = TopicPartition::new("topic", 0);
        let log = Log::open(&pool, root.path().join("topic-0"), name, options, NOW.wall).unwrap();
        let image = Arc::new(ArcSwap::from_pointee(Image::default()));
        let neighbours = Arc::new(Neighbours::new(NodeId(1), image, Clock::new()));
        let id = TopicIdPartition::new(Uuid::ONE, 0);
        let log = Arc::new(RwLock::new(log));
        let partition = Arc::new(Partition::new(id, "topic".into(), log, settings, neighbours));
        let leader = LeaderConfig {
            node_id: NodeId(1),
            leader_epoch: EPOCH,
            partition_epoch: PartitionEpoch(1),
            epoch_start: Offset::NONE,
            replicas: vec![NodeId(1), FOLLOWER],
            isr: vec![NodeId(1), FOLLOWER],
            min_insync_replicas: 1,
            lag_time_max_ms: 30_000,
        };
        partition.lead(leader, NOW.mono).unwrap();
        Self { _root: root, partition }
    }

    pub fn append(&self, value: &[u8]) {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.append(NOW.wall.0, Some(b"key"), Some(value), &[]).unwrap();
        let bytes = BytesMut::from(&batch.build().unwrap()[..]);
        self.partition.append(bytes, false, None, NOW, MonoMs(30_000)).unwrap();
    }

    fn read(&self, reader: Reader, offset: i64) -> Result<ReadResult, PartitionFailure> {
        now(self.partition.read_beside(&request(reader, offset)))
    }

    /// Runs `meanwhile` while something is being written that takes long.
    fn while_writing<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let mut state = self.partition.lock();
        self.partition.write(&mut state, NOW.mono, |_| meanwhile())
    }
}

/// What completes without waiting for anybody.
fn now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limit = Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, future).await.expect("it waits") })
}

fn request(reader: Reader, offset: i64) -> ReadRequest<'static> {
    ReadRequest {
        reader,
        offset: Offset(offset),
        log_start: Offset::ZERO,
        leader_epoch: EPOCH,
        last_fetched_epoch: LeaderEpoch::NONE,
        bytes_max: 1 << 20,
        whole_batch: true,
        cached_only: true,
        counts: true,
        client: None,
        now: NOW.mono,
    }
}

#[test]
fn readers_see_what_was_there_before() {
    let place = Place::new();
    place.append(b"first");
    place.append(b"second");
    // The follower has the first one.
    place.read(REPLICA, 1).unwrap();
    let (consumer, replica) =
        place.while_writing(|| (place.read(CONSUMER, 0), place.read(REPLICA, 1)));
    let (consumer, replica) = (consumer.unwrap(), replica.unwrap());
    assert_eq!((consumer.high_watermark, consumer.log_end), (Offset(1), Offset(2)));
    let read = |result: &ReadResult| {
        let slice = result.data.as_ref().unwrap().records.clone().unwrap();
        slice.read().unwrap()
    };
    let bytes = |from: i64, to: i64| {
        let found = |log: &mut Log| log.read(Offset(from), 1 << 20, Offset(to), true, false);
        place.partition.with_log(found).unwrap().records.unwrap().read().unwrap()
    };
    assert_eq!(read(&consumer), bytes(0, 1));
    assert_eq!(read(&replica), bytes(1, 2));
    assert!(place.partition.glimpses.get().is_none());
}

#[test]
fn a_followers_place_counts_when_the_write_has_ended() {
    let place = Place::new();
    place.append(b"first");
    let waiter = FetchWaiter::new(1);
    let seen = place.read(CONSUMER, 0).unwrap();
    assert_eq!(seen.high_watermark, Offset(0));
    place.while_writing(|| {
        assert!(now(place.partition.add_reader_beside(&waiter, CONSUMER, &seen)));
        place.read(REPLICA, 1).unwrap();
        assert!(waiter.is_untouched());
    });
    assert_eq!(place.partition.high_watermark(), Offset(1));
    now(waiter.completed());
}

#[test]
fn who_saw_something_else_looks_again() {
    let place = Place::new();
    let before = place.read(CONSUMER, 0).unwrap();
    place.append(b"first");
    place.read(REPLICA, 1).unwrap();
    let waiter = FetchWaiter::new(1);
    let added =
        place.while_writing(|| now(place.partition.add_reader_beside(&waiter, CONSUMER, &before)));
    assert!(!added);
}

#[test]
fn what_only_the_partition_can_tell_is_left_to_it() {
    let place = Place::new();
    place.append(b"first");
    place.while_writing(|| {
        let glimpse = place.partition.glimpses.get().unwrap();
        let asked = |change: &dyn Fn(&mut ReadRequest<'static>)| {
            let mut request = request(REPLICA, 1);
            change(&mut request);
            glimpse.read(&request).is_some()
        };
        assert!(asked(&|_| {}));
        assert!(asked(&|request| request.last_fetched_epoch = EPOCH));
        assert!(asked(&|request| request.leader_epoch = LeaderEpoch::NONE));
        assert!(!asked(&|request| request.leader_epoch = LeaderEpoch(2)));
        assert!(!asked(&|request| request.last_fetched_epoch = LeaderEpoch(0)));
        assert!(!asked(&|request| request.offset = Offset(2)));
    });
}

#[test]
fn a_write_that_panics_leaves_nothing_to_be_seen() {
    let place = Place::new();
    let write = std::panic::AssertUnwindSafe(|| place.while_writing(|| panic!("a bug")));
    std::panic::catch_unwind(write).unwrap_err();
    assert!(place.partition.glimpses.get().is_none());
}

/// Retention and the cleaner hold the log alone, and nothing can be seen meanwhile.
#[test]
fn readers_do_not_wait_for_ever_for_who_holds_the_log() {
    let place = Place::new();
    place.append(b"first");
    let read = place.partition.with_log(|_| place.read(REPLICA, 0));
    assert!(matches!(read, Err(PartitionFailure::StandsStill)), "{read:?}");
    assert!(place.read(REPLICA, 0).unwrap().data.unwrap().records.is_some());
}
