//! The directory `__cluster_metadata-0`: the log's segments, snapshots and `quorum-state`.

mod follow;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::time::Now;
use base::{LeaderEpoch, MonoMs, NodeId, Offset, TopicPartition, Uuid};
use kraft::cleaning::{self, SnapshotFile};
use kraft::{Boot, ControlRecord, ElectionState, EpochStart, LogView, SnapshotId, VoterSet};
use records::{AnyBatch, Batches, ControlType, record};
use storage::dirs::partition_metadata;
use storage::disk::{Disk, OpenMode};
use storage::log::{Log, LogConfig, LogWork, OpenOptions, RemoveWork};
use storage::pool::FilePool;

use super::snapshot::{self, BATCH_BYTES_MAX, Snapshot};
use super::wire::METADATA_TOPIC;
use super::{QuorumConfig, QuorumError, check, control, state_file};

/// Bytes read at once when the log is read from start to end; a larger batch is read whole.
const READ_BYTES: u32 = 1 << 20;
/// Time before the files of removed segments and snapshots vanish (Kafka's value).
const DELETE_DELAY_MS: u64 = 60_000;
/// The metadata log never has more files open than this.
const OPEN_FILES_MAX: usize = 16;

/// The metadata log of this node. Used by one thread alone.
pub(super) struct MetadataLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: Log,
    /// Files to remove later.
    removals: Vec<(MonoMs, RemoveWork)>,
    deleted_snapshots: Vec<(MonoMs, PathBuf)>,
    /// A snapshot of which there are pieces.
    fetching: Option<SnapshotId>,
}

