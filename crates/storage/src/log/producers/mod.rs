//! The producers of one log: sequences against duplicates and gaps, open transactions, and their snapshots on disk.

mod entry;
mod marker;
mod snapshot;
mod update;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base::{Offset, ProducerEpoch, ProducerId, TopicPartition, WallMs};
use records::{AnyBatch, AppendOrigin};

pub use entry::{BATCHES_KEPT, ProducerBatch, ProducerEntry};
pub use snapshot::{decode as decode_snapshot, encode as encode_snapshot};
pub use update::CompletedTxn;
pub(crate) use update::ProducerUpdate;

use super::config::ProducerConfig;
use super::error::{LogError, Result};
use super::files::LogFiles;
use super::names;
use crate::disk::OpenMode;

/// A snapshot larger than this is none: 5 million producers.
const MAX_SNAPSHOT_LEN: u64 = 256 << 20;
/// How much longer than the largest transaction timeout a transaction may stay open before it counts as hanging.
const LATE_TRANSACTION_BUFFER_MS: i64 = 5 * 60_000;

/// A transaction that is open, or decided but not yet below the high watermark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Txn {
    producer_id: i64,
    /// Offset of the marker.
    last_offset: Option<i64>,
}

/// An active producer as DescribeProducers shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveProducer {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// −1: none.
    pub last_sequence: i32,
    pub last_timestamp: i64,
    /// −1: none.
    pub coordinator_epoch: i32,
    pub txn_start_offset: Option<Offset>,
}

/// The state of all producers up to [`ProducerState::end_offset`].
#[derive(Debug)]
pub(crate) struct ProducerState {
    name: TopicPartition,
    config: ProducerConfig,
    producers: HashMap<i64, ProducerEntry>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<i64, Txn>,
    /// Decided transactions whose marker is not below the high watermark, by their first offset.
    unreplicated: BTreeMap<i64, Txn>,
    /// Offsets of the snapshot files.
    snapshots: BTreeSet<i64>,
    end_offset: i64,
    last_snapshot: i64,
}

/// What one append does to the producers, validated and not yet applied.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub updates: Vec<ProducerUpdate>,
    pub completed: Vec<CompletedTxn>,
}

impl ProducerState {
    pub fn new(name: TopicPartition, config: ProducerConfig, snapshots: BTreeSet<i64>) -> Self {
        Self {
            name,
            config,
            producers: HashMap::new(),
            ongoing: BTreeMap::new(),
            unreplicated: BTreeMap::new(),
            snapshots,
            end_offset: 0,
            last_snapshot: 0,
        }
    }

    pub fn set_config(&mut self, config: ProducerConfig) {
        self.config = config;
    }

    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    pub fn set_end_offset(&mut self, offset: i64) {
        self.end_offset = offset;
    }

    pub fn is_empty(&self) -> bool {
        self.producers.is_empty() && self.unreplicated.is_empty()
    }

    pub fn entry(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> + '_ {
        self.producers.iter().map(|(producer_id, entry)| ActiveProducer {
            producer_id: ProducerId(*producer_id),
            producer_epoch: ProducerEpoch(entry.epoch),
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            txn_start_offset: entry.txn_first_offset.map(Offset),
        })
    }

