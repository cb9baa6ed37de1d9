//! Power losses: what is acknowledged with `flush.messages=1` is on the disk of the leader and of all that are in sync, whenever
//! the power goes and whatever that takes of what was not synced.
//!
//! Three replicas on simulated disks with slow syncs, a driver that lets one produce, one fetch, another lead; then every moment of
//! every disk is looked at.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::{BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, TopicIdPartition, TopicPartition};
use base::{Uuid, WallMs};
use bytes::BytesMut;
use config::BrokerConfig;
use metadata::Image;
use parking_lot::RwLock;
use records::{BatchBuilder, Compression};
use replication::{Ask, LeaderConfig, Refusal};
use simdisk::rng::Rng;
use simdisk::{Loss, SimDisk};
use storage::disk::Disk;
use storage::log::{LogConfig, OpenOptions};
use storage::{FilePool, Log};
use tokio::sync::oneshot::error::TryRecvError;

use super::slow_disk::SlowDisk;
use super::*;
use crate::clock::Clock;
use crate::partitions::neighbours::Neighbours;
use crate::partitions::settings::PartitionSettings;
use crate::partitions::{FetchedPart, ReadRequest, Reader, Turn};

const REPLICAS: usize = 3;
const SYNC: Duration = Duration::from_micros(300);
const WALL: WallMs = WallMs(1_700_000_000_000);

fn path() -> PathBuf {
    PathBuf::from("/data/topic-0")
}

fn node_id(no: usize) -> NodeId {
    NodeId(i32::try_from(no).unwrap())
}

struct Replica {
    disk: SimDisk,
    partition: Arc<Partition>,
    config: Arc<LogConfig>,
    /// Where recovery was to begin, after so many operations of the disk.
    points: Vec<(u64, Offset)>,
}

impl Replica {
    fn new(no: usize, flush_messages: i64) -> Self {
        let disk = SimDisk::default();
        disk.create_dir(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.take_photos();
        let before_sync = Arc::new(|| {
            std::thread::sleep(SYNC);
            Ok(())
        });
        let slow = SlowDisk { disk: Arc::new(disk.clone()), slow: "", before_sync };
        let mut topic = BrokerConfig::default().topic_defaults;
        topic.flush_messages = flush_messages;
        // Some rolls, too.
        topic.internal_segment_bytes = Some(1500);
        let settings = Arc::new(PartitionSettings::new(&topic, false));
        let config = Arc::clone(&settings.log);
        let options = OpenOptions { config: Arc::clone(&config), ..OpenOptions::default() };
        let name = TopicPartition::new("topic", 0);
        let log = Log::open(&FilePool::new(Arc::new(slow), 16), path(), name, options, WALL);
        let image = Arc::new(ArcSwap::from_pointee(Image::default()));
        let neighbours = Arc::new(Neighbours::new(node_id(no), image, Clock::new()));
        let (id, log) = (TopicIdPartition::new(Uuid::ONE, 0), Arc::new(RwLock::new(log.unwrap())));
        let partition = Partition::new(id, "topic".into(), log, settings, neighbours);
        Self { disk, partition: Arc::new(partition), config, points: Vec::new() }
    }

    /// As the checkpoint would say.
    fn note_point(&mut self) {
        let point = self.partition.with_log(|log| log.recovery_point());
        self.points.push((self.disk.operations(), point));
    }
}

/// A record that somebody waits for.
struct Sent {
    offset: Offset,
    value: Vec<u8>,
    /// Whose disks must have it.
    by: Vec<usize>,
    waiting: Option<oneshot::Receiver<Written>>,
}

/// One that was acknowledged, with the operations that every disk had done then.
struct Acked {
    sent: Sent,
    after: Vec<u64>,
}

struct World {
    rng: Rng,
    replicas: Vec<Replica>,
    leader: usize,
    epoch: i32,
    now: Now,
    sent: Vec<Sent>,
    acked: Vec<Acked>,
    written: usize,
}

impl World {
    /// With `flush.messages` of each replica.
    fn new(seed: u64, flush_messages: [i64; REPLICAS]) -> Self {
        let replicas = (0..).zip(flush_messages).map(|(no, count)| Replica::new(no, count));
        let mut world = Self {
            rng: Rng::new(seed),
            replicas: replicas.collect(),
            leader: 0,
            epoch: 0,
            now: Now { wall: WALL, mono: MonoMs(0) },
            sent: Vec::new(),
            acked: Vec::new(),
            written: 0,
        };
        world.elect(0);
        world
    }

