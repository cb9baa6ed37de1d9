//! A life of one partition, made up from a seed: every kind of change a log goes through, and what was promised after each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{BrokerEpoch, LeaderEpoch, Offset, TopicPartition, Uuid, WallMs};
use records::{AppendOrigin, Compression, EndTxnMarker};
use simdisk::SimDisk;
use simdisk::rng::Rng;
use storage::dirs::{DirError, LoadOptions, LogEntry, LogManager, NewLog, Unique};
use storage::log::ProducerConfig;
use storage::{Disk, FilePool, Log, LogConfig};

use crate::common::{self, NOW, client_batch, idempotent, prepared, transactional};
use crate::reference::{Batch, State, batch};

pub const PARTITION: &str = "topic";
const ID: Uuid = Uuid([7; 16]);
/// More retained than this goes.
const RETENTION_BYTES: i64 = 2500;

/// For the names of directories on their way out.
static UNIQUE: AtomicU64 = AtomicU64::new(1);

/// One step of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Plain,
    Idempotent(i64),
    Transactional(i64),
    EndTransaction(i64, bool),
    NewProducerEpoch(i64),
    Roll,
    Flush,
    Work,
    Truncate(usize),
    StartOver,
    DeleteRecords(usize),
    DeleteSegments,
    CheckpointRecoveryPoints,
    CheckpointStarts,
    CheckpointWatermarks,
    SyncCreated,
    Removals,
    CleanRestart,
    Recreate,
}

/// A life of so many steps. The partition is made first, and now and then anew.
pub fn script(seed: u64, steps: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut script = vec![Step::SyncCreated];
    while script.len() < steps {
        let producer = rng.upto(1) as i64;
        script.push(match rng.upto(37) {
            0..=5 => Step::Plain,
            6..=10 => Step::Idempotent(10 + producer),
            11..=16 => Step::Transactional(20 + producer),
            17..=20 => Step::EndTransaction(20 + producer, rng.one_in(2)),
            21 => Step::NewProducerEpoch(10 + producer * 10),
            22 | 23 => Step::Roll,
            24..=26 => Step::Flush,
            27 | 28 => Step::Work,
            29 => Step::Truncate(1 + rng.upto(4)),
            30 => Step::DeleteRecords(rng.upto(6)),
            31 => Step::DeleteSegments,
            32 => Step::CheckpointRecoveryPoints,
            33 => Step::CheckpointStarts,
            34 => Step::CheckpointWatermarks,
            35 => Step::Removals,
            36 => Step::CleanRestart,
            _ => match rng.upto(3) {
                0 => Step::Recreate,
                1 => Step::StartOver,
                _ => Step::SyncCreated,
            },
        });
    }
    script
}

/// What the log's owner has been told so far.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The partition is there for good.
    pub exists: bool,
    /// The current branch, with what retention has removed.
    pub history: Vec<Arc<Batch>>,
    /// All of the history below is durable.
    pub promised: i64,
    /// The log starts neither earlier nor later, after a crash either.
    pub start_least: i64,
    pub start_most: i64,
}

/// What was told at which operation of the disk, and every batch that was ever given to the log.
#[derive(Default)]
pub struct Record {
    pub told: Vec<(u64, Step, Told)>,
    pub given: BTreeSet<Vec<u8>>,
}

impl Record {
    /// What counts for a crash after so many operations.
    pub fn at(&self, operation: u64) -> &(u64, Step, Told) {
        let after = self.told.partition_point(|(at, _, _)| *at <= operation);
        &self.told[after.saturating_sub(1)]
    }
}

/// Opens the directory as a start of the broker does.
pub fn start(disk: &Arc<dyn Disk>, root: &Path) -> Result<LogManager, DirError> {
    let unique: Unique = Arc::new(|| UNIQUE.fetch_add(1, Ordering::Relaxed).into());
    let pool = FilePool::new(Arc::clone(disk), 64);
    let dirs = [root.to_path_buf()];
    let manager = LogManager::new(pool, &dirs, ProducerConfig::default(), unique)?;
    let options = LoadOptions {
        config: &|_| config(),
        is_stray: &|_, _| false,
        threads_per_dir: 1,
        delete_delay_ms: 0,
    };
    manager.load(&options, NOW)?;
    Ok(manager)
}

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 100,
        retention_bytes: RETENTION_BYTES,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    })
}

pub fn partition() -> TopicPartition {
    TopicPartition::new(PARTITION, 0)
}

/// The broker that lives the script.
pub struct Life {
    disk: Arc<dyn Disk>,
    sim: SimDisk,
    root: PathBuf,
    manager: LogManager,
    entry: LogEntry,
    leader_epoch: i32,
    coordinator_epoch: i32,
    steps: i64,
    told: Told,
    record: Record,
}