    /// The first offset that is undecided, or decided by a marker that is not below the high watermark.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let ongoing = self.ongoing.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        ongoing.into_iter().chain(unreplicated).min().copied()
    }

    /// The last timestamp of the oldest open transaction is longer ago than any transaction may last.
    pub fn has_late_transaction(&self, now: WallMs) -> bool {
        let oldest = self.ongoing.values().next();
        let entry = oldest.and_then(|txn| self.producers.get(&txn.producer_id));
        let limit =
            self.config.max_transaction_timeout_ms.saturating_add(LATE_TRANSACTION_BUFFER_MS);
        entry.is_some_and(|entry| {
            entry.last_timestamp > 0 && now.0.saturating_sub(entry.last_timestamp) > limit
        })
    }

    /// Validates one batch with a producer id on top of what `prepared` holds already.
    pub fn prepare(
        &self,
        batch: &AnyBatch<'_>,
        origin: AppendOrigin,
        transaction_version: i16,
        prepared: &mut Prepared,
    ) -> Result<()> {
        let Some(header) = batch.v2().filter(|header| header.has_producer_id()) else {
            return Ok(());
        };
        let producer_id = header.producer_id.0;
        let known = prepared.updates.iter().position(|u| u.producer_id == producer_id);
        let slot = known.unwrap_or_else(|| {
            let current = self.producers.get(&producer_id).cloned().unwrap_or_default();
            let update = ProducerUpdate::new(producer_id, current, origin, transaction_version);
            prepared.updates.push(update);
            prepared.updates.len() - 1
        });
        let Some(update) = prepared.updates.get_mut(slot) else { return Ok(()) };
        if !header.attributes.is_control() {
            return update.append_data(&self.name, header);
        }
        let marker = marker::read(header, batch.bytes())
            .map_err(|source| LogError::InvalidBatch { log: self.name.to_string(), source })?;
        if let Some((marker, timestamp)) = marker {
            let completed = update.append_marker(&self.name, header, &marker, timestamp)?;
            prepared.completed.extend(completed);
        }
        Ok(())
    }

    /// Applies a validated update of one producer.
    pub fn apply(&mut self, producer_id: i64, updated: &ProducerEntry, started: &[i64]) {
        match self.producers.get_mut(&producer_id) {
            Some(entry) => entry.merge(updated),
            None => {
                self.producers.insert(producer_id, updated.clone());
            }
        }
        for first_offset in started {
            self.ongoing.insert(*first_offset, Txn { producer_id, last_offset: None });
        }
    }

    /// The first undecided offset once `completed` is over: what its index entry carries.
    pub fn last_stable_offset(&self, completed: &CompletedTxn) -> i64 {
        let next = self.ongoing.iter().find(|(_, txn)| txn.producer_id != completed.producer_id);
        next.map_or(completed.last_offset.saturating_add(1), |(first_offset, _)| *first_offset)
    }

    /// Marks a transaction as decided; it stays unstable until the high watermark passes its marker.
    pub fn complete(&mut self, completed: &CompletedTxn) {
        if let Some(mut txn) = self.ongoing.remove(&completed.first_offset) {
            txn.last_offset = Some(completed.last_offset);
            self.unreplicated.insert(completed.first_offset, txn);
        }
    }

    /// Everything below the high watermark is stable once it is decided.
    pub fn on_high_watermark(&mut self, high_watermark: i64) {
        if !self.unreplicated.is_empty() {
            self.unreplicated
                .retain(|_, txn| txn.last_offset.is_none_or(|last| last >= high_watermark));
        }
    }

    pub fn on_log_start(&mut self, log_start: i64) {
        self.on_high_watermark(log_start);
        self.end_offset = self.end_offset.max(log_start);
        self.last_snapshot = self.latest_snapshot().unwrap_or(log_start);
    }

    /// Forgets producers that have been silent for too long and have no open transaction.
    pub fn expire(&mut self, now: WallMs) {
        let limit = self.config.id_expiration_ms;
        self.producers.retain(|_, entry| !is_expired(entry, now, limit));
        if self.producers.is_empty() {
            self.producers = HashMap::new();
        }
    }

    // Snapshots.

    pub fn latest_snapshot(&self) -> Option<i64> {
        self.snapshots.last().copied()
    }

    pub fn snapshots(&self) -> &BTreeSet<i64> {
        &self.snapshots
    }

    /// Writes the state at the end offset unless that is written already. Not synced: a lost one is rebuilt from the
    /// log, and the flush that moves the recovery point past it syncs it.
    pub fn take_snapshot(&mut self, files: &LogFiles) -> Result<Option<i64>> {
        if self.end_offset <= self.last_snapshot {
            return Ok(None);
        }
        let path = files.dir().join(names::snapshot_file(self.end_offset));
        let mut entries: Vec<_> = self.producers.iter().map(|(id, entry)| (*id, entry)).collect();
        entries.sort_unstable_by_key(|(producer_id, _)| *producer_id);
        let bytes = snapshot::encode(entries.into_iter());
        let file = files
            .disk()
            .open(&path, OpenMode::CreateIfMissing)
            .map_err(LogError::io("create", &path))?;
        file.write_at(&bytes, 0).map_err(LogError::io("write", &path))?;
        if file.len().map_err(LogError::io("look at", &path))? > bytes.len() as u64 {
            file.set_len(bytes.len() as u64).map_err(LogError::io("truncate", &path))?;
        }
        self.snapshots.insert(self.end_offset);
        self.last_snapshot = self.end_offset;
        Ok(Some(self.end_offset))
    }

    /// Removes a snapshot from the list; the file is the caller's.
    pub fn forget_snapshot(&mut self, offset: i64) -> bool {
        self.snapshots.remove(&offset)
    }

    pub fn remove_snapshot(&mut self, files: &LogFiles, offset: i64) -> Result<()> {
        if self.snapshots.remove(&offset) {
            let path = files.dir().join(names::snapshot_file(offset));
            files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Removes the snapshots that belong to no segment, but for the newest of them when it lies beyond all segments: a
    /// clean stop leaves that one.
    pub fn remove_stray_snapshots(
        &mut self,
        files: &LogFiles,
        base_offsets: impl Fn(i64) -> bool,
        last_base_offset: i64,
    ) -> Result<()> {
        let strays: Vec<i64> =
            self.snapshots.iter().copied().filter(|offset| !base_offsets(*offset)).collect();
        let keep = strays.last().copied().filter(|offset| *offset >= last_base_offset);
        for stray in strays.into_iter().filter(|offset| Some(*offset) != keep) {
            self.remove_snapshot(files, stray)?;
        }
        Ok(())
    }

    /// Removes the snapshots outside the log and, unless the state is that of `log_end` already, starts over from the
    /// newest one that is left.
    pub fn truncate_and_reload(
        &mut self,
        files: &LogFiles,
        log_start: i64,
        log_end: i64,
        now: WallMs,
    ) -> Result<()> {
        let outside: Vec<i64> = self
            .snapshots
            .iter()
            .copied()
            .filter(|offset| *offset > log_end || *offset <= log_start)
            .collect();
        for offset in outside {
            self.remove_snapshot(files, offset)?;
        }
        if log_end == self.end_offset {
            self.on_log_start(log_start);
            return Ok(());
        }
        self.clear();
        self.load_newest_snapshot(files, log_start, now)
    }

    fn load_newest_snapshot(
        &mut self,
        files: &LogFiles,
        log_start: i64,
        now: WallMs,
    ) -> Result<()> {
        while let Some(offset) = self.latest_snapshot() {
            match self.read_snapshot(files, offset)? {
                Ok(entries) => {
                    for (producer_id, entry) in entries {
                        self.load_entry(producer_id, entry, now);
                    }
                    self.last_snapshot = offset;
                    self.end_offset = offset;
                    return Ok(());
                }
                Err(reason) => {
                    tracing::warn!(log = %self.name, offset, reason, "producer snapshot is corrupt, removing it");
                    self.remove_snapshot(files, offset)?;
                }
            }
        }
        self.last_snapshot = log_start;
        self.end_offset = log_start;
        Ok(())
    }

    fn load_entry(&mut self, producer_id: i64, entry: ProducerEntry, now: WallMs) {
        if is_expired(&entry, now, self.config.id_expiration_ms) {
            return;
        }
        if let Some(first_offset) = entry.txn_first_offset {
            self.ongoing.insert(first_offset, Txn { producer_id, last_offset: None });
        }
        self.producers.insert(producer_id, entry);
    }

    fn read_snapshot(
        &self,
        files: &LogFiles,
        offset: i64,
    ) -> Result<Result<Vec<(i64, ProducerEntry)>, String>> {
        let path = files.dir().join(names::snapshot_file(offset));
        let file = match files.disk().open(&path, OpenMode::ReadOnly) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Err("it is gone".into()));
            }
            Err(error) => return Err(LogError::io("open", &path)(error)),
        };
        let len = file.len().map_err(LogError::io("look at", &path))?;
        if len > MAX_SNAPSHOT_LEN {
            return Ok(Err(format!("{len} bytes are too many")));
        }
        let mut bytes = vec![0; len as usize];
        let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", &path))?;
        Ok(snapshot::decode(bytes.get(..read).unwrap_or_default()))
    }

    fn clear(&mut self) {
        self.producers = HashMap::new();
        self.ongoing = BTreeMap::new();
        self.unreplicated = BTreeMap::new();
    }

    /// Forgets everything and goes on from `offset`.
    pub fn reset(&mut self, files: &LogFiles, offset: i64) -> Result<()> {
        self.clear();
        for snapshot in std::mem::take(&mut self.snapshots) {
            let path = files.dir().join(names::snapshot_file(snapshot));
            files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        self.last_snapshot = 0;
        self.end_offset = offset;
        Ok(())
    }
}

fn is_expired(entry: &ProducerEntry, now: WallMs, limit_ms: i64) -> bool {
    entry.txn_first_offset.is_none() && now.0.saturating_sub(entry.last_timestamp) >= limit_ms
}