    fn live(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now.mono = self.now.mono.plus_ms(20);
            match self.rng.upto(19) {
                0 => {
                    let next = self.rng.upto(REPLICAS - 1);
                    self.elect(next);
                }
                1..=6 => self.produce(),
                7 => std::thread::sleep(SYNC),
                _ => {
                    let follower = self.rng.upto(REPLICAS - 1);
                    self.fetch(follower);
                }
            }
            self.look();
        }
        // Everybody gets what is left.
        for _ in 0..200 {
            self.now.mono = self.now.mono.plus_ms(20);
            (0..REPLICAS).for_each(|follower| self.fetch(follower));
            self.look();
            if self.sent.is_empty() {
                return;
            }
            std::thread::sleep(SYNC);
        }
        panic!("{} records wait for ever", self.sent.len());
    }

    fn elect(&mut self, leader: usize) {
        self.epoch += 1;
        self.leader = leader;
        let (epoch, replicas) = (self.epoch, (0..REPLICAS).map(node_id).collect::<Vec<_>>());
        for (no, replica) in self.replicas.iter().enumerate() {
            if no != leader {
                let epoch = LeaderEpoch(epoch);
                replica.partition.follow(node_id(leader), epoch, 1000, self.now).unwrap();
                continue;
            }
            let config = LeaderConfig {
                node_id: node_id(no),
                leader_epoch: LeaderEpoch(epoch),
                partition_epoch: PartitionEpoch(epoch),
                epoch_start: Offset::NONE,
                replicas: replicas.clone(),
                isr: replicas.clone(),
                min_insync_replicas: 2,
                lag_time_max_ms: 30_000,
            };
            replica.partition.lead(config, self.now.mono).unwrap();
        }
    }

    fn produce(&mut self) {
        self.written += 1;
        let value = format!("value {:06}", self.written).into_bytes();
        let mut batch = BatchBuilder::new(Compression::None);
        batch.append(WALL.0, None, Some(&value), &[]).unwrap();
        let bytes = BytesMut::from(&batch.build().unwrap()[..]);
        let all = !self.rng.one_in(4);
        let by = if all { (0..REPLICAS).collect() } else { vec![self.leader] };
        let leader = &self.replicas[self.leader].partition;
        let appended = leader.append(bytes, all, None, self.now, MonoMs::NEVER).unwrap();
        let sent = Sent { offset: appended.first_offset, value, by, waiting: appended.committed };
        match &sent.waiting {
            Some(_) => self.sent.push(sent),
            // With acks=1 the next leader may not have it: nobody is told that it has.
            None if sent.by.len() == 1 => {}
            None => self.ack(sent),
        }
    }

    fn ack(&mut self, sent: Sent) {
        let after = self.replicas.iter().map(|replica| replica.disk.operations()).collect();
        self.acked.push(Acked { sent, after });
    }

    fn fetch(&mut self, follower: usize) {
        if follower == self.leader {
            return;
        }
        let (own, leader) = (&self.replicas[follower], &self.replicas[self.leader].partition);
        let turn = own.partition.ask_locked(
            &mut own.partition.lock(),
            node_id(self.leader),
            self.now.mono,
        );
        let at = match turn {
            Some(Turn::Ask(_, Ask::Fetch(at))) => at,
            Some(Turn::Flush(done)) => {
                if self.rng.one_in(2) {
                    let _ = done.blocking_recv();
                }
                return;
            }
            _ => return,
        };
        let request = ReadRequest {
            reader: Reader::Replica { id: node_id(follower), broker_epoch: BrokerEpoch(1) },
            offset: at.offset,
            log_start: at.log_start,
            leader_epoch: at.leader_epoch,
            last_fetched_epoch: at.last_fetched_epoch,
            bytes_max: 300,
            whole_batch: true,
            cached_only: false,
            counts: true,
            client: None,
            now: self.now.mono,
        };
        let Ok(found) = leader.read_locked(&mut leader.lock(), &request) else {
            let refused = FetchedPart::Refused(Refusal::Retry);
            own.partition.fetched(at, refused, self.now);
            return;
        };
        if let Some((epoch, end)) = found.diverging {
            own.partition.fetched(at, FetchedPart::Diverging { epoch, end }, self.now);
            return;
        }
        let slice = found.data.and_then(|data| data.records);
        let bytes = slice.map(|slice| slice.read().unwrap()).unwrap_or_default();
        let (high_watermark, log_start) = (found.high_watermark, found.log_start);
        let part = FetchedPart::Records { bytes: &bytes, high_watermark, log_start };
        own.partition.fetched(at, part, self.now);
    }