impl Life {
    /// `disk` is `sim`, or something in front of it.
    pub fn new(disk: Arc<dyn Disk>, sim: SimDisk, root: &Path) -> Self {
        sim.create_dir(root).unwrap();
        for dir in root.ancestors() {
            sim.sync_dir(dir).unwrap();
        }
        sim.take_photos();
        let manager = start(&disk, root).unwrap();
        let entry = create(&manager);
        Self {
            disk,
            sim,
            root: root.to_path_buf(),
            manager,
            entry,
            leader_epoch: 1,
            coordinator_epoch: 1,
            steps: 0,
            told: Told::default(),
            record: Record {
                told: vec![(0, Step::SyncCreated, Told::default())],
                ..Record::default()
            },
        }
    }

    pub fn live(mut self, script: &[Step]) -> Record {
        for step in script {
            self.expect(*step);
            self.note(*step);
            self.take(*step);
            self.learn(*step);
            self.note(*step);
        }
        self.record
    }

    fn note(&mut self, step: Step) {
        self.record.told.push((self.sim.operations(), step, self.told.clone()));
    }

    fn log<T>(&self, run: impl FnOnce(&mut Log) -> T) -> T {
        run(&mut self.entry.log.write())
    }

    /// What can no longer be counted on once a step has begun.
    fn expect(&mut self, step: Step) {
        let told = &mut self.told;
        match step {
            Step::Truncate(_) => {
                let offset = cut(told, step);
                told.promised = told.promised.min(offset);
                told.start_least = told.start_least.min(offset);
            }
            Step::StartOver => {
                (told.promised, told.start_least, told.start_most) = (0, 0, i64::MAX);
            }
            Step::DeleteRecords(_) | Step::DeleteSegments => told.start_most = i64::MAX,
            Step::Recreate => {
                (told.exists, told.promised) = (false, 0);
                (told.start_least, told.start_most) = (0, i64::MAX);
            }
            _ => {}
        }
    }

    fn take(&mut self, step: Step) {
        self.steps += 1;
        let now = WallMs(NOW.0 + self.steps);
        match step {
            Step::Plain => self.append(None, false),
            Step::Idempotent(id) | Step::NewProducerEpoch(id) if id < 20 => {
                self.append(Some(id), matches!(step, Step::NewProducerEpoch(_)));
            }
            Step::Idempotent(id) | Step::Transactional(id) => self.append(Some(id), false),
            Step::NewProducerEpoch(id) => self.append(Some(id), true),
            Step::EndTransaction(id, commit) => self.end(id, commit),
            Step::Roll => drop(self.log(|log| log.roll(now)).unwrap()),
            Step::Flush => {
                self.manager.flush(&self.entry, now);
                self.log(|log| assert_eq!(log.recovery_point(), log.end_offset()));
            }
            Step::Work => self.manager.run_work(&self.entry, now),
            Step::Truncate(_) => {
                let offset = cut(&self.told, step);
                self.log(|log| log.truncate_to(Offset(offset), now)).unwrap();
                self.told.history.retain(|batch| batch.base < offset);
                self.leader_epoch += 1;
                // Before the log grows again, as a broker's fetchers do.
                self.manager.checkpoint_recovery_points();
            }
            Step::StartOver => {
                let offset = self.log(|log| log.end_offset().0) + 5;
                self.log(|log| log.truncate_fully_and_start_at(Offset(offset), None, now)).unwrap();
                self.told.history.clear();
                self.leader_epoch += 1;
                self.manager.checkpoint_recovery_points();
            }
            Step::DeleteRecords(keep) => {
                let history = &self.told.history;
                let kept = history.len().checked_sub(keep).and_then(|slot| history.get(slot));
                let offset = kept.map_or(0, |batch| batch.base);
                self.log(|log| log.delete_records(Offset(offset))).unwrap();
            }
            Step::DeleteSegments => {
                self.manager.delete_old_segments(now);
            }
            Step::CheckpointRecoveryPoints => self.manager.checkpoint_recovery_points(),
            Step::CheckpointStarts => self.manager.checkpoint_log_starts(),
            Step::CheckpointWatermarks => self.manager.checkpoint_high_watermarks(),
            Step::SyncCreated => self.manager.sync_created().unwrap(),
            Step::Removals => drop(self.manager.run_removals(WallMs(i64::MAX))),
            Step::CleanRestart => self.restart(now),
            Step::Recreate => {
                assert!(self.manager.delete([partition()], 0, now).is_empty());
                self.entry = create(&self.manager);
                self.told.history.clear();
            }
        }
        assert!(self.manager.take_failures().is_empty(), "{step:?}");
    }

    /// What the log has told by the end of a step.
    fn learn(&mut self, step: Step) {
        let told = &mut self.told;
        let log = self.entry.log.read();
        let start = log.start_offset().0;
        let first = log.segment_base_offsets()[0].0;
        told.promised = told.promised.max(log.recovery_point().0);
        // What went with its segment may come back when that does: a start counts once it is written down.
        told.start_most =
            if told.start_most == i64::MAX { start } else { told.start_most.max(start) };
        match step {
            Step::SyncCreated => told.exists = true,
            Step::CleanRestart => {
                told.exists = true;
                told.start_least = start;
            }
            Step::CheckpointStarts if start > first => told.start_least = start,
            _ => {}
        }
    }