impl MetadataLog {
    /// Opens or creates the directory, recovers the log, tidies leftovers of snapshots.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        config: &QuorumConfig,
        now: Now,
    ) -> Result<Self, QuorumError> {
        let dir = config.partition_dir();
        disk.create_dir(&dir).map_err(QuorumError::io("create", &dir))?;
        if partition_metadata::read_topic_id(&*disk, &dir)?.is_none() {
            partition_metadata::write_topic_id(&*disk, &dir, Uuid::METADATA_TOPIC)?;
        }
        check::check(&*disk, &dir, config.reached)?;
        let log_config = LogConfig {
            segment_bytes: config.segment_bytes,
            segment_ms: config.segment_ms,
            max_message_bytes: BATCH_BYTES_MAX as u32,
            retention_ms: -1,
            retention_bytes: -1,
            file_delete_delay_ms: DELETE_DELAY_MS,
            ..LogConfig::default()
        };
        let name = TopicPartition::new(METADATA_TOPIC, 0);
        let pool = FilePool::new(Arc::clone(&disk), OPEN_FILES_MAX);
        let options = OpenOptions { config: Arc::new(log_config), ..OpenOptions::default() };
        let log = Log::open(&pool, dir.clone(), name, options, now.wall)?;
        let (removals, deleted_snapshots) = (Vec::new(), Vec::new());
        let mut opened = Self { disk, dir, log, removals, deleted_snapshots, fetching: None };
        opened.tidy_snapshots(now)?;
        opened.flush(now)?;
        Ok(opened)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(super) fn end(&self) -> Offset {
        self.log.end_offset()
    }

    /// Ids of all snapshots, in order.
    pub(super) fn snapshots(&self) -> Result<Vec<SnapshotId>, QuorumError> {
        let files = self.disk.list(&self.dir).map_err(QuorumError::io("list", &self.dir))?;
        let mut ids: Vec<SnapshotId> =
            files.iter().filter_map(|file| SnapshotId::from_file_name(&file.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes what an interrupted snapshot or deletion left behind, and snapshots from before the log's start.
    fn tidy_snapshots(&mut self, now: Now) -> Result<(), QuorumError> {
        let files = self.disk.list(&self.dir).map_err(QuorumError::io("list", &self.dir))?;
        for file in files {
            let leftover = file.name.ends_with(".checkpoint.part")
                || file.name.ends_with(".checkpoint.deleted");
            let too_old = SnapshotId::from_file_name(&file.name)
                .is_some_and(|id| id.offset < self.log.start_offset());
            if leftover || too_old {
                let path = self.dir.join(&file.name);
                self.disk.remove_file(&path).map_err(QuorumError::io("remove", &path))?;
            }
        }
        // A snapshot beyond the log's end replaces the log: it was fetched from a leader.
        if let Some(latest) = self.snapshots()?.last() {
            let log_epoch = self.log.latest_epoch().map_or(0, LeaderEpoch::get);
            let ahead = latest.epoch > log_epoch
                || (latest.epoch == log_epoch && latest.offset > self.log.end_offset());
            if ahead {
                self.log.truncate_fully_and_start_at(latest.offset, None, now.wall)?;
            }
        }
        Ok(())
    }

    /// What consensus must know to start. `latest`: the content of the newest snapshot.
    pub(super) fn boot(
        &self,
        static_voters: VoterSet,
        latest: Option<(SnapshotId, &Snapshot)>,
    ) -> Result<Boot, QuorumError> {
        let mut records: Vec<(Offset, ControlRecord)> = Vec::new();
        let mut from = self.log.start_offset();
        if let Some((id, snapshot)) = latest {
            let at = Offset(id.offset.get() - 1);
            records.extend(snapshot.control.iter().map(|record| (at, record.clone())));
            from = from.max(id.offset);
        }
        self.read_batches(from, self.end(), |batch, path| {
            let Some(header) = batch.v2().filter(|header| header.attributes.is_control()) else {
                return Ok(());
            };
            let control = record::Records::new(header, record::body(batch.bytes()));
            for record in control.map_err(QuorumError::records(path))? {
                let record = record.map_err(QuorumError::records(path))?;
                let (key, value) = (record.key.unwrap_or_default(), record.value);
                let body = control::decode(key, value.unwrap_or_default());
                let body = body.map_err(QuorumError::decode(path))?;
                records.extend(body.map(|body| (record.offset, body)));
            }
            Ok(())
        })?;
        let election = state_file::read(&*self.disk, &state_file::path(&self.dir))?;
        Ok(Boot { election, static_voters, log: self.view()?, control: records })
    }

    fn view(&self) -> Result<LogView, QuorumError> {
        let epochs = self.log.epochs().iter();
        Ok(LogView {
            start: self.log.start_offset(),
            end: self.log.end_offset(),
            flushed: self.log.end_offset(),
            epochs: epochs
                .map(|entry| EpochStart { epoch: entry.epoch.get(), start: entry.start_offset })
                .collect(),
            snapshots: self.snapshots()?.into_iter().collect(),
        })
    }

    /// Hands every batch in `from..until` to `take`, with the name of the place for errors. A batch that reaches beyond
    /// `until` is left out.
    pub(super) fn read_batches(
        &self,
        from: Offset,
        until: Offset,
        mut take: impl FnMut(AnyBatch<'_>, &Path) -> Result<(), QuorumError>,
    ) -> Result<(), QuorumError> {
        let mut next = from;
        while next < until {
            let data = self.log.read(next, READ_BYTES, self.end(), true, false)?;
            let path = self.dir.join(format!("{:020}.log", data.start.segment_base_offset.get()));
            let Some(slice) = data.records else {
                return Err(QuorumError::damaged(&path, format!("no record at offset {next}")));
            };
            let bytes = slice.read().map_err(QuorumError::io("read", &path))?;
            let before = next;
            for batch in Batches::new(&bytes) {
                let batch = batch.map_err(QuorumError::records(&path))?;
                batch.check_crc().map_err(QuorumError::records(&path))?;
                if batch.next_offset() > until {
                    return Ok(());
                }
                next = batch.next_offset();
                take(batch, &path)?;
            }
            if next <= before {
                return Err(QuorumError::damaged(
                    &path,
                    format!("no whole batch at offset {next}"),
                ));
            }
        }
        Ok(())
    }

    /// Whole batches from `offset` on for an observer: at least one, about `max_bytes`.
    pub(super) fn read_for_fetch(
        &self,
        offset: Offset,
        max_bytes: u32,
    ) -> Result<Vec<u8>, QuorumError> {
        let max_bytes = max_bytes.min(BATCH_BYTES_MAX as u32);
        let data = self.log.read(offset, max_bytes, self.end(), true, false)?;
        let Some(slice) = data.records else { return Ok(Vec::new()) };
        slice.read().map_err(QuorumError::io("read", &self.dir))
    }

    /// Appends a batch that carries its offsets and epoch.
    pub(super) fn append(
        &mut self,
        batch: &[u8],
        epoch: LeaderEpoch,
        now: Now,
    ) -> Result<(), QuorumError> {
        self.log.append_as_raft_leader(batch, epoch, now.wall)?;
        Ok(())
    }

    /// Appends control records as one batch.
    pub(super) fn append_control(
        &mut self,
        base: Offset,
        epoch: LeaderEpoch,
        records: &[ControlRecord],
        now: Now,
    ) -> Result<(), QuorumError> {
        let bodies: Vec<(ControlType, Vec<u8>)> =
            records.iter().map(control::encode).collect::<Result<_, _>>()?;
        let bodies: Vec<_> = bodies.iter().map(|(kind, body)| (*kind, body.as_slice())).collect();
        let batch = records::control::quorum_batch(base, epoch, now.wall.0, &bodies)?;
        self.append(&batch, epoch, now)
    }

    /// Makes everything appended so far durable. Returns the end of it.
    pub(super) fn flush(&mut self, now: Now) -> Result<Offset, QuorumError> {
        self.log.flush(now.wall)?;
        for work in self.log.take_work() {
            match work {
                LogWork::Flush(work) => self.log.complete_flush(work.run(), now.wall)?,
                LogWork::Remove(work) => {
                    self.removals.push((now.mono.plus_ms(work.delay_ms), work));
                }
            }
        }
        Ok(self.log.end_offset())
    }

    pub(super) fn set_high_watermark(&mut self, offset: Offset) {
        self.log.set_high_watermark(offset);
    }

    pub(super) fn save_state(
        &self,
        state: &ElectionState,
        version: i16,
    ) -> Result<(), QuorumError> {
        state_file::write(&*self.disk, &state_file::path(&self.dir), state, version)
    }

    pub(super) fn read_snapshot(&self, id: SnapshotId) -> Result<Snapshot, QuorumError> {
        snapshot::read(&*self.disk, &snapshot::path(&self.dir, id))
    }

    pub(super) fn snapshot_size(&self, id: SnapshotId) -> Option<u64> {
        let info = self.disk.stat(&snapshot::path(&self.dir, id)).ok()??;
        Some(info.len)
    }

    pub(super) fn snapshot_slice(
        &self,
        id: SnapshotId,
        position: u64,
        len: u64,
    ) -> Result<Vec<u8>, QuorumError> {
        let path = snapshot::path(&self.dir, id);
        let read = || {
            let file = self.disk.open(&path, OpenMode::ReadOnly)?;
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0).min(BATCH_BYTES_MAX)];
            let count = file.read_at(&mut bytes, position)?;
            bytes.truncate(count);
            Ok(bytes)
        };
        read().map_err(QuorumError::io("read", &path))
    }

    /// Deletes snapshots out of retention and the log before the oldest that stays. Returns the new start. `known`:
    /// the snapshots that consensus knows of; one that was finished this very moment waits for the next round.
    pub(super) fn clean(
        &mut self,
        known: &BTreeSet<SnapshotId>,
        retention: cleaning::Retention,
        now: Now,
    ) -> Result<Option<(Offset, SnapshotId)>, QuorumError> {
        let mut files = Vec::new();
        for &id in known {
            let bytes = self.snapshot_size(id).unwrap_or(0);
            let path = snapshot::path(&self.dir, id);
            let last_contained = snapshot::last_contained(&*self.disk, &path)?;
            files.push(SnapshotFile { id, bytes, last_contained });
        }
        let Some(oldest) = cleaning::new_start(retention, &files, self.log.size(), now.wall) else {
            return Ok(None);
        };
        self.log.delete_prefix(oldest.offset, now.wall)?;
        for file in files.iter().filter(|file| file.id < oldest) {
            let path = snapshot::path(&self.dir, file.id);
            let deleted = path.with_extension("checkpoint.deleted");
            self.disk.rename(&path, &deleted).map_err(QuorumError::io("rename", &path))?;
            self.deleted_snapshots.push((now.mono.plus_ms(DELETE_DELAY_MS), deleted));
        }
        self.flush(now)?;
        Ok(Some((self.log.start_offset(), oldest)))
    }

    /// Removes the files whose delay is over.
    pub(super) fn remove_due(&mut self, now: MonoMs) -> Result<(), QuorumError> {
        for (_, work) in self.removals.extract_if(.., |(at, _)| *at <= now) {
            work.run()?;
        }
        for (_, path) in self.deleted_snapshots.extract_if(.., |(at, _)| *at <= now) {
            self.disk.remove_file(&path).map_err(QuorumError::io("remove", &path))?;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, now: Now) -> Result<(), QuorumError> {
        Ok(self.log.close(now.wall)?)
    }
}

/// The id of this node's replica, for messages.
pub(super) fn voter_of(config: &QuorumConfig) -> kraft::Voter {
    kraft::Voter {
        key: kraft::ReplicaKey::new(NodeId(config.node_id.get()), config.directory_id),
        endpoints: config.endpoints.clone(),
        kraft_versions: QuorumConfig::KRAFT_VERSIONS,
    }
}