    /// Notes who was answered, and where recovery would begin now.
    fn look(&mut self) {
        for mut sent in std::mem::take(&mut self.sent) {
            match sent.waiting.as_mut().unwrap().try_recv() {
                Ok(Written::Committed) => self.ack(sent),
                Ok(other) => panic!("{other:?}"),
                Err(TryRecvError::Empty) => self.sent.push(sent),
                // Another leads: a client would ask again.
                Err(TryRecvError::Closed) => {}
            }
        }
        self.replicas.iter_mut().for_each(Replica::note_point);
    }

    /// Looks at a crash at every moment of every disk; the first fault.
    fn check(&self) -> Result<usize, String> {
        let mut looked = 0;
        for (no, replica) in self.replicas.iter().enumerate() {
            for (n, photo) in replica.disk.photos().into_iter().enumerate() {
                let due = self.acked.iter().filter(|acked| {
                    // What had only to be on its leader's disk may be cut off by the next one.
                    acked.sent.by == [no] && self.epoch == 1 || acked.sent.by.len() == REPLICAS
                });
                let due: Vec<_> = due.filter(|acked| acked.after[no] <= photo.operation).collect();
                let points = &replica.points;
                let known = points.partition_point(|(at, _)| *at <= photo.operation);
                let point = known.checked_sub(1).map_or(Offset::ZERO, |last| points[last].1);
                let losses = Loss::every(n as u64);
                let loss = losses[n % losses.len()];
                let disk: Arc<dyn Disk> = Arc::new(photo.after_crash(loss));
                let log = recovered(&FilePool::new(disk, 16), &replica.config, point)?;
                for acked in due {
                    holds(&log, &acked.sent).map_err(|reason| {
                        let (at, what) = (photo.operation, &photo.what);
                        format!("replica {no} after operation {at} ({what}), {loss:?}: {reason}")
                    })?;
                }
                looked += 1;
            }
        }
        Ok(looked)
    }
}

fn recovered(pool: &Arc<FilePool>, config: &Arc<LogConfig>, point: Offset) -> Result<Log, String> {
    let config = Arc::clone(config);
    let options = OpenOptions { config, recovery_point: point, ..OpenOptions::default() };
    let name = TopicPartition::new("topic", 0);
    Log::open(pool, path(), name, options, WALL).map_err(|error| error.to_string())
}

fn holds(log: &Log, sent: &Sent) -> Result<(), String> {
    let (offset, end) = (sent.offset, log.end_offset());
    let found = log.read(offset, 1, end, true, false).map_err(|error| error.to_string())?;
    let bytes = found.records.map(|slice| slice.read().unwrap()).unwrap_or_default();
    let there = bytes.windows(sent.value.len()).any(|part| part == sent.value);
    if there { Ok(()) } else { Err(format!("nothing of it at {offset}, the end is {end}")) }
}

/// Looked at crashes and acknowledged records, or the first fault.
fn life(seed: u64, steps: usize, flush_messages: [i64; 3]) -> Result<(usize, usize), String> {
    let mut world = World::new(seed, flush_messages);
    world.live(steps);
    let looked = world.check().map_err(|reason| format!("seed {seed}: {reason}"))?;
    Ok((looked, world.acked.len()))
}

/// `MONEDULA_POWER_LIVES` is how many, `MONEDULA_POWER_SEED` the first one's seed.
#[test]
fn what_is_acknowledged_is_on_every_disk_in_sync() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let lives = number("MONEDULA_POWER_LIVES").unwrap_or(4);
    let first = number("MONEDULA_POWER_SEED").unwrap_or(1);
    let (mut looked, mut acked) = (0, 0);
    for seed in first..first + lives {
        let (crashes, records) = life(seed, 150, [1; REPLICAS]).unwrap();
        (looked, acked) = (looked + crashes, acked + records);
    }
    println!("{looked} crashes, {acked} acknowledged records");
    assert!(looked > 100 && acked > 20, "{looked} crashes, {acked} acknowledged records");
}

#[test]
fn without_flushes_there_are_losses() {
    for careless in [[i64::MAX; 3], [1, 1, i64::MAX], [i64::MAX, 1, 1]] {
        let lost = (1..20).filter_map(|seed| life(seed, 60, careless).err()).next();
        assert!(lost.is_some(), "{careless:?} loses nothing");
    }
}