    fn restart(&mut self, now: WallMs) {
        self.manager.run_work(&self.entry, now);
        self.manager.shut_down(BrokerEpoch(1), 1, now);
        self.manager = start(&self.disk, &self.root).unwrap();
        let was = self.log(|log| (log.start_offset(), log.end_offset()));
        self.entry = self.manager.get(&partition()).unwrap();
        self.log(|log| {
            assert_eq!((log.start_offset(), log.end_offset()), was);
            log.set_high_watermark(log.end_offset());
        });
    }

    fn append(&mut self, producer: Option<i64>, new_epoch: bool) {
        let known = producer.and_then(|id| {
            State::after(self.told.history.iter().map(Arc::as_ref)).producers.remove(&id)
        });
        let (epoch, sequence) = match &known {
            None => (0, 0),
            Some(known) if new_epoch => (known.epoch + 1, 0),
            Some(known) => (known.epoch, known.last_sequence + 1),
        };
        if new_epoch && known.is_some_and(|known| known.open_since.is_some()) {
            return;
        }
        let producer = producer.and_then(|id| match id {
            ..20 => idempotent(id, epoch, sequence),
            _ => transactional(id, epoch, sequence),
        });
        let count = 1 + self.steps % 3;
        let values: Vec<Vec<u8>> =
            (0..count).map(|n| vec![self.steps as u8; 10 + 9 * n as usize]).collect();
        let records: Vec<(i64, &[u8])> =
            values.iter().map(|value| (NOW.0 + self.steps, value.as_slice())).collect();
        let codec = if self.steps % 4 == 0 { Compression::Zstd } else { Compression::None };
        let mut given = prepared(client_batch(&records, codec, producer), AppendOrigin::Client);
        self.log_append(|log, epoch| {
            log.append_as_leader(&mut given, epoch, AppendOrigin::Client, NOW).unwrap();
            given.bytes().to_vec()
        });
    }

    fn end(&mut self, id: i64, commit: bool) {
        let state = State::after(self.told.history.iter().map(Arc::as_ref));
        let Some(producer) = state.producers.get(&id).filter(|p| p.open_since.is_some()) else {
            return;
        };
        let marker = EndTxnMarker { commit, coordinator_epoch: self.coordinator_epoch };
        let ids = (base::ProducerId(id), base::ProducerEpoch(producer.epoch));
        let epoch = LeaderEpoch(self.leader_epoch);
        let bytes = marker.batch(Offset::ZERO, epoch, NOW.0, ids.0, ids.1).unwrap();
        let mut given = prepared(bytes, AppendOrigin::Coordinator);
        self.coordinator_epoch += i32::from(self.steps % 2 == 0);
        self.log_append(|log, epoch| {
            log.append_marker(&mut given, epoch, 1, NOW).unwrap();
            given.bytes().to_vec()
        });
    }

    fn log_append(&mut self, append: impl FnOnce(&mut Log, LeaderEpoch) -> Vec<u8>) {
        let epoch = LeaderEpoch(self.leader_epoch);
        let bytes = self.log(|log| {
            let bytes = append(log, epoch);
            log.set_high_watermark(log.end_offset());
            bytes
        });
        self.record.given.insert(bytes.clone());
        self.told.history.push(Arc::new(batch(&bytes).unwrap()));
    }
}

/// Where a truncation cuts.
fn cut(told: &Told, step: Step) -> i64 {
    let Step::Truncate(batches) = step else { return i64::MAX };
    let slot = told.history.len().saturating_sub(batches);
    told.history.get(slot).map_or(0, |batch| batch.base.max(told.start_most))
}

pub fn create(manager: &LogManager) -> LogEntry {
    let new = NewLog {
        partition: &partition(),
        topic_id: ID,
        config: config(),
        target: None,
        is_new: true,
    };
    manager.get_or_create(&new, NOW).unwrap()
}

/// Reads what the log serves, in small reads, as raw batches.
pub fn served(log: &Log) -> Result<Vec<Batch>, String> {
    let mut found: Vec<Batch> = Vec::new();
    let mut next = log.start_offset().0;
    while next < log.end_offset().0 {
        let data = common::read(log, next, 300).map_err(|error| error.to_string())?;
        let Some(slice) = data.records else { break };
        let bytes = slice.read().map_err(|error| error.to_string())?;
        let mut at = 0;
        while let Some(batch) = batch(&bytes[at..]) {
            at += batch.bytes.len();
            next = batch.last + 1;
            found.push(batch);
        }
        if at == 0 {
            return Err(format!("what is served at {next} is no valid batch"));
        }
    }
    Ok(found)
}
